"""Each hub tells the others of its sessions, so that all have one view of who is there.

    header                            payload
    incarnation, first, last          users with their sessions (JSON)
    incarnation                       users whose sessions have changed
    incarnation, "news", user         what the user's rooms are told

With ``first`` and ``last`` (null: no more), users from one name up to before the other who are not named have
no session; a hub tells all so every `ALL_SECONDS`, which makes good what is lost. Each start has another
``incarnation``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Final, Protocol

import orjson

from chatd.cluster.peer_link import PeerLink, PeerMessage
from chatd.hub.remote_sessions import AwayText, Elsewhere
from chatd.hub.sessions import Sessions
from chatd.proto.frames import JsonObject

KIND: Final = "sessions"
# How often a hub tells that it is alive, and everything.
ALIVE_SECONDS: Final = 1.0
ALL_SECONDS: Final = 10.0
# A node that is silent for so long has no sessions any more, and what a new hub does not tell in it neither.
SILENCE_SECONDS: Final = 5.0
# Users in one message.
_PART: Final = 1000


class Tell(Protocol):
    """Tells this node's sessions of a user's presence; see `Fanout.presence`."""

    def __call__(self, user: str, state: str, text: str = "", notice: JsonObject | None = None) -> None: ...


class Gossip:
    """One hub's part. Owned by its loop."""

    def __init__(
        self,
        peers: PeerLink,
        sessions: Sessions,
        tell: Tell,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._peers = peers
        self._sessions = sessions
        self._tell = tell
        self._clock = clock
        self._incarnation = int.from_bytes(os.urandom(4), "big")
        sessions.track_changes()
        self._sent_at = self._all_at = -ALL_SECONDS
        # Node -> its incarnation, when it was heard last, when that incarnation was first heard.
        self._nodes: dict[str, tuple[int, float, float]] = {}

    def take(self, message: PeerMessage) -> None:
        """Take a message of kind `KIND`. Raises ValueError for a malformed one."""
        node, now = message.sender, self._clock()
        incarnation, *bounds = message.header
        known, _, since = self._nodes.get(node, (incarnation, 0.0, now))
        if known != incarnation:
            self._sessions.remote.doubt(node)
            since = now
        self._nodes[node] = (incarnation, now, since)
        if bounds[:1] == ["news"]:
            user = str(bounds[1])
            self._tell(user, *self._sessions.state_of(user), orjson.loads(message.payload))
            return
        told = {user: _elsewhere(*fields) for user, fields in orjson.loads(message.payload).items()}
        gone: Iterable[str] = ()
        if bounds:
            first, last = bounds
            # A hub that has begun anew does not know all of its sessions yet.
            kept = told.keys() | set(self._sessions.remote.unconfirmed(node))
            gone = [user for user in self._sessions.remote.between(node, first, last) if user not in kept]
        self._note(node, told | dict.fromkeys(gone, _NOWHERE))

    def advance(self) -> None:
        """Tell what has changed, and forget nodes that are silent; once in each iteration."""
        now = self._clock()
        changed = self._sessions.take_changed()
        if now - self._all_at >= ALL_SECONDS:
            self._all_at = self._sent_at = now
            for first, last, users in self._parts():
                self._send([first, last], users)
        elif changed or now - self._sent_at >= ALIVE_SECONDS:
            self._sent_at = now
            self._send([], changed)
        for user, notice in self._sessions.take_news():
            self._peers.send(None, KIND, [self._incarnation, "news", user], orjson.dumps(notice))
        for node, (_, heard, since) in list(self._nodes.items()):
            if now - heard >= SILENCE_SECONDS:
                del self._nodes[node]
                self._end(node, self._sessions.remote.between(node, "", None))
            elif now - since >= SILENCE_SECONDS:
                self._end(node, self._sessions.remote.unconfirmed(node))

    def _end(self, node: str, users: Iterable[str]) -> None:
        self._note(node, dict.fromkeys(users, _NOWHERE))

    def _note(self, node: str, told: Mapping[str, Elsewhere]) -> None:
        for user, elsewhere in told.items():
            before = self._sessions.state_of(user)
            self._sessions.note_elsewhere(node, user, elsewhere)
            after = self._sessions.state_of(user)
            if after != before:
                self._tell(user, *after)

    def _parts(self) -> Iterator[tuple[str, str | None, list[str]]]:
        users = sorted(self._sessions.users())
        starts: list[str | None] = ["", *users[_PART::_PART], None]
        for number, (first, last) in enumerate(pairwise(starts)):
            yield str(first), last, users[number * _PART : (number + 1) * _PART]

    def _send(self, bounds: list[Any], users: Iterable[str]) -> None:
        here = ((user, self._sessions.here(user)) for user in users)
        told = {user: [one.devices, one.links, list(one.away)] for user, one in here}
        self._peers.send(None, KIND, [self._incarnation, *bounds], orjson.dumps(told))


_NOWHERE: Final = Elsewhere({}, 0, AwayText())


def _elsewhere(devices: Mapping[str, int], links: int, away: list[Any]) -> Elsewhere:
    at, text = away
    return Elsewhere(
        {str(name): int(count) for name, count in devices.items()}, int(links), AwayText(at, str(text))
    )
