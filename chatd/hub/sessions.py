"""Who is connected right now: sessions by link, user and room. Owned by the hub's loop.

Not part of the log: it is what the workers say, and it is built anew when the hub starts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chatd.hub.state.context import Principal

if TYPE_CHECKING:
    from chatd.hub.links import Link


@dataclass(slots=True, eq=False)
class Session:
    """One authenticated connection. ``live``: it gets events as they happen."""

    link: Link
    sid: int
    who: Principal
    address: str
    live: bool = False


@dataclass(slots=True)
class _Person:
    sessions: set[Session] = field(default_factory=set)
    # How many of them are on which link, by its number.
    links: Counter[int] = field(default_factory=Counter)
    away: str = ""


class Sessions:
    """The registry; implements `chatd.hub.state.context.PresenceView`."""

    def __init__(self) -> None:
        self.opened_total = 0
        self._people: dict[str, _Person] = defaultdict(_Person)
        self._by_key: dict[tuple[int, int], Session] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def add(self, session: Session) -> bool:
        """Take a session in; whether its user came online with it."""
        person = self._people[session.who.user]
        first = not person.sessions
        person.sessions.add(session)
        person.links[session.link.number] += 1
        self._by_key[session.link.number, session.sid] = session
        self.opened_total += 1
        return first

    def remove(self, session: Session) -> bool:
        """Forget a session; whether its user went offline with it."""
        if self._by_key.pop((session.link.number, session.sid), None) is None:
            return False
        person = self._people[session.who.user]
        person.sessions.discard(session)
        person.links[session.link.number] -= 1
        if not person.links[session.link.number]:
            del person.links[session.link.number]
        if person.sessions:
            return False
        del self._people[session.who.user]
        return True

    def get(self, link: Link, sid: int) -> Session | None:
        """The session that a link knows as ``sid``."""
        return self._by_key.get((link.number, sid))

    def of_user(self, user: str, device: str | None = None) -> list[Session]:
        """A user's sessions, or those of one device."""
        person = self._people.get(user)
        if person is None:
            return []
        return [s for s in person.sessions if device is None or s.who.device == device]

    def of_link(self, link: Link) -> list[Session]:
        """Every session of a worker."""
        return [s for s in self._by_key.values() if s.link is link]

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._by_key.values()))

    def online(self, user: str) -> bool:
        """Whether a user has any session."""
        return user in self._people

    def state_of(self, user: str) -> tuple[str, str]:
        """Presence, see `PresenceView`."""
        person = self._people.get(user)
        if person is None:
            return "offline", ""
        return ("away", person.away) if person.away else ("online", "")

    def sessions_of(self, user: str, device: str | None = None) -> tuple[int, int]:
        """Number of sessions and of workers they are on, see `PresenceView`."""
        person = self._people.get(user)
        if person is not None and device is None:
            return len(person.sessions), len(person.links)
        sessions = self.of_user(user, device)
        return len(sessions), len({s.link.number for s in sessions})

    def set_away(self, user: str, text: str) -> None:
        """See `PresenceView`. The operator has no sessions and cannot be away."""
        if user in self._people:
            self._people[user].away = text
