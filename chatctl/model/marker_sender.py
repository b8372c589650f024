"""When to send read markers: at most one for a room in a while, and at once on leaving it. Pure."""

from __future__ import annotations

from typing import NamedTuple

from chatctl.client import Client
from chatctl.model.conversations import Conversations
from chatd.errors import ChatdError

# Between two markers of the room that is being read: each is an entry of the server's log.
MARKER_SECONDS = 30.0
# Markers sent when the client ends, and the seconds they may take together with a slow server.
LAST_MARKERS = 20
LAST_SECONDS = 1.0
# Refusals that mean that the server has no markers, or this role none.
_NEVER = frozenset(("E103", "E300"))


class Marker(NamedTuple):
    """A room, and the seq up to which the person has read it."""

    room: str
    seq: int


class MarkerSender:
    """Knows which markers were sent. Times are seconds of a monotonic clock."""

    def __init__(self, model: Conversations) -> None:
        self._model = model
        self._sent: dict[str, Marker] = {}
        self._sent_at: dict[str, float] = {}
        self._off = False
        self._restores = model.restores

    def due(self, now: float, *, all_rooms: bool = False) -> list[Marker]:
        """The markers to send now; they count as sent. ``all_rooms``: also those that could wait."""
        if self._off:
            return []
        if self._restores != self._model.restores:
            # The server has forgotten them, and what comes now has smaller numbers.
            self._restores = self._model.restores
            self._sent.clear()
        due = [marker for marker in map(self._wanted, self._model.conversations) if marker is not None]
        due = [marker for marker in due if all_rooms or self._may_go(marker.room, now)]
        for marker in due:
            self._sent[marker.room], self._sent_at[marker.room] = marker, now
        return due

    def failed(self, marker: Marker, error: ChatdError) -> None:
        """Send a marker again later, unless that is in vain."""
        self._off = self._off or error.code in _NEVER
        if self._sent.get(marker.room) == marker and error.code not in ("E301", "E404"):
            del self._sent[marker.room]

    def send_last(self, client: Client) -> None:
        """Send what is due at the end of the client; what fails is unread on the next start."""
        if not client.connected:
            return
        for marker in self.due(0.0, all_rooms=True)[:LAST_MARKERS]:
            try:
                client.request("read", room=marker.room, seq=marker.seq, timeout=LAST_SECONDS)
            except ChatdError:
                return

    def _wanted(self, room: str) -> Marker | None:
        state = self._model.conversations[room].read
        seq = state.read_upto
        if not state.marker and not seq and state.first:
            # A room without a marker: the next start would not know that this is unread.
            seq = state.first - 1
        sent = self._sent.get(room)
        newer = seq > max(state.marker, sent.seq if sent else 0)
        return Marker(room, seq) if newer else None

    def _may_go(self, room: str, now: float) -> bool:
        sent_at = self._sent_at.get(room)
        return sent_at is None or room != self._model.current or now - sent_at >= MARKER_SECONDS
