"""The wire protocol without I/O: frames, requests, events, rules for text. docs/protocol.md specifies it."""
