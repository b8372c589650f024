"""Rules without I/O: roles with their permissions, and the word filter."""
