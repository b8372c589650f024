"""The hub's state, and the one function that applies a logged event to it.

Messages change only ``head``, so a replay applies just the other events.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from chatd.hub.state.entities import DAY_MS as DAY_MS
from chatd.hub.state.entities import MEMBERS, SINCE_JOIN, plain_room, plain_user, room_of, user_of
from chatd.hub.state.entities import Device as Device
from chatd.hub.state.entities import Room as Room
from chatd.hub.state.entities import Sanction as Sanction
from chatd.hub.state.entities import User as User
from chatd.hub.state.guest_book import GuestBook, guests_of
from chatd.hub.state.invite_book import InviteBook, book_of
from chatd.hub.state.names import EndingNames, SortedNames
from chatd.proto.frames import JsonObject
from chatd.proto.text import dm_members, is_group

# The pseudo-room of announcements; everybody is a member.
EVERYONE = "*"
# The author of events that settings, start-up or the operator's commands cause. No user can have this name.
SERVER = "server"
# Mutes of a server; ended ones make room for others. Limits of users and rooms bound only their product.
MUTES_LIMIT = 10_000


@dataclass(slots=True)
class State:
    """All the state that decisions depend on. Changed by `apply` and `add_written` only."""

    head: int = 0
    users: dict[str, User] = field(default_factory=dict)
    rooms: dict[str, Room] = field(default_factory=dict)
    # Removed rooms whose messages are not all redacted yet: nobody is in them, their names are not free.
    removing: dict[str, Room] = field(default_factory=dict)
    # Room without members -> since when (ms since 1970).
    empty: dict[str, int] = field(default_factory=dict)
    bans: dict[str, Sanction] = field(default_factory=dict)
    kicks: dict[str, Sanction] = field(default_factory=dict)
    # (user, room), room "" = everywhere
    mutes: dict[tuple[str, str], Sanction] = field(default_factory=dict)
    invites: InviteBook = field(default_factory=InviteBook)
    guests: GuestBook = field(default_factory=GuestBook)
    # The settings last recorded in the log, by their paths; `chatd.hub.state.settings_record`.
    settings: dict[str, Any] = field(default_factory=dict)
    # User -> the UTC day (days since 1970) on which they last wrote, and the bytes of that day's entries.
    # Not compared: a replay skips messages, and a redacted body has no length any more.
    written: dict[str, tuple[int, int]] = field(default_factory=dict, compare=False)
    # What follows from the others, sorted for lists. (archived, `Room.door`) -> names of rooms
    listed: dict[tuple[bool, str], SortedNames] = field(init=False, compare=False)
    user_names: SortedNames = field(init=False, compare=False)
    banned: EndingNames = field(init=False, compare=False)

    def __post_init__(self) -> None:
        kinds: dict[tuple[bool, str], list[str]] = {
            (archived, door): [] for archived in (False, True) for door in ("guests", "closed", MEMBERS)
        }
        for name, room in self.rooms.items():
            if name[0] == "#":
                kinds[room.archived, room.door].append(name)
        self.listed = {kind: SortedNames(names) for kind, names in kinds.items()}
        self.user_names = SortedNames(self.users)
        self.banned = EndingNames({name: ban.until for name, ban in self.bans.items()})

    @property
    def room_count(self) -> int:
        """The number of rooms, those being removed included."""
        return sum(map(len, self.listed.values())) + len(self.removing)

    @property
    def conversation_count(self) -> int:
        """The number of direct conversations and groups."""
        return len(self.rooms) - sum(map(len, self.listed.values()))

    def apply(self, event: JsonObject) -> None:
        """Apply one logged event. Raises KeyError for an unknown kind (a defect)."""
        self.head = event["seq"]
        KINDS[present_name(event["type"])].apply(self, event)

    def add_written(self, user: str, day: int, size: int) -> None:
        """Count the bytes of a user's entries. A clock that was set back does not start a day anew."""
        last, before = self.written.get(user, (day, 0))
        self.written[user] = (last, before + size) if last >= day else (day, size)

    def snapshot(self) -> bytes:
        """Return the whole state as JSON, for `restore`."""
        newest = max((day for day, _ in self.written.values()), default=0)
        mutes = [[user, room, asdict(s)] for (user, room), s in self.mutes.items()]
        return json.dumps(
            {
                "head": self.head,
                "users": {name: plain_user(user) for name, user in self.users.items()},
                "rooms": {name: plain_room(room) for name, room in self.rooms.items()},
                "removing": {name: plain_room(room) for name, room in self.removing.items()},
                "empty": self.empty,
                "bans": {n: asdict(s) for n, s in self.bans.items()},
                "kicks": {n: asdict(s) for n, s in self.kicks.items()},
                "mutes": mutes,
                "invites": self.invites.plain(),
                "guests": self.guests.plain(),
                "settings": self.settings,
                "written": {user: entry for user, entry in self.written.items() if entry[0] == newest},
            }
        ).encode()

    @classmethod
    def restore(cls, snapshot: bytes) -> State:
        """Return the state from what `snapshot` returned."""
        data = json.loads(snapshot)
        return cls(
            head=data["head"],
            users={name: user_of(user) for name, user in data["users"].items()},
            rooms={name: room_of(room) for name, room in data["rooms"].items()},
            removing={name: room_of(room) for name, room in data["removing"].items()},
            empty=data["empty"],
            bans={n: Sanction(**s) for n, s in data["bans"].items()},
            kicks={n: Sanction(**s) for n, s in data["kicks"].items()},
            mutes={(user, room): Sanction(**s) for user, room, s in data["mutes"]},
            # These are missing before 0.1.0.
            invites=book_of(data.get("invites", {})),
            guests=guests_of(data.get("guests", {})),
            settings=data.get("settings", {}),
            written={user: (day, size) for user, (day, size) in data.get("written", {}).items()},
        )


def _nothing(state: State, event: JsonObject) -> None:
    """Messages, what is done to them, and announcements do not change the state."""


def _user_added(state: State, event: JsonObject) -> None:
    state.users[event["user"]] = User(role=event["role"])
    state.user_names.add(event["user"])


def _device_added(state: State, event: JsonObject) -> None:
    state.users[event["user"]].devices[event["device"]] = Device(event["serial"], ends=event.get("ends"))


def _device_revoked(state: State, event: JsonObject) -> None:
    state.users[event["user"]].devices[event["device"]].revoked = True


def _role_set(state: State, event: JsonObject) -> None:
    state.users[event["user"]].role = event["role"]


def _room_created(state: State, event: JsonObject) -> None:
    name = event["room"]
    room = Room(event["topic"], event["guests"], born=event["seq"])
    creator = state.users.get(event["by"])
    # Rooms created before 0.1.0 are open and have no owner.
    if "mode" in event:
        room.mode, room.history = event["mode"], event["history"]
        room.owners = {event["by"]} if creator is not None else set()
    state.rooms[name] = room
    state.listed[False, room.door].add(name)
    state.empty[name] = event["at"]
    _count_creation(creator, event)


def _count_creation(creator: User | None, event: JsonObject) -> None:
    if creator is not None:
        creator.created = creator.created_on(event["at"]) + 1
        creator.created_day = event["at"] // DAY_MS


def _dm_opened(state: State, event: JsonObject) -> None:
    members = SortedNames(dm_members(event["room"]) or ())
    room = state.rooms[event["room"]] = Room(members=members, born=event["seq"])
    for name in members:
        state.users[name].rooms.add(event["room"])
    if is_group(event["room"]):
        # Whoever comes back to a group reads nothing of what was written meanwhile.
        room.history = SINCE_JOIN
        _count_creation(state.users.get(event["by"]), event)


def _joined(state: State, event: JsonObject) -> None:
    name, user, room = event["room"], state.users[event["user"]], state.rooms[event["room"]]
    user.rooms.add(name)
    user.left.discard(name)
    room.enter(event["user"], event["seq"])
    _withdraw_invites(state, name, {event["user"]})
    state.empty.pop(name, None)


def _parted(state: State, event: JsonObject) -> None:
    name, user, room = event["room"], state.users[event["user"]], state.rooms[event["room"]]
    user.rooms.discard(name)
    user.markers.pop(name, None)
    # Logs begun before 0.1.0 do not say it.
    if event.get("remember", True):
        user.left.add(name)
    room.leave(event["user"])
    if not room.members:
        state.empty[name] = event["at"]
        _withdraw_invites(state, name, room.invited)


def _invited(state: State, event: JsonObject) -> None:
    name, user, now = event["room"], event["user"], event["at"]
    invites, room = state.users[user].invites, state.rooms[name]
    for ended in [one for one, until in invites.items() if until <= now]:
        _withdraw_invites(state, ended, {user})
    _withdraw_invites(state, name, {one for one in room.invited if state.users[one].invites[name] <= now})
    invites[name] = event["until"]
    room.invited.add(user)


def _uninvited(state: State, event: JsonObject) -> None:
    _withdraw_invites(state, event["room"], {event["user"]})


def _withdraw_invites(state: State, name: str, users: Iterable[str]) -> None:
    for user in list(users):
        state.users[user].invites.pop(name, None)
        state.rooms[name].invited.discard(user)


def _owner_set(state: State, event: JsonObject) -> None:
    owners = state.rooms[event["room"]].owners
    if event["on"]:
        owners.add(event["user"])
    else:
        owners.discard(event["user"])


def _room_mode(state: State, event: JsonObject) -> None:
    name, room = event["room"], state.rooms[event["room"]]
    state.listed[room.archived, room.door].discard(name)
    room.set_mode(event["mode"], event["seq"])
    state.listed[room.archived, room.door].add(name)


def _archived(state: State, event: JsonObject) -> None:
    name, room = event["room"], state.rooms[event["room"]]
    state.listed[room.archived, room.door].discard(name)
    room.archived = event["on"]
    state.listed[room.archived, room.door].add(name)


def _room_removed(state: State, event: JsonObject) -> None:
    name = event["room"]
    room = state.rooms[name]
    _withdraw_invites(state, name, room.invited)
    state.removing[name] = state.rooms.pop(name)
    room.ended = event["seq"]
    state.listed[room.archived, room.door].discard(name)
    state.empty.pop(name, None)
    for member in room.members:
        state.users[member].rooms.discard(name)
        state.users[member].markers.pop(name, None)


def _room_freed(state: State, event: JsonObject) -> None:
    name = event["room"]
    del state.removing[name]
    for key in [key for key in state.mutes if key[1] == name]:
        del state.mutes[key]


def _topic(state: State, event: JsonObject) -> None:
    state.rooms[event["room"]].topic = event["topic"]


def _expired(state: State, event: JsonObject) -> None:
    name = event["room"]
    (state.rooms.get(name) or state.removing[name]).expired = event["upto"]


def _held(state: State, event: JsonObject) -> None:
    state.rooms[event["room"]].held = event["on"]


def _sanction(event: JsonObject) -> Sanction:
    return Sanction(event["until"], event["reason"], event["by"], event["at"])


def _banned(state: State, event: JsonObject) -> None:
    state.bans[event["user"]] = _sanction(event)
    state.banned.put(event["user"], event["until"])


def _unbanned(state: State, event: JsonObject) -> None:
    state.bans.pop(event["user"], None)
    state.kicks.pop(event["user"], None)
    state.banned.discard(event["user"])


def _kicked(state: State, event: JsonObject) -> None:
    state.kicks[event["user"]] = _sanction(event)


def _muted(state: State, event: JsonObject) -> None:
    if len(state.mutes) >= MUTES_LIMIT:
        for key in [key for key, mute in state.mutes.items() if not mute.holds(event["at"])]:
            del state.mutes[key]
    state.mutes[event["user"], event["room"] or ""] = _sanction(event)


def _unmuted(state: State, event: JsonObject) -> None:
    state.mutes.pop((event["user"], event["room"] or ""), None)


def _read(state: State, event: JsonObject) -> None:
    state.users[event["user"]].markers[event["room"]] = event["upto"]


def _invite_created(state: State, event: JsonObject) -> None:
    state.invites.created(event)


def _invite_cancelled(state: State, event: JsonObject) -> None:
    state.invites.cancelled(event)


def _invite_redeemed(state: State, event: JsonObject) -> None:
    state.invites.redeemed(event)


def _guest_set(state: State, event: JsonObject) -> None:
    state.guests.set(event)


def _guest_reminded(state: State, event: JsonObject) -> None:
    state.guests.reminded(event)


def _guest_ended(state: State, event: JsonObject) -> None:
    state.guests.ended(event, state.users[event["user"]])


def _settings_changed(state: State, event: JsonObject) -> None:
    for change in event["changes"]:
        if change["after"] is None:
            state.settings.pop(change["setting"], None)
        else:
            state.settings[change["setting"]] = change["after"]


class AuditRule(Enum):
    """Whether events of a kind are in audit.log and in the answer to `audit`."""

    NO = "not"
    YES = "always"
    OTHERS = "if somebody else than the user concerned or the server caused them"
    NOT_OWN = "unless the user deleted a message of their own"
    BOX = "in the answer only: the supervisor has written the line in audit.log"


class EventKind(NamedTuple):
    """One row of the table of logged events.

    ``visible``: whether the members of the event's room receive it; others (roles, bans, devices) are only
    logged. ``own``: its user's sessions receive it, and nobody else.
    """

    apply: Callable[[State, JsonObject], None]
    visible: bool
    audit: AuditRule
    own: bool = False


KINDS: dict[str, EventKind] = {
    "message": EventKind(_nothing, True, AuditRule.NO),
    "edited": EventKind(_nothing, True, AuditRule.NO),
    "reacted": EventKind(_nothing, True, AuditRule.NO),
    "announcement": EventKind(_nothing, True, AuditRule.YES),
    "redacted": EventKind(_nothing, True, AuditRule.NOT_OWN),
    # Follows from the settings, once a minute for each room.
    "expired": EventKind(_expired, True, AuditRule.NO),
    "held": EventKind(_held, True, AuditRule.YES),
    "user_added": EventKind(_user_added, False, AuditRule.YES),
    "device_added": EventKind(_device_added, False, AuditRule.YES),
    "device_revoked": EventKind(_device_revoked, False, AuditRule.YES),
    "role_set": EventKind(_role_set, False, AuditRule.YES),
    "room_created": EventKind(_room_created, True, AuditRule.YES),
    "room_removed": EventKind(_room_removed, True, AuditRule.YES),
    # Upkeep ends what a removal has begun.
    "room_freed": EventKind(_room_freed, False, AuditRule.NO),
    "archived": EventKind(_archived, True, AuditRule.YES),
    "room_mode": EventKind(_room_mode, True, AuditRule.YES),
    "owner_set": EventKind(_owner_set, True, AuditRule.YES),
    # Its members may invite, which is no act of an admin.
    "invited": EventKind(_invited, True, AuditRule.NO),
    "uninvited": EventKind(_uninvited, True, AuditRule.NO),
    "dm_opened": EventKind(_dm_opened, True, AuditRule.NO),
    "joined": EventKind(_joined, True, AuditRule.OTHERS),
    "parted": EventKind(_parted, True, AuditRule.OTHERS),
    "topic": EventKind(_topic, True, AuditRule.NO),
    "banned": EventKind(_banned, False, AuditRule.YES),
    "unbanned": EventKind(_unbanned, False, AuditRule.YES),
    "kicked": EventKind(_kicked, False, AuditRule.YES),
    "muted": EventKind(_muted, False, AuditRule.YES),
    "unmuted": EventKind(_unmuted, False, AuditRule.YES),
    "backed_up": EventKind(_nothing, False, AuditRule.BOX),
    "exported": EventKind(_nothing, False, AuditRule.BOX),
    "certificates_renewed": EventKind(_nothing, False, AuditRule.BOX),
    "invite_created": EventKind(_invite_created, False, AuditRule.YES),
    "invite_cancelled": EventKind(_invite_cancelled, False, AuditRule.YES),
    "invite_redeemed": EventKind(_invite_redeemed, False, AuditRule.YES),
    "guest_set": EventKind(_guest_set, False, AuditRule.YES),
    "guest_ended": EventKind(_guest_ended, False, AuditRule.YES),
    # Its user is the sponsor.
    "guest_reminded": EventKind(_guest_reminded, False, AuditRule.NO, own=True),
    "settings_changed": EventKind(_settings_changed, False, AuditRule.YES),
    "read": EventKind(_read, False, AuditRule.NO, own=True),
}
EVENT_KINDS = frozenset(KINDS)
# Fields that neither audit.log nor the answer to `audit` shows.
NOT_AUDITED = frozenset(("body", "secret_hash", "key_hash"))
# Kinds in logs that were begun before 0.1.0 -> their name now.
_FORMER_KINDS = {"frozen": "held"}


def present_name(kind: str) -> str:
    """Return the present name of a kind that is in the log."""
    return _FORMER_KINDS.get(kind, kind)


def audited_kinds() -> dict[str, list[str]]:
    """Return each kind of event in the answer to `audit`, with all its names in the log."""
    former = {now: [old] for old, now in _FORMER_KINDS.items()}
    return {
        name: [name, *former.get(name, ())] for name, kind in KINDS.items() if kind.audit is not AuditRule.NO
    }


def own_room(user: str) -> str:
    """Return the pseudo-room of events for a user's own sessions. No room has such a name."""
    return f"={user}"


def audience_of(event: JsonObject) -> str | None:
    """Return the room whose members may read an event; None if nobody may."""
    kind = KINDS[event["type"]]
    if kind.own:
        return own_room(event["user"])
    return event["room"] if kind.visible else None


def is_audited(event: JsonObject) -> bool:
    """Whether an event belongs in the answer to `audit`."""
    audit = KINDS[present_name(event["type"])].audit
    if audit is AuditRule.OTHERS:
        return event["by"] not in (event["user"], SERVER)
    if audit is AuditRule.NOT_OWN:
        return not event.get("own")
    return audit is not AuditRule.NO
