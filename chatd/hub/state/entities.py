"""What the state holds of users, devices, rooms and sanctions, and its form in a snapshot."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from chatd.hub.state.names import SortedNames
from chatd.proto.frames import JsonObject

DAY_MS = 86_400_000
# Modes of a room. A members room is entered by invitation, and in a read-only room only its owners write.
OPEN, MEMBERS, READ_ONLY = "open", "members", "read-only"
# What a member may read of the time before they joined.
ALL, SINCE_JOIN = "all", "since_join"


@dataclass(slots=True)
class Device:
    """One key pair of a user, identified by its certificate's serial.

    ``issued`` and ``ends``: when the certificate was issued and expires, in ms since 1970; ``ends`` is None
    if it was registered without that. ``by``: who let the device in. ``previous``: the serial of the
    certificate before the last renewal. It is accepted until its own end. ``key``: the SHA-256 of its
    SubjectPublicKeyInfo in hex; "" for devices registered without it. ``seen``: whether it has logged in, if
    that is to be told. ``why``: the reason of its revocation.
    """

    serial: str
    revoked: bool = False
    ends: int | None = None
    issued: int = 0
    by: str = ""
    previous: str | None = None
    key: str = ""
    seen: bool = False
    why: str = ""

    def revoke(self, why: str) -> None:
        """End the device for good. The first reason stays."""
        if not self.revoked:
            self.revoked, self.why = True, why

    def has(self, serial: str) -> bool:
        """Whether a certificate is the device's present one, or the one before it."""
        return serial in (self.serial, self.previous)

    def usable(self, now: int) -> bool:
        """Whether the device may log in at ``now``."""
        return not self.revoked and (self.ends is None or now < self.ends)

    def state(self, now: int) -> str:
        """Return "valid", "revoked" or "expired"."""
        if self.revoked:
            return "revoked"
        return "valid" if self.usable(now) else "expired"


@dataclass(slots=True)
class User:
    """A person. ``role`` was set by a `role_set` event; a role pinned in the settings wins over it."""

    role: str | None = None
    devices: dict[str, Device] = field(default_factory=dict)
    rooms: SortedNames = field(default_factory=SortedNames)
    # Configured rooms the user has left; autojoin skips them.
    left: set[str] = field(default_factory=set)
    # Room of the user -> the seq up to which the user has read it.
    markers: dict[str, int] = field(default_factory=dict)
    # Room -> the end of the user's invitation to it (ms since 1970).
    invites: dict[str, int] = field(default_factory=dict)
    # The day (days since 1970) on which the user last created a room, and the rooms created on it.
    created_day: int = 0
    created: int = 0
    # The name stays taken; only the box brings the user back.
    removed: bool = False
    # The reason of the removal.
    why: str = ""
    # A hook, or one that was removed: no person, and without devices.
    bot: bool = False
    # The display name, shown beside the name (ADR 5); "" for none.
    display: str = ""

    def created_on(self, now: int) -> int:
        """Return the number of rooms created on the UTC day of ``now``."""
        return self.created if self.created_day == now // DAY_MS else 0


@dataclass(slots=True)
class Room:
    """A room or a direct conversation and its members."""

    topic: str = ""
    guests: bool = False
    members: SortedNames = field(default_factory=SortedNames)
    # Nothing is redacted while the room is held.
    held: bool = False
    # Nobody enters or writes while the room is archived.
    archived: bool = False
    # Retention, or the removal of the room, has redacted messages up to this sequence number.
    expired: int = 0
    # Sequence numbers of the events that created and removed it. Events before the first, under the same
    # name, are of a former room.
    born: int = 0
    ended: int = 0
    mode: str = OPEN
    history: str = ALL
    owners: set[str] = field(default_factory=set)
    # Users with an invitation; `User.invites` has its end.
    invited: set[str] = field(default_factory=set)
    # Members that read only what follows a sequence number.
    floors: dict[str, int] = field(default_factory=dict)
    # Up to this sequence number the room was a members room. While it is none, new members read what follows.
    sealed: int = 0

    @property
    def door(self) -> str:
        """Whom a list of rooms shows it to: "members", "closed" (all but guests) or "guests" (everybody)."""
        if self.mode == MEMBERS:
            return MEMBERS
        return "guests" if self.guests else "closed"

    def begin(self, member: str) -> int:
        """Return the sequence number after which a member reads."""
        return max(self.born - 1, self.floors.get(member, 0))

    def enter(self, user: str, seq: int) -> None:
        """Add a member whose join has this sequence number."""
        self.members.add(user)
        if self.history == SINCE_JOIN:
            self.floors[user] = seq - 1
        elif self.sealed and self.mode != MEMBERS:
            self.floors[user] = self.sealed

    def leave(self, user: str) -> None:
        """Remove a member with all they have in the room."""
        self.members.discard(user)
        self.owners.discard(user)
        self.floors.pop(user, None)

    def set_mode(self, mode: str, seq: int) -> None:
        """Change the mode. What was written among members stays among them."""
        if self.mode == MEMBERS and mode != MEMBERS:
            self.sealed = seq
        self.mode = mode


@dataclass(slots=True)
class Sanction:
    """A ban, mute or kick. ``until``: ms since 1970; None lasts until undone."""

    until: int | None
    reason: str
    by: str
    at: int

    def holds(self, now: int) -> bool:
        """Whether the sanction is in force at ``now``."""
        return self.until is None or now < self.until


# Collections of a room that a snapshot holds as lists.
_SETS = ("members", "owners", "invited")


def plain_user(user: User) -> JsonObject:
    """Return a user as JSON, for `user_of`."""
    return {
        "role": user.role,
        "devices": {name: asdict(device) for name, device in user.devices.items()},
        "rooms": list(user.rooms),
        "left": sorted(user.left),
        "markers": user.markers,
        "invites": user.invites,
        "created_day": user.created_day,
        "created": user.created,
        "removed": user.removed,
        "why": user.why,
        "bot": user.bot,
        "display": user.display,
    }


def user_of(plain: JsonObject) -> User:
    """Return the user from what `plain_user` returned."""
    devices = {name: Device(**device) for name, device in plain["devices"].items()}
    sets = {"rooms": SortedNames(plain["rooms"]), "left": set(plain["left"])}
    return User(**plain | {"devices": devices} | sets)


def plain_room(room: Room) -> JsonObject:
    """Return a room as JSON, for `room_of`."""
    sets = {name: sorted(getattr(room, name)) for name in _SETS}
    return {name: getattr(room, name) for name in Room.__slots__} | sets


def room_of(plain: JsonObject) -> Room:
    """Return the room from what `plain_room` returned."""
    # Rooms had no owners and invitations before 0.1.0.
    sets = {name: set(plain.get(name, ())) for name in _SETS}
    return Room(**plain | sets | {"members": SortedNames(plain["members"])})
