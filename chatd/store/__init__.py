"""The event log on SQLite: append, read, verify, search."""
