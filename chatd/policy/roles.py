"""Roles and permissions, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chatd.errors import ChatdError

PERMISSIONS: dict[str, str] = {
    "message.read": "read the history of rooms one is in",
    "message.send": "write in rooms one is in",
    "room.list": "see which rooms there are",
    "room.join": "join and leave rooms",
    "room.create": "make rooms",
    "room.topic": "set a room's topic",
    "room.closed": "enter rooms that do not admit guests",
    "dm.send": "write to a person directly, and be written to",
    "presence.read": "see who is in a room and who is online",
    "search": "search the messages of rooms one is in",
    "away.set": "say that one is away",
    "moderate.kick": "end sessions, put people out of rooms",
    "moderate.ban": "ban people and see the bans",
    "moderate.mute": "mute people",
    "moderate.redact": "erase messages",
    "room.hold": "hold a room's messages, so that nothing erases them",
    "announce": "say something to everybody",
    "role.show": "see roles and what they may do",
    "role.set": "give people another role",
    "user.list": "see every user",
    "device.revoke": "end a device's certificate",
    "stats.read": "see the server's figures",
}
EVERYTHING = "*"

_GUEST = ("message.read", "message.send", "room.list", "room.join", "presence.read", "search", "away.set")
_USER = (*_GUEST, "room.create", "room.topic", "room.closed", "dm.send", "role.show")
DEFAULT_ROLES: dict[str, list[str]] = {
    "admin": [EVERYTHING],
    "user": list(_USER),
    "guest": list(_GUEST),
}


class Roles:
    """What each role may do."""

    def __init__(self, permissions: Mapping[str, Sequence[str]]) -> None:
        """Raises E600 for a permission that does not exist."""
        self._permissions = {role: _expand(role, names) for role, names in permissions.items()}
        self.names = frozenset(self._permissions)

    def allows(self, role: str, permission: str) -> bool:
        """Whether a role has a permission; a role that does not exist has none."""
        return permission in self._permissions.get(role, frozenset())

    def permissions(self, role: str) -> frozenset[str]:
        """All permissions of a role."""
        return self._permissions.get(role, frozenset())


def _expand(role: str, names: Sequence[str]) -> frozenset[str]:
    unknown = [n for n in names if n != EVERYTHING and n not in PERMISSIONS]
    if unknown:
        raise ChatdError("E600", f"the role {role} has unknown permissions: {', '.join(unknown)}")
    return frozenset(PERMISSIONS) if EVERYTHING in names else frozenset(names)
