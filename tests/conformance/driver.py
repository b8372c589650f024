"""What the conformance tests need of every client: a driver for one user at one client."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, NamedTuple

from tests.support.daemon import Daemon

# Every message of the conversation ends like this; other lines on a screen are not messages.
TOKEN = re.compile(r"(?:^|\s)[a-z]+-\d+$")
_LINE = re.compile(
    r"^\[(?:\S{10} )?\d\d:\d\d:\d\dZ(?: \d+)?\] (?P<where>[#@]\S+ )?"
    r"(?:<(?P<who>\w+)[*~+]?> |\* (?P<doer>\w+)[*~+]? )(?P<body>.*)$"
)


class ShownMessage(NamedTuple):
    """A message as a client shows it. ``kind``: "text" or "action"."""

    who: str
    kind: str
    body: str


class Driver(ABC):
    """One user at one client. Conversations are "#room" and "@user"; any method may be called at any time."""

    name: ClassVar[str]
    # Which of "action", "away" and "leave" the client does not support.
    unsupported: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, daemon: Daemon, user: str, folder: Path) -> None:
        self.daemon = daemon
        self.user = user
        self.folder = folder
        self.identity = daemon.identity(user)

    @abstractmethod
    def enter(self, where: str) -> None:
        """Connect if necessary, and enter a conversation: its messages arrive from now on."""

    @abstractmethod
    def say(self, where: str, body: str) -> None:
        """Send a message."""

    @abstractmethod
    def shown(self, where: str) -> list[ShownMessage]:
        """The messages shown of a conversation, in their order."""

    @abstractmethod
    def history(self, room: str) -> list[ShownMessage]:
        """All messages of a room, from its beginning."""

    @abstractmethod
    def output(self) -> str:
        """Everything the client shows, as text or JSON."""

    @abstractmethod
    def close(self) -> None:
        """End the client."""

    def send_action(self, room: str, body: str) -> None:
        """Send an action."""
        raise NotImplementedError

    def away(self, why: str) -> None:
        """Set the user away."""
        raise NotImplementedError

    def leave(self, room: str) -> None:
        """Leave a room."""
        raise NotImplementedError

    def alerted(self) -> bool | None:
        """Whether the client has rung for a mention; None for a client without a bell."""
        return None


def parse_lines(text: Iterable[str], where: str = "") -> list[ShownMessage]:
    """The messages in lines of `render`: those labelled ``where``, "" for those without a label."""
    found = []
    for line in text:
        match = _LINE.match(line)
        if match and (match["where"] or "").strip() == where and TOKEN.search(match["body"].rstrip()):
            kind = "text" if match["who"] else "action"
            found.append(ShownMessage(match["who"] or match["doer"], kind, match["body"].rstrip()))
    return found
