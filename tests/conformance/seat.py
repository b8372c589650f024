"""What the conversation asks of a client, whichever it is: the seat of one user at the table."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, NamedTuple

from tests.support.daemon import Daemon

# What is said in the conversation ends so; all else on a screen is the client's own, or an event.
TOKEN = re.compile(r"(?:^|\s)[a-z]+-\d+$")
_LINE = re.compile(
    r"^\[(?:\S{10} )?\d\d:\d\d:\d\dZ\] (?P<where>[#@]\S+ )?"
    r"(?:<(?P<who>\w+)[*~+]?> |\* (?P<doer>\w+)[*~+]? )(?P<body>.*)$"
)


class Shown(NamedTuple):
    """A message as a client shows it. ``kind``: "text" or "action"."""

    who: str
    kind: str
    body: str


class Seat(ABC):
    """One user at one client. Conversations are "#room" and "@user"; everything may be asked at any time."""

    name: ClassVar[str]
    # Of "action", "away", "leave": what this client has no words for.
    cannot: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, daemon: Daemon, user: str, folder: Path) -> None:
        self.daemon = daemon
        self.user = user
        self.folder = folder
        self.identity = daemon.identity(user)

    @abstractmethod
    def enter(self, where: str) -> None:
        """Be in a conversation, connecting first; what is said there is heard from now on."""

    @abstractmethod
    def say(self, where: str, body: str) -> None:
        """Send a message."""

    @abstractmethod
    def shown(self, where: str) -> list[Shown]:
        """The messages of a conversation in the order in which they are shown."""

    @abstractmethod
    def history(self, room: str) -> list[Shown]:
        """Everything that was ever said in a room."""

    @abstractmethod
    def told(self) -> str:
        """All that was told besides messages, in words or as JSON."""

    @abstractmethod
    def close(self) -> None:
        """End it."""

    def act(self, room: str, body: str) -> None:
        """Send an action."""
        raise NotImplementedError

    def away(self, why: str) -> None:
        """Be away."""
        raise NotImplementedError

    def leave(self, room: str) -> None:
        """Leave a room."""
        raise NotImplementedError

    def called(self) -> bool | None:
        """Whether a mention drew attention; None for a client of programs, which have none."""
        return None


def read_lines_of_text(text: Iterable[str], where: str = "") -> list[Shown]:
    """The messages in lines as `render` makes them; ``where``: "" for those without a label."""
    found = []
    for line in text:
        match = _LINE.match(line)
        if match and (match["where"] or "").strip() == where and TOKEN.search(match["body"].rstrip()):
            kind = "text" if match["who"] else "action"
            found.append(Shown(match["who"] or match["doer"], kind, match["body"].rstrip()))
    return found
