"""The live sessions by link, user and number. Owned by the hub's loop.

They are not part of the log: the workers report them, and a new hub asks for them anew.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chatd.hub.state.context import Principal
from chatd.policy.ratelimit import TokenBucket

if TYPE_CHECKING:
    from chatd.hub.links import Link


# More makes no difference to the worker (chatd.child.listener).
SURPLUS_LIMIT = 10


@dataclass(slots=True, eq=False)
class HubSession:
    """One authenticated connection.

    All sessions of a user share one ``bucket``. A ``live`` session gets events as they happen.
    ``must_resend``: a message was refused because the disk is full, so later ones must not overtake it.
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
    away: str = ""


class Sessions:
    """The registry of sessions. Implements `chatd.hub.state.context.PresenceView`."""

    def __init__(self) -> None:
        self.opened_total = 0
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
        first = not user.sessions
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
        user = self._users[session.who.user]
        user.sessions.discard(session)
        user.links[session.link.number] -= 1
        if not user.links[session.link.number]:
            del user.links[session.link.number]
        if user.sessions:
            return False
        del self._users[session.who.user]
        return True

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
        online = self._users.get(user)
        if online is None:
            return "offline", ""
        return ("away", online.away) if online.away else ("online", "")

    def sessions_of(self, user: str, device: str | None = None) -> tuple[int, int]:
        """See `PresenceView`."""
        online = self._users.get(user)
        if online is not None and device is None:
            return len(online.sessions), len(online.links)
        sessions = self.of_user(user, device)
        return len(sessions), len({s.link.number for s in sessions})

    def note_seen(self, who: Principal, now: int) -> None:
        """Note that a session of a device ends at ``now`` (ms)."""
        self._seen[who.device_id] = now

    def last_seen(self, user: str, device: str) -> int | None:
        """See `PresenceView`."""
        return self._seen.get(f"{user}/{device}")

    def set_away(self, user: str, text: str) -> None:
        """See `PresenceView`. The operator has no sessions and cannot be away."""
        if user in self._users:
            self._users[user].away = text
