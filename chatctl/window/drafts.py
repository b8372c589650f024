"""What was typed and not sent, kept from one run to the next: per device, readable by nobody else."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from chatd.errors import ChatdError
from chatd.pki.keyfiles import PRIVATE, replace_file

FILE_NAME = "drafts.json"
# Conversations with a draft, and characters of all of them together.
DRAFTS_LIMIT = 50
CHARS_LIMIT = 200_000
# A character outside of the BMP takes two escapes of six letters each.
_FILE_LIMIT = 12 * CHARS_LIMIT + 100_000


class Drafts:
    """The file in ``folder``. `keep` returns at once: no disk holds up the keys."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._kept = _read(self._path)
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="window-drafts")

    @property
    def kept(self) -> dict[str, str]:
        """The drafts by conversation, as kept last."""
        return dict(self._kept)

    def keep(self, drafts: dict[str, str]) -> None:
        """Keep these instead; the first ones, where they are too many. Unchanged ones are not written again,
        so that a second window of the same device does not undo what this one kept."""
        within = _bounded(drafts)
        if within != self._kept:
            self._kept = within
            self._writing.submit(_write, self._path, within)

    def close(self) -> None:
        """Wait until all is written."""
        self._writing.shutdown(wait=True)


def _bounded(drafts: dict[str, str]) -> dict[str, str]:
    within: dict[str, str] = {}
    room = CHARS_LIMIT
    for name, text in drafts.items():
        size = len(name) + len(text)
        if text.strip() and size <= room and len(within) < DRAFTS_LIMIT:
            within[name] = text
            room -= size
    return within


def _write(path: Path, drafts: dict[str, str]) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if drafts:
            replace_file(path, json.dumps(drafts).encode(), PRIVATE)
        else:
            path.unlink(missing_ok=True)
    except (OSError, ChatdError):
        pass  # no reason not to chat: they are lost with the window, as without this file


def _read(path: Path) -> dict[str, str]:
    """Nothing when the file cannot be read or is none of ours."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW)) as file:
            told = json.loads(file.read(_FILE_LIMIT))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(told, dict):
        return {}
    return _bounded({name: text for name, text in told.items() if isinstance(text, str)})
