"""Wire protocol, sans-IO: frames, messages, text rules. Specified in docs/protocol.md."""
