"""Unsent messages of an identity that another one has replaced, which no client sends any more."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from chatctl.client._notices import Sent


def left_behind(folder: Path, taken: Callable[[list[Sent]], Collection[str]] | None = None) -> int:
    """Hand the unsent messages in a state folder to ``taken``, and forget those whose msg_id it returns.

    The server knows a resent message by its device, so that a new identity must not send them unasked: one
    may be in the log already. Messages of a client that still runs are left alone. Returns how many remain.
    Raises E606 if the folder cannot be used, and what ``taken`` raises.
    """
    from chatctl.client import _state_store

    if not (folder / _state_store.FILE_NAME).is_file():
        return 0
    store = _state_store.FileStore(folder)
    try:
        unsent = store.load().unanswered
        gone = set(taken(unsent)) if taken is not None and unsent else set()
        for sent in unsent:
            if sent.msg_id in gone:
                store.remove(sent)
    finally:
        store.close()
    return len(unsent) - len(gone)
