"""Replace several files of a folder as one change: after a crash the next command or start completes it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from chatd.crashpoints import crash_point
from chatd.durable_files import PRIVATE, PUBLIC, create_file, replace_file, sync_folder
from chatd.errors import ChatdError

_PREPARED, _DECIDED = ".change.new", ".change"
# In a folder of a change: the names of the files to remove.
_REMOVED = "removed.json"


def change_files(folder: Path, files: Mapping[str, bytes], removed: Collection[str] = ()) -> None:
    """Replace ``files``, by name, and remove others. Keys become private. Raises E606.

    All is written to a folder beside them first. The change is decided when that gets its name; from then
    on it is repeated until it is complete.
    """
    finish_change(folder)
    prepared = folder / _PREPARED
    try:
        shutil.rmtree(prepared, ignore_errors=True)
        prepared.mkdir(mode=0o700)
        for name, content in files.items():
            create_file(prepared / name, content, _mode(name))
        create_file(prepared / _REMOVED, json.dumps(sorted(removed)).encode(), PRIVATE)
        prepared.rename(folder / _DECIDED)
        sync_folder(folder)
    except OSError as error:
        raise ChatdError("E606", f"{folder} cannot be changed: {error.strerror}") from None
    crash_point("pki.change.decided")
    finish_change(folder)


def finish_change(folder: Path) -> None:
    """Complete a change that was decided, if there is one. Raises E606."""
    decided = folder / _DECIDED
    if not decided.exists():
        return
    try:
        for path in sorted(decided.iterdir()):
            if path.name != _REMOVED:
                replace_file(folder / path.name, path.read_bytes(), _mode(path.name))
                crash_point("pki.change.half")
        for name in json.loads((decided / _REMOVED).read_bytes()):
            (folder / name).unlink(missing_ok=True)
        sync_folder(folder)
        # First the name that makes it count, or a crash would leave a change with some of its files.
        done = folder / _PREPARED
        shutil.rmtree(done, ignore_errors=True)
        decided.rename(done)
        sync_folder(folder)
        shutil.rmtree(done)
    except OSError as error:
        raise ChatdError("E606", f"{folder} cannot be changed: {error.strerror}") from None


def _mode(name: str) -> int:
    return PRIVATE if name.endswith(".key") else PUBLIC
