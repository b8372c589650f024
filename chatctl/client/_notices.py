"""The library's own events, which are not the server's, and the handle of a sent message."""

from __future__ import annotations

from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

from chatd.errors import ChatdError
from chatd.proto import events as ev
from chatd.proto.lineage import Branch

T = TypeVar("T")


class SentResult(NamedTuple):
    """The server's answer to a message.

    ``seq``: its place in the log. ``at``: the server's time in ms since 1970 UTC. ``notes``: changes
    that the server made to the text, each with ``rule`` and ``text``. ``held``: the message is not published
    but waits for a moderator.
    """

    seq: int
    at: int
    notes: list[dict[str, Any]]
    held: bool = False


def wait_for(future: Future[T], timeout: float | None) -> T:
    """The result of ``future``. Raises the ChatdError it failed with, E611 after ``timeout`` seconds."""
    try:
        return future.result(timeout)
    except TimeoutError:
        raise ChatdError(
            "E611", "the server did not answer in time", "try again; see also: chatctl stats"
        ) from None
    except ChatdError as error:
        raise copy_of(error) from None


def settle(future: Future[T], outcome: T | ChatdError) -> None:
    """Set the outcome, unless there is one or the caller has stopped waiting."""
    try:
        if isinstance(outcome, ChatdError):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
    except InvalidStateError:
        pass


def copy_of(error: ChatdError) -> ChatdError:
    """A copy to raise: an exception raised in two threads would mix their tracebacks."""
    return ChatdError(error.code, error.reason, error.fix)


# The kind of a `Sent` that changes a message.
EDIT = "edit"
# Ends the kind of a `Sent` that is sent although it has a forbidden word.
ANYWAY = "!"


class Sent:
    """A message handed to `Client.send`, or the new text of one handed to `Client.edit`.

    ``kind`` is "edit" for the latter, and ``reply_to`` is then the seq of the message. ``state``:
    "pending" (not answered yet), "acknowledged" (in the log) or "refused". ``order``: its place among
    the messages that this client sends.
    """

    def __init__(self, msg_id: str, to: str, body: str, kind: str, reply_to: int | None) -> None:
        self.msg_id = msg_id
        self.to = to
        self.body = body
        self.kind = kind
        self.reply_to = reply_to
        self.order = 0
        self.state: Literal["pending", "acknowledged", "refused"] = "pending"
        # The newest refusal that means "not now".
        self.put_off: ChatdError | None = None
        self._answer: Future[SentResult] = Future()

    @property
    def edits(self) -> int | None:
        """The seq of the message that this changes; None for a message of its own."""
        return self.reply_to if self.kind == EDIT else None

    def __repr__(self) -> str:
        return f"Sent({self.msg_id} to {self.to}, {self.state})"

    def wait(self, timeout: float | None = None) -> SentResult:
        """Block until the server has answered, for at most ``timeout`` seconds (None: no limit).

        Raises the server's refusal, E611 after ``timeout``, or the error that ended the client. After
        the last, ``state`` is still "pending": the message may or may not be in the log.
        """
        try:
            return wait_for(self._answer, timeout)
        except ChatdError as error:
            if error.code == "E611" and (why := self.put_off) is not None:
                reason = f"the server does not take it now: {why.reason} ({why.code})"
                raise ChatdError("E611", reason, why.fix) from None
            raise


def acknowledge(sent: Sent, result: SentResult) -> None:
    """Complete a message: it is in the log."""
    sent.state = "acknowledged"
    settle(sent._answer, result)


def refuse(sent: Sent, error: ChatdError) -> None:
    """Complete a message: the server has refused it."""
    sent.state = "refused"
    settle(sent._answer, error)


def abandon(sent: Sent, error: ChatdError) -> None:
    """End the waiting for a message that stays pending: there will be no answer."""
    settle(sent._answer, error)


# The longest list of rooms in a welcome (docs/protocol.md, section 6).
WELCOME_ROOMS = 500


@dataclass(frozen=True)
class Connected:
    """A session is open."""

    welcome: ev.Welcome

    @property
    def has_all_rooms(self) -> bool:
        """Whether the welcome lists all rooms and direct conversations of this user."""
        return len(self.welcome.rooms) < WELCOME_ROOMS

    def lacks(self, room: str) -> bool:
        """Whether this user is certainly not in ``room``.

        Events that were missed are sent for current rooms only, so being removed from a room while
        disconnected shows here and nowhere else.
        """
        return self.has_all_rooms and room not in self.welcome.rooms


@dataclass(frozen=True)
class Restored:
    """The server was restored from a backup: its log equals the known one up to ``seq`` only.

    The new log's events after ``seq`` are delivered next; events delivered before may not be in it.
    """

    seq: int

    @property
    def text(self) -> str:
        """The explanation to show to a person."""
        return (
            "the server was restored from a backup: what it has since then is shown next;"
            " what you saw after that may be gone"
        )


@dataclass(frozen=True)
class Disconnected:
    """There is no session. ``retry_in``: seconds until the next attempt; None if there will be none."""

    error: ChatdError
    retry_in: float | None


@dataclass(frozen=True)
class Acknowledged:
    """A message is in the log, or waits for a moderator."""

    sent: Sent


@dataclass(frozen=True)
class Refused:
    """The server has refused a message; it is not sent again."""

    sent: Sent
    error: ChatdError


@dataclass(frozen=True)
class CaughtUp:
    """All missed events up to the seq ``cursor`` were delivered; later ones are live."""

    cursor: int


AnyLogged = (
    ev.Message | ev.Edited | ev.Reacted | ev.Joined | ev.Parted | ev.RoomCreated | ev.DmOpened
    | ev.TopicSet | ev.Announcement | ev.Redacted | ev.Expired | ev.Held | ev.Archived
    | ev.RoomRemoved | ev.ReadMarker | ev.GuestReminded
    | ev.MessageHeld | ev.MessageApproved | ev.MessageRefused
)  # fmt: skip
Local = Connected | Restored | Disconnected | Acknowledged | Refused | CaughtUp
AnyEvent = (
    Local | AnyLogged
    | ev.Presence | ev.Standing | ev.Attention | ev.Lagged | ev.Slowed | ev.Isolated | ev.Bye
)  # fmt: skip


class SavedState(NamedTuple):
    """An earlier client's unanswered messages, its cursor, and the lineage of the cursor's log."""

    unanswered: list[Sent]
    cursor: int | None
    lineage: tuple[Branch, ...]
