"""Unsent input, kept from one run to the next: one file per device, readable only by its owner."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Set
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from chatd.durable_files import PRIVATE, replace_file
from chatd.errors import ChatdError
from chatd.proto.frames import STRING_LIMIT

FILE_NAME = "drafts.json"
DRAFTS_LIMIT = 50
# Characters in all drafts together.
CHARS_LIMIT = 200_000
# JSON writes a character outside the BMP as two escapes of six characters each.
_FILE_LIMIT = 12 * CHARS_LIMIT + 100_000


class Drafts:
    """The drafts in ``folder``. `save` returns at once; a thread writes the file."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._saved = _read(self._path)
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="window-drafts")

    @property
    def saved(self) -> dict[str, str]:
        """The drafts by conversation, as last saved."""
        return dict(self._saved)

    def save(self, drafts: dict[str, str]) -> None:
        """Save the drafts that have changed since the last call; beyond the limits, the last are dropped.

        Others stay as they are in the file: another window of the device may have written them since.
        """
        bounded = _bounded(drafts)
        changed = {name: text for name, text in bounded.items() if text != self._saved.get(name)}
        removed = self._saved.keys() - bounded.keys()
        self._saved = bounded
        if changed or removed:
            self._writing.submit(_update, self._path, changed, removed)

    def close(self) -> None:
        """Wait until everything is written."""
        self._writing.shutdown(wait=True)


def take_over(former: Path, folder: Path, texts: Iterable[tuple[str, str]]) -> list[bool]:
    """Move the drafts in the folder ``former`` to ``folder``, and append ``texts`` as (conversation, text).

    Returns which of the texts are in a draft now: what exceeds the limits stays where it is. Raises OSError,
    and E606, if the drafts cannot be written; nothing is lost then.
    """
    drafts, left = _read(folder / FILE_NAME), _read(former / FILE_NAME)
    before = dict(drafts)
    for name in [name for name, text in left.items() if _append(drafts, name, text)]:
        del left[name]
    taken = [_append(drafts, name, text) for name, text in texts]
    if drafts != before:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(folder / FILE_NAME, json.dumps(drafts).encode(), PRIVATE)
        _write(former / FILE_NAME, left)
    return taken


def _append(drafts: dict[str, str], name: str, text: str) -> bool:
    """Append a text to a draft; return False if it would exceed a limit."""
    longer = "\n\n".join(filter(None, (drafts.get(name), text)))
    fits = len(longer) <= STRING_LIMIT and name in _bounded(drafts | {name: longer})
    if fits:
        drafts[name] = longer
    return fits


def _bounded(drafts: dict[str, str]) -> dict[str, str]:
    bounded: dict[str, str] = {}
    capacity = CHARS_LIMIT
    for name, text in drafts.items():
        size = len(name) + len(text)
        if text.strip() and size <= capacity and len(bounded) < DRAFTS_LIMIT:
            bounded[name] = text
            capacity -= size
    return bounded


def _update(path: Path, changed: dict[str, str], removed: Set[str]) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return  # not worth an error message: the drafts are lost when the window closes
    try:
        # Another window may be between its reading and its writing; closing unlocks.
        fcntl.flock(folder, fcntl.LOCK_EX)
        settled = removed | changed.keys()
        others = {name: text for name, text in _read(path).items() if name not in settled}
        _write(path, _bounded(changed | others))
    except OSError:
        pass
    finally:
        os.close(folder)


def _write(path: Path, drafts: dict[str, str]) -> None:
    try:
        if drafts:
            replace_file(path, json.dumps(drafts).encode(), PRIVATE)
        else:
            path.unlink(missing_ok=True)
    except (OSError, ChatdError):
        pass  # not worth an error message: the drafts are lost when the window closes


def _read(path: Path) -> dict[str, str]:
    """Return the drafts in a file; none if it cannot be read, is damaged or a symbolic link."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW)) as file:
            drafts = json.loads(file.read(_FILE_LIMIT))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(drafts, dict):
        return {}
    return _bounded({name: text for name, text in drafts.items() if isinstance(text, str)})
