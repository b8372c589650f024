"""Where a home is, to notice that it was copied: two servers must not continue one log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from chatd.durable_files import PRIVATE, file_identity, replace_file
from chatd.errors import ChatdError
from chatd.store.database import DATABASE_NAME

PLACE_FILE: Final = "place"
_MAX_BYTES: Final = 16 * 1024


def refuse_copy(home: Path) -> None:
    """Raise E619 if the log in ``home`` is a copy of one that still exists on this machine.

    A home that was moved, or whose original is on another machine, is not refused.
    """
    original = _recorded(home)
    if original is None or original["path"] == str(home):
        return
    if _log_of(Path(original["path"])) == original["log"] != _log_of(home):
        reason = f"{home} is a copy of {original['path']}, and both would continue the same log"
        fix = (
            "to give the copy a history of its own: chatd start --as-copy; to replace the original, remove it"
        )
        raise ChatdError("E619", reason, fix)


def record_place(home: Path) -> None:
    """Record where the log is; ignore a failure to write, such as a full disk."""
    record = {"path": str(home), "log": _log_of(home)}
    if record == _recorded(home):
        return
    try:
        replace_file(home / "data" / PLACE_FILE, json.dumps(record).encode(), PRIVATE)
    except ChatdError:
        return


def _log_of(home: Path) -> list[int]:
    return file_identity(home / "data" / DATABASE_NAME)


def _recorded(home: Path) -> dict[str, Any] | None:
    try:
        with (home / "data" / PLACE_FILE).open("rb") as file:
            record = json.loads(file.read(_MAX_BYTES))
        return {"path": str(record["path"]), "log": list(record["log"])}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
