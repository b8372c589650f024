"""The chat client: library, line client, scripts."""
