"""chatd: a self-hosted, certificate-only group chat server."""

__version__ = "0.1.0"
