"""What a process does when its worker's loop tells it something."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from chatd.config.schema import Settings
from chatd.worker.session_authorities import SessionAuthorities


def _ignore(*_: object) -> None:
    pass


@dataclass
class WorkerHooks:
    """Called on the loop's thread: none may wait."""

    drain: Callable[[], None] = _ignore
    reload: Callable[[Settings], None] = _ignore
    # The address from which a session was admitted.
    admitted: Callable[[str], None] = _ignore
    # This worker's sessions above the mean.
    surplus: Callable[[int], None] = _ignore
    # The answer to a question: its number, and the JSON.
    answer: Callable[[int, bytes], None] = _ignore
    hub_lost: Callable[[], None] = _ignore
    # Of the certificates with which sessions have begun.
    authorities: SessionAuthorities = field(default_factory=SessionAuthorities)
