"""The states of a child and the transitions between them. A transition missing from the table is a defect."""

from __future__ import annotations

from enum import Enum
from typing import Final


class ChildState(Enum):
    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    BACKOFF = "backoff"
    FATAL = "fatal"


class ChildEvent(Enum):
    SPAWNED = "spawned"
    READY = "ready"
    CRASHED = "crashed"
    """It ended unexpectedly and will be restarted."""
    GAVE_UP = "gave up"
    """It ended, and a restart would not help."""
    STOP = "stop"
    ENDED = "ended"
    """It ended as requested."""


TRANSITIONS: Final = {
    (ChildState.STOPPED, ChildEvent.SPAWNED): ChildState.STARTING,
    (ChildState.BACKOFF, ChildEvent.SPAWNED): ChildState.STARTING,
    (ChildState.STARTING, ChildEvent.READY): ChildState.RUNNING,
    (ChildState.STARTING, ChildEvent.CRASHED): ChildState.BACKOFF,
    (ChildState.STARTING, ChildEvent.GAVE_UP): ChildState.FATAL,
    (ChildState.STARTING, ChildEvent.STOP): ChildState.STOPPING,
    (ChildState.RUNNING, ChildEvent.CRASHED): ChildState.BACKOFF,
    (ChildState.RUNNING, ChildEvent.GAVE_UP): ChildState.FATAL,
    (ChildState.RUNNING, ChildEvent.STOP): ChildState.STOPPING,
    (ChildState.STOPPING, ChildEvent.ENDED): ChildState.STOPPED,
    (ChildState.STOPPING, ChildEvent.GAVE_UP): ChildState.FATAL,
    (ChildState.BACKOFF, ChildEvent.STOP): ChildState.STOPPED,
    (ChildState.BACKOFF, ChildEvent.GAVE_UP): ChildState.FATAL,
    (ChildState.FATAL, ChildEvent.STOP): ChildState.STOPPED,
}

DOWN: Final = frozenset((ChildState.STOPPED, ChildState.FATAL))
"""The states that only a command ends."""


def next_state(state: ChildState, event: ChildEvent) -> ChildState:
    """Return the state after ``event``. Raises KeyError for an event that must not happen in ``state``."""
    return TRANSITIONS[state, event]
