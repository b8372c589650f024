"""Commands that both `chat` and `chatctl` have."""

from __future__ import annotations

from chatd.console.command_table import TableEntry

SEARCH = TableEntry(
    "chatctl.scripts.search_command:search",
    "Find messages in your rooms that contain all words of QUERY, the newest first.",
)
WHOAMI = TableEntry(
    "chatctl.scripts.whoami_command:whoami",
    "Log in and show your user, role and rooms, and when your identity expires.",
)
