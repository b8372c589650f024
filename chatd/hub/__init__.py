"""The one process that orders, decides and commits."""
