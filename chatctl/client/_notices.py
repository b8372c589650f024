"""What the library tells its caller besides the server's own events, and the handle of a sent message."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from chatd.errors import ChatdError
from chatd.proto import events as ev


class SentResult(NamedTuple):
    """How the server took a message: its place in the log, the server's time in ms since 1970 UTC, and
    what was changed in the text (each note has ``rule`` and ``text``)."""

    seq: int
    at: int
    notes: list[dict[str, Any]]


class Promise:
    """An answer that one thread waits for and the I/O thread brings, once."""

    def __init__(self) -> None:
        self._settled = threading.Event()
        self._value: Any = None
        self._error: ChatdError | None = None

    @property
    def settled(self) -> bool:
        return self._settled.is_set()

    def resolve(self, value: Any) -> None:
        """Bring the answer; a second one is ignored."""
        if not self.settled:
            self._value = value
            self._settled.set()

    def fail(self, error: ChatdError) -> None:
        """Bring a failure; ignored when there is an answer already."""
        if not self.settled:
            self._error = error
            self._settled.set()

    def get(self, timeout: float | None) -> Any:
        """The answer. Raises what it failed with, or E611 after ``timeout`` seconds."""
        if not self._settled.wait(timeout):
            raise ChatdError(
                "E611", "the server did not answer in time", "try again; see also: chatctl stats"
            )
        if self._error is not None:
            # A fresh one each time: a raised exception carries its traceback along.
            raise ChatdError(self._error.code, self._error.reason, self._error.fix)
        return self._value


class Sent:
    """A message on its way. ``state``: pending (not answered yet), acknowledged (in the log), refused."""

    def __init__(self, msg_id: str, to: str, body: str, kind: str, reply_to: int | None) -> None:
        self.msg_id = msg_id
        self.to = to
        self.body = body
        self.kind = kind
        self.reply_to = reply_to
        self.order = 0
        self.state: Literal["pending", "acknowledged", "refused"] = "pending"
        self._promise = Promise()

    def __repr__(self) -> str:
        return f"Sent({self.msg_id} to {self.to}, {self.state})"

    def wait(self, timeout: float | None = None) -> SentResult:
        """Block until the server answered, at most ``timeout`` seconds (None: for ever).

        Raises the server's refusal, E611 on time-out, and what ended the client when it ended first
        (``state`` is still "pending" then: the message may or may not be in the log).
        """
        result: SentResult = self._promise.get(timeout)
        return result

    def acknowledge(self, result: SentResult) -> None:
        """The server has it. For the library only."""
        self.state = "acknowledged"
        self._promise.resolve(result)

    def refuse(self, error: ChatdError) -> None:
        """The server will not have it. For the library only."""
        self.state = "refused"
        self._promise.fail(error)

    def abandon(self, error: ChatdError) -> None:
        """Nobody will answer any more. For the library only."""
        self._promise.fail(error)


# A welcome lists no more rooms than these (docs/protocol.md, section 6).
WELCOME_ROOMS = 500


@dataclass(frozen=True)
class Connected:
    """A session is open."""

    welcome: ev.Welcome

    def lacks(self, room: str) -> bool:
        """Whether one is not in a room. What is missed is told of the rooms one is in, so nothing else
        tells that one was put out of it while there was no connection."""
        rooms = self.welcome.rooms
        return len(rooms) < WELCOME_ROOMS and room not in rooms


@dataclass(frozen=True)
class Restored:
    """The server has another log than this client knew: both are the same up to ``seq`` only. What the
    new one has after it is delivered next; what was shown after it may not be in it."""

    seq: int

    @property
    def text(self) -> str:
        """For a person."""
        return (
            "the server was restored from a backup: what it has since then is shown next;"
            " what you saw after that may be gone"
        )


@dataclass(frozen=True)
class Disconnected:
    """There is no session: ``retry_in`` seconds until the next attempt, None when there will be none."""

    error: ChatdError
    retry_in: float | None


@dataclass(frozen=True)
class Acknowledged:
    """A message is in the log."""

    sent: Sent


@dataclass(frozen=True)
class Refused:
    """A message was refused and is not sent again."""

    sent: Sent
    error: ChatdError


@dataclass(frozen=True)
class CaughtUp:
    """Everything up to ``cursor`` was delivered; what follows is live."""

    cursor: int


AnyLogged = (
    ev.Message | ev.Joined | ev.Parted | ev.RoomCreated | ev.DmOpened | ev.TopicSet | ev.Announcement
    | ev.Redacted | ev.Expired | ev.Held
)  # fmt: skip
Local = Connected | Restored | Disconnected | Acknowledged | Refused | CaughtUp
AnyEvent = Local | AnyLogged | ev.Presence | ev.Lagged | ev.Slowed | ev.Bye
