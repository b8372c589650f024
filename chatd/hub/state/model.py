"""The hub's state, and the one function that applies a logged event to it.

Messages change only ``head``, so a replay applies just the other events.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from chatd.proto.frames import JsonObject
from chatd.proto.text import dm_members

# The pseudo-room of announcements; everybody is a member.
EVERYONE = "*"
DAY_MS = 86_400_000
# The author of events that settings, start-up or the operator's commands cause. No user can have this name.
SERVER = "server"


@dataclass(slots=True)
class Device:
    """One key pair of a user, identified by its certificate's serial.

    ``ends``: when the certificate expires, in ms since 1970; None if it was registered without that.
    """

    serial: str
    revoked: bool = False
    ends: int | None = None

    def usable(self, now: int) -> bool:
        """Whether the device may log in at ``now``."""
        return not self.revoked and (self.ends is None or now < self.ends)


@dataclass(slots=True)
class User:
    """A person. ``role`` was set by a `role_set` event; a role pinned in the settings wins over it."""

    role: str | None = None
    devices: dict[str, Device] = field(default_factory=dict)
    rooms: set[str] = field(default_factory=set)
    # Rooms the user has left; autojoin skips them.
    left: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Room:
    """A room or a direct conversation and its members."""

    topic: str = ""
    guests: bool = False
    members: set[str] = field(default_factory=set)
    # Nothing is redacted while the room is held.
    held: bool = False
    # Retention has redacted messages up to this sequence number.
    expired: int = 0


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


@dataclass(slots=True)
class State:
    """All the state that decisions depend on. Changed by `apply` and `add_written` only."""

    head: int = 0
    users: dict[str, User] = field(default_factory=dict)
    rooms: dict[str, Room] = field(default_factory=dict)
    bans: dict[str, Sanction] = field(default_factory=dict)
    kicks: dict[str, Sanction] = field(default_factory=dict)
    # (user, room), room "" = everywhere
    mutes: dict[tuple[str, str], Sanction] = field(default_factory=dict)
    # The settings last recorded in the log, by their paths; `chatd.hub.state.settings_record`.
    settings: dict[str, Any] = field(default_factory=dict)
    # User -> the UTC day (days since 1970) on which they last wrote, and the bytes of that day's entries.
    # Not compared: a replay skips messages, and a redacted body has no length any more.
    written: dict[str, tuple[int, int]] = field(default_factory=dict, compare=False)

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
                "users": {n: _plain(u) for n, u in self.users.items()},
                "rooms": {n: _plain(r) for n, r in self.rooms.items()},
                "bans": {n: asdict(s) for n, s in self.bans.items()},
                "kicks": {n: asdict(s) for n, s in self.kicks.items()},
                "mutes": mutes,
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
            users={
                name: User(
                    u["role"],
                    {d: Device(**v) for d, v in u["devices"].items()},
                    set(u["rooms"]),
                    set(u["left"]),
                )
                for name, u in data["users"].items()
            },
            rooms={
                n: Room(
                    r["topic"],
                    r["guests"],
                    set(r["members"]),
                    r["held"] if "held" in r else r["frozen"],  # its name before 0.1.0
                    r["expired"],
                )
                for n, r in data["rooms"].items()
            },
            bans={n: Sanction(**s) for n, s in data["bans"].items()},
            kicks={n: Sanction(**s) for n, s in data["kicks"].items()},
            mutes={(user, room): Sanction(**s) for user, room, s in data["mutes"]},
            # Both are missing before 0.1.0.
            settings=data.get("settings", {}),
            written={user: (day, size) for user, (day, size) in data.get("written", {}).items()},
        )


def _plain(value: User | Room) -> dict[str, Any]:
    return {k: sorted(v) if isinstance(v, set) else v for k, v in asdict(value).items()}


def _nothing(state: State, event: JsonObject) -> None:
    """Messages and announcements do not change the state."""


def _user_added(state: State, event: JsonObject) -> None:
    state.users[event["user"]] = User(role=event["role"])


def _device_added(state: State, event: JsonObject) -> None:
    state.users[event["user"]].devices[event["device"]] = Device(event["serial"], ends=event.get("ends"))


def _device_revoked(state: State, event: JsonObject) -> None:
    state.users[event["user"]].devices[event["device"]].revoked = True


def _role_set(state: State, event: JsonObject) -> None:
    state.users[event["user"]].role = event["role"]


def _room_created(state: State, event: JsonObject) -> None:
    state.rooms[event["room"]] = Room(event["topic"], event["guests"])


def _dm_opened(state: State, event: JsonObject) -> None:
    members = set(dm_members(event["room"]) or ())
    state.rooms[event["room"]] = Room(members=members)
    for name in members:
        state.users[name].rooms.add(event["room"])


def _joined(state: State, event: JsonObject) -> None:
    user = state.users[event["user"]]
    user.rooms.add(event["room"])
    user.left.discard(event["room"])
    state.rooms[event["room"]].members.add(event["user"])


def _parted(state: State, event: JsonObject) -> None:
    user = state.users[event["user"]]
    user.rooms.discard(event["room"])
    user.left.add(event["room"])
    state.rooms[event["room"]].members.discard(event["user"])


def _topic(state: State, event: JsonObject) -> None:
    state.rooms[event["room"]].topic = event["topic"]


def _expired(state: State, event: JsonObject) -> None:
    state.rooms[event["room"]].expired = event["upto"]


def _held(state: State, event: JsonObject) -> None:
    state.rooms[event["room"]].held = event["on"]


def _sanction(event: JsonObject) -> Sanction:
    return Sanction(event["until"], event["reason"], event["by"], event["at"])


def _banned(state: State, event: JsonObject) -> None:
    state.bans[event["user"]] = _sanction(event)


def _unbanned(state: State, event: JsonObject) -> None:
    state.bans.pop(event["user"], None)
    state.kicks.pop(event["user"], None)


def _kicked(state: State, event: JsonObject) -> None:
    state.kicks[event["user"]] = _sanction(event)


def _muted(state: State, event: JsonObject) -> None:
    state.mutes[event["user"], event["room"] or ""] = _sanction(event)


def _unmuted(state: State, event: JsonObject) -> None:
    state.mutes.pop((event["user"], event["room"] or ""), None)


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
    BOX = "in the answer only: the supervisor has written the line in audit.log"


class EventKind(NamedTuple):
    """One row of the table of logged events.

    ``visible``: whether the members of the event's room receive it; others (roles, bans, devices) are only
    logged.
    """

    apply: Callable[[State, JsonObject], None]
    visible: bool
    audit: AuditRule


KINDS: dict[str, EventKind] = {
    "message": EventKind(_nothing, True, AuditRule.NO),
    "announcement": EventKind(_nothing, True, AuditRule.YES),
    "redacted": EventKind(_nothing, True, AuditRule.YES),
    # Follows from the settings, once a minute for each room.
    "expired": EventKind(_expired, True, AuditRule.NO),
    "held": EventKind(_held, True, AuditRule.YES),
    "user_added": EventKind(_user_added, False, AuditRule.YES),
    "device_added": EventKind(_device_added, False, AuditRule.YES),
    "device_revoked": EventKind(_device_revoked, False, AuditRule.YES),
    "role_set": EventKind(_role_set, False, AuditRule.YES),
    "room_created": EventKind(_room_created, True, AuditRule.YES),
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
    "settings_changed": EventKind(_settings_changed, False, AuditRule.YES),
}
EVENT_KINDS = frozenset(KINDS)
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


def audience_of(event: JsonObject) -> str | None:
    """Return the room whose members may read an event; None if nobody may."""
    return event["room"] if KINDS[event["type"]].visible else None


def is_audited(event: JsonObject) -> bool:
    """Whether an event belongs in the answer to `audit`."""
    audit = KINDS[present_name(event["type"])].audit
    if audit is AuditRule.OTHERS:
        return event["by"] not in (event["user"], SERVER)
    return audit is not AuditRule.NO
