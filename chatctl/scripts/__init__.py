"""The commands of `chat` for scripts: one-shot commands, streams and bots."""
