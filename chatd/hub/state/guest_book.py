"""The guests whose time ends: what the state holds of them, and how events change it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from chatd.hub.state.entities import User
from chatd.proto.frames import JsonObject

HOUR_MS = 3_600_000
# The sponsor is reminded so long before the end.
REMINDERS_MS = (24 * HOUR_MS, HOUR_MS)


@dataclass(slots=True)
class Guest:
    """A user who is one until ``ends`` (ms since 1970). ``sponsor`` answers for them.

    ``seen``: the time up to which reminders are done. ``ended``: the event that ends them is in the log, and
    ``why`` its reason.
    """

    ends: int
    sponsor: str
    seen: int
    ended: bool = False
    why: str = ""

    def holds(self, now: int) -> bool:
        """Whether the guest may be here at ``now``."""
        return not self.ended and now < self.ends

    @property
    def due(self) -> int:
        """When the next event about the guest is due: a reminder, or the end."""
        reminders = (self.ends - before for before in REMINDERS_MS)
        return min((at for at in reminders if at > self.seen), default=self.ends)


@dataclass(slots=True)
class GuestBook:
    """All guests by name, the ended ones included. Bounded by the users."""

    by_name: dict[str, Guest] = field(default_factory=dict)
    # The earliest `Guest.due`; None if that is to be computed anew.
    _next: int | None = field(default=None, compare=False)

    def next_due(self) -> int | None:
        """Return when the next event is due; None if there is no guest who is to end."""
        if self._next is None:
            self._next = min((one.due for one in self.by_name.values() if not one.ended), default=-1)
        return None if self._next < 0 else self._next

    def due(self, now: int, limit: int) -> list[str]:
        """Return up to ``limit`` guests about whom an event is due."""
        at = self.next_due()
        if at is None or now < at:
            return []
        found = [name for name, one in self.by_name.items() if not one.ended and one.due <= now]
        return found[:limit]

    def has_ended(self, user: str, now: int) -> bool:
        """Whether a user was a guest whose time has ended."""
        guest = self.by_name.get(user)
        return guest is not None and not guest.holds(now)

    def set(self, event: JsonObject) -> None:
        """Apply a `guest_set` event. Without an end the user is no guest any more."""
        if event["ends"] is None:
            self.forget(event["user"])
            return
        self._next = None
        self.by_name[event["user"]] = Guest(event["ends"], event["sponsor"], event["at"])

    def forget(self, user: str) -> None:
        """Let a user be no guest any more."""
        self._next = None
        self.by_name.pop(user, None)

    def reminded(self, event: JsonObject) -> None:
        """Apply a `guest_reminded` event."""
        self._next = None
        self.by_name[event["guest"]].seen = event["at"]

    def ended(self, event: JsonObject, user: User) -> None:
        """Apply a `guest_ended` event: the user's certificates end, too."""
        self._next = None
        guest = self.by_name[event["user"]]
        guest.ended, guest.why = True, event["reason"]
        for device in user.devices.values():
            device.revoke(event["reason"])

    def plain(self) -> JsonObject:
        """Return the guests as JSON, for `guests_of`."""
        return {name: asdict(one) for name, one in self.by_name.items()}


def guests_of(plain: JsonObject) -> GuestBook:
    """Return the guests from what `GuestBook.plain` returned."""
    return GuestBook({name: Guest(**one) for name, one in plain.items()})
