"""Where a home is, to notice that it was copied: two servers must not continue one log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

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
    database = Path(original["path"]) / "data" / DATABASE_NAME
    if _identity(database) == original["log"] and _identity(home / "data" / DATABASE_NAME) != original["log"]:
        reason = f"{home} is a copy of {original['path']}, and both would continue the same log"
        fix = (
            "to give the copy a history of its own: chatd start --as-copy; to replace the original, remove it"
        )
        raise ChatdError("E619", reason, fix)


def record_place(home: Path) -> None:
    """Record where the log is; ignore a failure to write, such as a full disk."""
    record = {"path": str(home), "log": _identity(home / "data" / DATABASE_NAME)}
    if record == _recorded(home):
        return
    scratch = home / "data" / f"{PLACE_FILE}.new"
    try:
        scratch.write_text(json.dumps(record), "utf-8")
        scratch.chmod(0o600)
        scratch.replace(home / "data" / PLACE_FILE)
    except (OSError, UnicodeEncodeError):
        return


def _recorded(home: Path) -> dict[str, Any] | None:
    try:
        with (home / "data" / PLACE_FILE).open("rb") as file:
            record = json.loads(file.read(_MAX_BYTES))
        return {"path": str(record["path"]), "log": list(record["log"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _identity(path: Path) -> list[int]:
    """The device and inode of a file, which a copy does not share; empty if there is none."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_dev, status.st_ino]
