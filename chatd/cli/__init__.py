"""The ``chatd`` command: for whoever runs the box."""

from __future__ import annotations

from chatd.cli.root import main

__all__ = ["main"]
