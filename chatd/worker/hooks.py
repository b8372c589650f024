"""What a process does when its worker's loop tells it something."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chatd.config.schema import Settings


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
    # Whether a device's certificate, given its serial number, is of a CA that has been replaced.
    is_of_old_ca: Callable[[str], bool] = lambda serial: False
