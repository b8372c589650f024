"""The live sessions by link, user and number. Owned by the hub's loop.

They are not part of the log: the workers report them, and a new hub asks for them anew.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chatd.hub.remote_sessions import AwayText, Elsewhere, RemoteSessions
from chatd.hub.state.context import Principal
from chatd.policy.ratelimit import TokenBucket
from chatd.proto.frames import JsonObject

if TYPE_CHECKING:
    from chatd.hub.links import Link


# More makes no difference to the worker (chatd.child.listener).
SURPLUS_LIMIT = 10


@dataclass(slots=True, eq=False)
class HubSession:
    """One authenticated connection.

    All sessions of a user share one ``bucket``. A ``live`` session gets events as they happen.
    ``must_resend``: a message was refused that the client sends again, as its disk was full or its leader out
    of reach; later ones must not overtake it.
    """

    link: Link
    sid: int
    who: Principal
    address: str
    bucket: TokenBucket
    live: bool = False
    must_resend: bool = False


@dataclass(slots=True)
class _OnlineUser:
    sessions: set[HubSession] = field(default_factory=set)
    # Link number -> sessions on it.
    links: Counter[int] = field(default_factory=Counter)
    away: AwayText = field(default_factory=AwayText)


class Sessions:
    """The registry of sessions. Implements `chatd.hub.state.context.PresenceView`.

    ``remote`` has those at other nodes: they count for presence, and for a user's number of sessions.
    """

    def __init__(self) -> None:
        self.opened_total = 0
        self.remote = RemoteSessions()
        # Users whose sessions here have changed since `take_changed`; None if nobody asks.
        self._changed: set[str] | None = None
        self._news: list[tuple[str, JsonObject]] = []
        self._users: dict[str, _OnlineUser] = defaultdict(_OnlineUser)
        self._on_link: Counter[int] = Counter()
        self._by_key: dict[tuple[int, int], HubSession] = {}
        # "user/device" -> when its last session ended. Bounded by the registered devices.
        self._seen: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[HubSession]:
        return iter(list(self._by_key.values()))

    def add(self, session: HubSession) -> bool:
        """Add a session; return whether its user came online with it."""
        user = self._users[session.who.user]
        first = not user.sessions and not self.remote.of_user(session.who.user)
        self._note_change(session.who.user)
        user.sessions.add(session)
        user.links[session.link.number] += 1
        self._by_key[session.link.number, session.sid] = session
        self._on_link[session.link.number] += 1
        self.opened_total += 1
        return first

    def remove(self, session: HubSession) -> bool:
        """Remove a session; return whether its user went offline with it."""
        if self._by_key.pop((session.link.number, session.sid), None) is None:
            return False
        self._on_link[session.link.number] -= 1
        if not self._on_link[session.link.number]:
            del self._on_link[session.link.number]
        self._note_change(session.who.user)
        user = self._users[session.who.user]
        user.sessions.discard(session)
        user.links[session.link.number] -= 1
        if not user.links[session.link.number]:
            del user.links[session.link.number]
        if user.sessions:
            return False
        del self._users[session.who.user]
        return not self.remote.of_user(session.who.user)

    def get(self, link: Link, sid: int) -> HubSession | None:
        """Return the session that the link calls ``sid``."""
        return self._by_key.get((link.number, sid))

    def of_user(self, user: str, device: str | None = None) -> list[HubSession]:
        """Return a user's sessions, or those of one device."""
        online = self._users.get(user)
        if online is None:
            return []
        return [s for s in online.sessions if device is None or s.who.device == device]

    def surplus_of(self, workers: Sequence[Link]) -> dict[Link, int]:
        """Return each worker's sessions above the mean of these workers, at most `SURPLUS_LIMIT`."""
        counts = {link: self._on_link[link.number] for link in workers}
        mean = sum(counts.values()) / len(counts) if counts else 0.0
        return {link: min(SURPLUS_LIMIT, max(0, int(own - mean))) for link, own in counts.items()}

    def of_link(self, link: Link) -> list[HubSession]:
        """Return every session of a worker."""
        return [s for s in self._by_key.values() if s.link is link]

    def state_of(self, user: str) -> tuple[str, str]:
        """See `PresenceView`."""
        online, remote = self._users.get(user), self.remote.of_user(user)
        if online is None and not remote:
            return "offline", ""
        here = [online.away] if online is not None else []
        away = max([*here, *(elsewhere.away for elsewhere in remote)])
        return ("away", away.text) if away.text else ("online", "")

    def sessions_of(self, user: str, device: str | None = None) -> tuple[int, int]:
        """See `PresenceView`."""
        sessions = self.of_user(user, device)
        links = len({session.link.number for session in sessions})
        count = len(sessions)
        for elsewhere in self.remote.of_user(user):
            there = sum(n for name, n in elsewhere.devices.items() if device in (None, name))
            count += there
            links += min(there, elsewhere.links)
        return count, links

    def users(self) -> Iterable[str]:
        """Return the users with sessions here."""
        return self._users.keys()

    def here(self, user: str) -> Elsewhere:
        """Return a user's sessions here, as other nodes are told of them."""
        online = self._users.get(user)
        if online is None:
            return Elsewhere({}, 0, AwayText())
        devices = Counter(session.who.device for session in online.sessions)
        return Elsewhere(devices, len(online.links), online.away)

    def take_changed(self) -> set[str]:
        """Return the users whose sessions here have changed since the last call."""
        changed, self._changed = self._changed, set()
        return changed or set()

    def note_news(self, user: str, notice: JsonObject) -> None:
        """Note what a user's rooms are told beside presence, for the other nodes."""
        if self._changed is not None:
            self._news.append((user, notice))

    def take_news(self) -> list[tuple[str, JsonObject]]:
        """Return what was noted since the last call."""
        news, self._news = self._news, []
        return news

    def track_changes(self) -> None:
        """Keep from now on what `take_changed` and `take_news` return."""
        self._changed = set()

    def _note_change(self, user: str) -> None:
        if self._changed is not None:
            self._changed.add(user)

    def note_elsewhere(self, node: str, user: str, elsewhere: Elsewhere) -> None:
        """Note a user's sessions at another node."""
        now = _now()
        for before in self.remote.of_user(user):
            for device in before.devices:
                self._seen[f"{user}/{device}"] = now
        self.remote.note(node, user, elsewhere)
        online = self._users.get(user)
        if online is not None and elsewhere.devices:
            # It stays when the sessions there end.
            online.away = max(online.away, elsewhere.away)

    def note_seen(self, who: Principal, now: int) -> None:
        """Note that a session of a device ends at ``now`` (ms)."""
        self._seen[who.device_id] = now

    def last_seen(self, user: str, device: str) -> int | None:
        """See `PresenceView`."""
        return self._seen.get(f"{user}/{device}")

    def set_away(self, user: str, text: str) -> None:
        """See `PresenceView`. The operator has no sessions and cannot be away."""
        if user in self._users:
            self._users[user].away = AwayText(_now(), text)
            self._note_change(user)


def _now() -> int:
    return time.time_ns() // 1_000_000
