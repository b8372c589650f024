"""The states of a child, and every way from one to another. What is not in the table is a defect."""

from __future__ import annotations

from enum import Enum
from typing import Final


class State(Enum):
    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    BACKOFF = "backoff"
    FATAL = "fatal"


class Event(Enum):
    SPAWNED = "spawned"
    READY = "ready"
    CRASHED = "crashed"
    """It ended by itself, and is to be started again."""
    GAVE_UP = "gave up"
    """It ended, and starting it again would not help."""
    STOP = "stop"
    ENDED = "ended"
    """It ended because it was told to."""


TRANSITIONS: Final = {
    (State.STOPPED, Event.SPAWNED): State.STARTING,
    (State.BACKOFF, Event.SPAWNED): State.STARTING,
    (State.STARTING, Event.READY): State.RUNNING,
    (State.STARTING, Event.CRASHED): State.BACKOFF,
    (State.STARTING, Event.GAVE_UP): State.FATAL,
    (State.STARTING, Event.STOP): State.STOPPING,
    (State.RUNNING, Event.CRASHED): State.BACKOFF,
    (State.RUNNING, Event.GAVE_UP): State.FATAL,
    (State.RUNNING, Event.STOP): State.STOPPING,
    (State.STOPPING, Event.ENDED): State.STOPPED,
    (State.STOPPING, Event.GAVE_UP): State.FATAL,
    (State.BACKOFF, Event.STOP): State.STOPPED,
    (State.BACKOFF, Event.GAVE_UP): State.FATAL,
    (State.FATAL, Event.STOP): State.STOPPED,
}

ALIVE: Final = frozenset((State.STARTING, State.RUNNING, State.STOPPING))
"""The states in which there is a process."""
DOWN: Final = frozenset((State.STOPPED, State.FATAL))
"""The states that nothing but a command ends."""


def follow(state: State, event: Event) -> State:
    """The next state. Raises KeyError for what cannot happen."""
    return TRANSITIONS[state, event]
