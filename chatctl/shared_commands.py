"""Commands that both `chat` and `chatctl` have."""

from __future__ import annotations

from chatd.console.command_table import TableEntry

SEARCH = TableEntry(
    "chatctl.scripts.one_shot:search",
    "Find messages in your rooms that contain all words of QUERY; with --json, one object per line.",
)
WHOAMI = TableEntry(
    "chatctl.scripts.one_shot:whoami",
    "Log in and show your user, role and rooms, and when your identity expires.",
)
