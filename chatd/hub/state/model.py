"""The hub's state, and the one function that applies a logged event to it.

Messages change only ``head``, so a replay applies just the other events.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import Enum
from typing import NamedTuple

from chatd.hub.state import appliers
from chatd.hub.state.appliers import MUTES_LIMIT as MUTES_LIMIT
from chatd.hub.state.entities import DAY_MS as DAY_MS
from chatd.hub.state.entities import Device as Device
from chatd.hub.state.entities import Room as Room
from chatd.hub.state.entities import Sanction as Sanction
from chatd.hub.state.entities import User as User
from chatd.hub.state.entities import plain_room, plain_user, room_of, user_of
from chatd.hub.state.guest_book import guests_of
from chatd.hub.state.held_book import held_of
from chatd.hub.state.hook_book import hooks_of
from chatd.hub.state.invite_book import book_of
from chatd.hub.state.state_tables import StateTables
from chatd.proto.frames import JsonObject

# The pseudo-room of announcements; everybody is a member.
EVERYONE = "*"
# The author of events that settings, start-up or the operator's commands cause. No user can have this name.
SERVER = "server"


@dataclass(slots=True)
class State(StateTables):
    """The state tables with their life: events change them, a snapshot keeps them."""

    def apply(self, event: JsonObject) -> None:
        """Apply one logged event. Raises KeyError for an unknown kind (a defect)."""
        self.head = event["seq"]
        KINDS[present_name(event["type"])].apply(self, event)

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
                "held": self.held.plain(),
                "hooks": self.hooks.plain(),
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
            held=held_of(data.get("held", [])),
            hooks=hooks_of(data.get("hooks", {})),
            settings=data.get("settings", {}),
            written={user: (day, size) for user, (day, size) in data.get("written", {}).items()},
        )


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
    logged. ``own``: its user's sessions receive it, and nobody else. ``since``: the format of a cluster's
    stream that has this kind first (`chatd.cluster.stream_message`).
    """

    apply: Callable[[StateTables, JsonObject], None]
    visible: bool
    audit: AuditRule
    own: bool = False
    since: int = 1


KINDS: dict[str, EventKind] = {
    "message": EventKind(appliers.nothing, True, AuditRule.NO),
    "edited": EventKind(appliers.nothing, True, AuditRule.NO),
    # Its writer alone receives it, and what was decided.
    "message_held": EventKind(appliers.message_held, False, AuditRule.NO, own=True),
    "message_approved": EventKind(appliers.message_decided, False, AuditRule.YES, own=True),
    "message_refused": EventKind(appliers.message_decided, False, AuditRule.OTHERS, own=True),
    "reacted": EventKind(appliers.nothing, True, AuditRule.NO),
    "announcement": EventKind(appliers.nothing, True, AuditRule.YES),
    "redacted": EventKind(appliers.nothing, True, AuditRule.NOT_OWN),
    # Follows from the settings, once a minute for each room.
    "expired": EventKind(appliers.expired, True, AuditRule.NO),
    "held": EventKind(appliers.held, True, AuditRule.YES),
    "user_added": EventKind(appliers.user_added, False, AuditRule.YES),
    "user_removed": EventKind(appliers.user_removed, False, AuditRule.YES),
    "display_named": EventKind(appliers.display_named, False, AuditRule.YES),
    "device_added": EventKind(appliers.device_added, False, AuditRule.YES),
    "device_seen": EventKind(appliers.device_seen, False, AuditRule.YES),
    "device_renewed": EventKind(appliers.device_renewed, False, AuditRule.YES),
    "device_revoked": EventKind(appliers.device_revoked, False, AuditRule.YES),
    "role_set": EventKind(appliers.role_set, False, AuditRule.YES),
    "room_created": EventKind(appliers.room_created, True, AuditRule.YES),
    "room_removed": EventKind(appliers.room_removed, True, AuditRule.YES),
    # Upkeep ends what a removal has begun.
    "room_freed": EventKind(appliers.room_freed, False, AuditRule.NO),
    "archived": EventKind(appliers.archived, True, AuditRule.YES),
    "room_mode": EventKind(appliers.room_mode, True, AuditRule.YES),
    "owner_set": EventKind(appliers.owner_set, True, AuditRule.YES),
    # Its members may invite, which is no act of an admin.
    "invited": EventKind(appliers.invited, True, AuditRule.NO),
    "uninvited": EventKind(appliers.uninvited, True, AuditRule.NO),
    "dm_opened": EventKind(appliers.dm_opened, True, AuditRule.NO),
    "joined": EventKind(appliers.joined, True, AuditRule.OTHERS),
    "parted": EventKind(appliers.parted, True, AuditRule.OTHERS),
    "topic": EventKind(appliers.topic, True, AuditRule.NO),
    "banned": EventKind(appliers.banned, False, AuditRule.YES),
    "unbanned": EventKind(appliers.unbanned, False, AuditRule.YES),
    "kicked": EventKind(appliers.kicked, False, AuditRule.YES),
    "muted": EventKind(appliers.muted, False, AuditRule.YES),
    "unmuted": EventKind(appliers.unmuted, False, AuditRule.YES),
    "backed_up": EventKind(appliers.nothing, False, AuditRule.BOX),
    "exported": EventKind(appliers.nothing, False, AuditRule.BOX),
    "certificates_renewed": EventKind(appliers.nothing, False, AuditRule.BOX),
    "ca_key_exported": EventKind(appliers.nothing, False, AuditRule.BOX),
    "ca_key_imported": EventKind(appliers.nothing, False, AuditRule.BOX),
    "ca_rotated": EventKind(appliers.nothing, False, AuditRule.BOX),
    "ca_retired": EventKind(appliers.nothing, False, AuditRule.BOX),
    "cluster_begun": EventKind(appliers.nothing, False, AuditRule.BOX),
    "invite_created": EventKind(appliers.invite_created, False, AuditRule.YES),
    "invite_cancelled": EventKind(appliers.invite_cancelled, False, AuditRule.YES),
    "invite_redeemed": EventKind(appliers.invite_redeemed, False, AuditRule.YES),
    "ask_denied": EventKind(appliers.nothing, False, AuditRule.YES),
    "guest_set": EventKind(appliers.guest_set, False, AuditRule.YES),
    "guest_ended": EventKind(appliers.guest_ended, False, AuditRule.YES),
    # Its user is the sponsor.
    "guest_reminded": EventKind(appliers.guest_reminded, False, AuditRule.NO, own=True),
    "hook_created": EventKind(appliers.hook_created, False, AuditRule.YES),
    "hook_rotated": EventKind(appliers.hook_rotated, False, AuditRule.YES),
    "hook_removed": EventKind(appliers.hook_removed, False, AuditRule.YES),
    "settings_changed": EventKind(appliers.settings_changed, False, AuditRule.YES),
    "read": EventKind(appliers.read, False, AuditRule.NO, own=True),
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
