"""The invites of a server: what the state holds of them, and how events change it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from chatd.proto.frames import JsonObject

# Open invites of a server. Admins make them, so that this only bounds a script that runs wild.
OPEN_LIMIT = 1_000
# With the ended ones, which are kept to tell why a code no longer works. The oldest make room.
KEPT_LIMIT = 2 * OPEN_LIMIT
# Hex digits of the secret's hash that name an invite.
ID_DIGITS = 16


@dataclass(slots=True)
class Invite:
    """One invite. Times are in ms since 1970; ``device`` is None if the client may choose it.

    ``own``: for another device of an existing user, who made it. ``key``, ``serial``, ``issued`` and ``ends``
    tell the certificate once it is redeemed. ``guest_until``: when the new user's time ends, for whom
    ``sponsor`` answers; None for one who stays.
    """

    user: str
    role: str | None
    device: str | None
    rooms: list[str]
    until: int
    by: str
    at: int
    own: bool = False
    cancelled: bool = False
    key: str = ""
    serial: str = ""
    issued: int = 0
    ends: int = 0
    guest_until: int | None = None
    sponsor: str = ""

    @property
    def redeemed(self) -> bool:
        return bool(self.key)

    def is_open(self, now: int) -> bool:
        """Whether it can be redeemed at ``now``."""
        return not self.cancelled and not self.redeemed and now < self.until

    def state(self, now: int) -> str:
        """Return "open", "used", "cancelled" or "expired"."""
        if self.redeemed:
            return "used"
        if self.cancelled:
            return "cancelled"
        return "open" if now < self.until else "expired"


@dataclass(slots=True)
class InviteBook:
    """All invites by the SHA-256 of their secrets in hex, in the order in which they were made."""

    by_hash: dict[str, Invite] = field(default_factory=dict)

    def open_ones(self, now: int) -> Iterator[tuple[str, Invite]]:
        """Yield the invites that can be redeemed at ``now``."""
        return ((key, one) for key, one in self.by_hash.items() if one.is_open(now))

    def open_for(self, user: str, now: int) -> tuple[str, Invite] | None:
        """Return the open invite for a user."""
        return next((found for found in self.open_ones(now) if found[1].user == user), None)

    def created(self, event: JsonObject) -> None:
        """Apply an `invite_created` event."""
        if len(self.by_hash) >= KEPT_LIMIT:
            ended = (key for key, one in self.by_hash.items() if not one.is_open(event["at"]))
            del self.by_hash[next(ended)]
        fields = ("user", "role", "device", "rooms", "until", "by", "at", "own")
        self.by_hash[event["secret_hash"]] = Invite(
            **{name: event[name] for name in fields},
            guest_until=event.get("guest_until"),
            sponsor=event.get("sponsor", ""),
        )

    def cancelled(self, event: JsonObject) -> None:
        """Apply an `invite_cancelled` event."""
        if (invite := self._find(event["invite"])) is not None:
            invite.cancelled = True

    def count_by(self, by: str, now: int) -> int:
        """Return the number of open invites that a user has made."""
        return sum(one.by == by for _, one in self.open_ones(now))

    def withdraw(self, by: str, now: int) -> None:
        """Cancel the open invites that a user has made."""
        for _, one in self.open_ones(now):
            if one.by == by:
                one.cancelled = True

    def withdraw_for(self, user: str, now: int) -> None:
        """Cancel the open invite for a user."""
        if (found := self.open_for(user, now)) is not None:
            found[1].cancelled = True

    def redeemed(self, event: JsonObject) -> None:
        """Apply an `invite_redeemed` event."""
        invite = self._find(event["invite"])
        if invite is None:
            return
        invite.device, invite.key, invite.serial = event["device"], event["key_hash"], event["serial"]
        invite.issued, invite.ends = event["issued"], event["ends"]

    def _find(self, identifier: str) -> Invite | None:
        """Return an invite; None if it has made room for others.

        An older chatd kept those of a user whose device was revoked, so that its log may go on with them.
        """
        return next((one for key, one in self.by_hash.items() if key.startswith(identifier)), None)

    def plain(self) -> JsonObject:
        """Return the invites as JSON, for `book_of`."""
        return {key: asdict(one) for key, one in self.by_hash.items()}


def book_of(plain: JsonObject) -> InviteBook:
    """Return the invites from what `InviteBook.plain` returned."""
    return InviteBook({key: Invite(**one) for key, one in plain.items()})
