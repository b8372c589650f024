"""Keep config/settings.json of a node in line with the settings that the cluster shares.

config/shared.json remembers what the file was last brought in line with. So a key that somebody has edited
since, and not reloaded, is told from one that is only old: the edit stays, until a reload shares it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from chatd.config.home import Home
from chatd.config.loading import load_settings, read_tree, settings_of_tree
from chatd.config.shared import KNOWN, Shared, differing, put, shared_of
from chatd.crashpoints import crash_point
from chatd.durable_files import replace_file
from chatd.errors import ChatdError

BASE_FILE: Final = "config/shared.json"
BASES_LIMIT: Final = 4
_MODE: Final = 0o640
# The former name of a key, which a file may still have -> its section.
_FORMER: Final[Mapping[str, tuple[str, str]]] = {"limits.long_text": ("limits", "over_length")}


def bring_in_line(home: Path, shared: Shared) -> None:
    """Write what the cluster shares into the file, but for keys that were edited since the last time.

    Raises E600 if the file is not valid, or would not be; E601, E606. The file is then as it was.
    """
    bases = read_bases(home)
    mine = shared_of(load_settings(home, {}))
    changed = {
        path: value
        for path, value in shared.items()
        if path in KNOWN and mine[path] != value and _is_old(path, mine[path], bases)
    }
    if changed:
        file = Home(home).settings_file
        tree = _changed_tree(file, changed)
        # First: should this end before the file is written, or before the note is, both are known.
        _note_bases(home, [*bases[:1], *bases[1:][2 - BASES_LIMIT :], shared] if bases else [])
        replace_file(file, (json.dumps(tree, indent=2, ensure_ascii=False) + "\n").encode(), _MODE)
        crash_point("cluster.settings.written")
    if bases != [shared] or changed:
        _note_bases(home, [shared])


def _is_old(path: str, value: Any, bases: Sequence[Shared]) -> bool:
    """Whether a value of the file is one that chatd has written, or nothing is known of it."""
    return not bases or any(base.get(path) == value for base in bases)


def _changed_tree(file: Path, changed: Shared) -> dict[str, Any]:
    """Return the content of the file with other values. Raises E600 if they do not fit the rest."""
    tree = read_tree(file)
    for path, value in changed.items():
        section, former = _FORMER.get(path, ("", ""))
        if section:
            tree.get(section, {}).pop(former, None)
        put(tree, path, value)
    try:
        settings_of_tree(tree, file)
    except ChatdError as error:
        reason = f"with what another node has changed, {error.reason}"
        raise ChatdError("E600", reason, "undo your change of that key, then: chatd reload") from None
    return tree


def read_bases(home: Path) -> list[Shared]:
    """Return what the file was last brought in line with, oldest first; none if it never was.

    They are several if that was interrupted.
    """
    try:
        bases = json.loads((home / BASE_FILE).read_bytes())
    except (OSError, ValueError):
        return []
    return [base for base in bases if isinstance(base, dict)] if isinstance(bases, list) else []


def _note_bases(home: Path, bases: Sequence[Shared]) -> None:
    replace_file(home / BASE_FILE, json.dumps(bases, ensure_ascii=False).encode(), _MODE)


def forget_base(home: Path) -> None:
    """Forget it: the home leaves its cluster, or begins another. Raises E606."""
    try:
        (home / BASE_FILE).unlink(missing_ok=True)
    except OSError as error:
        raise ChatdError("E606", f"{error.filename}: {error.strerror}") from None


class Drift:
    """Tells in which keys the file differs from what the cluster shares; reads it again when it changed."""

    def __init__(self, home: Path, environ: Mapping[str, str]) -> None:
        self._home = home
        self._environ = environ
        self._stamp: Any = None
        self._mine: Shared | None = None

    def keys(self, shared: Shared) -> list[str]:
        """Return the keys; the file's name if it is not valid, and none if nothing is shared yet."""
        if not shared:
            return []
        file = Home(self._home).settings_file
        try:
            status = file.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp != self._stamp:
                self._mine = None
                self._stamp = stamp
                self._mine = shared_of(load_settings(self._home, self._environ))
        except (OSError, ChatdError):
            self._mine = None
        return [file.name] if self._mine is None else differing(self._mine, shared)
