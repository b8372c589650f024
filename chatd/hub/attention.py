"""Tell those who may decide that a message or an ask waits for them."""

from __future__ import annotations

from typing import NamedTuple

from chatd.hub.session_door import SessionDoor
from chatd.hub.sessions import HubSession
from chatd.hub.state.ask_book import AskBook
from chatd.hub.state.model import State
from chatd.proto.frames import JsonObject, encode

# One frame of each kind in so long, whatever users and strangers do.
INTERVAL_MS = 30_000


class _Kind(NamedTuple):
    """What takes part in a decision: a session needs all ``permissions``."""

    what: str
    permissions: tuple[str, ...]


_REVIEW = ("message.review",)
_WAITING = (_Kind("held", _REVIEW), _Kind("ask", ("invite.create", "user.list")))
_KINDS = (*_WAITING, _Kind("withdrawn", _REVIEW))


class AttentionDesk:
    """The notices of one hub. Owned by its loop."""

    def __init__(self, door: SessionDoor, state: State, asks: AskBook) -> None:
        self._door = door
        self._state = state
        self._asks = asks
        # Kind -> the place or time of the newest that was told of, and when that was.
        self._told = {kind.what: (0, -INTERVAL_MS) for kind in _KINDS}

    def advance(self, now: int) -> None:
        """Tell of what is new since the last time, if that is long enough ago."""
        for kind in _KINDS:
            newest = self._withdrawn(now) if kind.what == "withdrawn" else self._newest(kind.what)
            last, at = self._told[kind.what]
            if newest is not None and newest[0] > last and not 0 <= now - at < INTERVAL_MS:
                self._told[kind.what] = (newest[0], now)
                self._door.notify(encode(newest[1]), kind.permissions)

    def greet(self, session: HubSession | None) -> None:
        """Tell a session that has just opened of what waits."""
        for kind in _WAITING:
            newest = self._newest(kind.what)
            if session is not None and newest is not None:
                self._door.notify_session(session, encode(newest[1]), kind.permissions)

    def _withdrawn(self, now: int) -> tuple[int, JsonObject] | None:
        """Return the place of the message withdrawn last, and its frame; None if that is long ago."""
        book = self._state.held
        one = book.withdrawn
        if one is None or now - book.withdrawn_at > INTERVAL_MS:
            return None
        return one.seq, _frame("withdrawn", len(book.by_seq), one.user, one.room)

    def _newest(self, what: str) -> tuple[int, JsonObject] | None:
        """Return the place or time of the newest that waits, and the frame that tells of it."""
        if what == "held":
            held = self._state.held.by_seq
            seq = next(reversed(held), None)
            return None if seq is None else (seq, _frame(what, len(held), held[seq].user, held[seq].room))
        ask = self._asks.newest()
        return None if ask is None else (ask.at, _frame(what, ask.waiting, ask.user, ask.address))


def _frame(what: str, count: int, user: str, place: str) -> JsonObject:
    return {"type": "attention", "what": what, "count": count, "user": user, "place": place}
