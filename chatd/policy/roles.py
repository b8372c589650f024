"""Roles and permissions, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chatd.errors import ChatdError

PERMISSIONS: dict[str, str] = {
    "message.read": "read the history of their rooms",
    "message.send": "send messages to their rooms, edit their own, react to others",
    "message.delete": "delete their own messages",
    "room.list": "list rooms",
    "room.join": "join and leave rooms",
    "room.create": "create rooms",
    "room.topic": "set a room's topic",
    "room.closed": "join rooms that are closed to guests",
    "dm.send": "send and receive direct messages",
    "presence.read": "see who is in a room and who is online",
    "search": "search the messages of their rooms",
    "away.set": "set an away text",
    "filter.override": "send a message although it has a forbidden word",
    "moderate.kick": "end users' sessions, remove users from rooms",
    "moderate.ban": "ban users, list bans",
    "moderate.mute": "mute users, list mutes",
    "moderate.redact": "redact messages",
    "message.review": "read messages that the filter holds, approve and refuse them",
    "room.hold": "put rooms on hold, so that no message there is removed",
    "room.archive": "archive rooms, so that they can only be read, and undo that",
    "room.manage": "list every room and act as its owner, those entered by invitation included",
    "room.remove": "remove rooms, and create any number within limits.rooms",
    "announce": "send announcements to everybody",
    "role.show": "see the roles and their permissions",
    "role.set": "change users' roles",
    "user.list": "list all users",
    "user.remove": "remove users",
    "user.display": "set users' display names",
    "invite.create": "invite new users, list and cancel invites",
    "guest.sponsor": "list, extend and end the guests they are the sponsor of",
    "guest.manage": "list, extend and end all guests",
    "device.add": "invite one's own further devices",
    "device.revoke": "revoke devices",
    "hook.manage": "create, list and remove the hooks of rooms that they may know of",
    "stats.read": "read the server's stats",
    "audit.read": "list the acts of admins and operators, in all rooms",
}
EVERYTHING = "*"

_GUEST = (
    *("message.read", "message.send", "message.delete", "room.list", "room.join", "presence.read"),
    *("search", "away.set"),
)
_USER = (
    *(*_GUEST, "room.create", "room.topic", "room.closed", "dm.send", "role.show", "filter.override"),
    *("guest.sponsor", "device.add"),
)
DEFAULT_ROLES: dict[str, list[str]] = {
    "admin": [EVERYTHING],
    "user": list(_USER),
    "guest": list(_GUEST),
}

# The role of hooks. Nobody else has it, unless the settings define one of this name.
BOT = "bot"
_BOT_PERMISSIONS = frozenset(("message.send", "room.closed"))


class Roles:
    """The permissions of each role."""

    def __init__(self, permissions: Mapping[str, Sequence[str]]) -> None:
        """Raises E600 for an unknown permission."""
        self._permissions = {role: _expand(role, names) for role, names in permissions.items()}
        self.names = frozenset(self._permissions)
        self._permissions.setdefault(BOT, _BOT_PERMISSIONS)

    def allows(self, role: str, permission: str) -> bool:
        """Whether a role has a permission. An unknown role has none."""
        return permission in self._permissions.get(role, frozenset())

    def permissions(self, role: str) -> frozenset[str]:
        return self._permissions.get(role, frozenset())


def _expand(role: str, names: Sequence[str]) -> frozenset[str]:
    unknown = [n for n in names if n != EVERYTHING and n not in PERMISSIONS]
    if unknown:
        raise ChatdError("E600", f"the role {role} has unknown permissions: {', '.join(unknown)}")
    return frozenset(PERMISSIONS) if EVERYTHING in names else frozenset(names)
