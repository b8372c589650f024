"""The note in the home of a node that has left its cluster: no server runs there, its log can be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from chatd.durable_files import PRIVATE, replace_file, sync_folder
from chatd.errors import ChatdError

LEFT_FILE: Final = "data/left.json"


def note_left(home: Path, node: str) -> None:
    """Let no server start in this home any more. Raises E606."""
    replace_file(home / LEFT_FILE, json.dumps({"node": node}).encode(), PRIVATE)


def has_left(home: Path) -> bool:
    """Whether the home was that of a node that has left its cluster."""
    return (home / LEFT_FILE).exists()


def refuse_left(home: Path) -> None:
    """Raise E624 for the home of a node that has left: it would continue a log that the others continue."""
    if has_left(home):
        raise ChatdError("E624", "this node has left its cluster, which continues its log")


def forget_left(home: Path) -> None:
    """Let a server start here again. Raises OSError."""
    (home / LEFT_FILE).unlink(missing_ok=True)
    sync_folder((home / LEFT_FILE).parent)
