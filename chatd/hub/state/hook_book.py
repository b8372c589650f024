"""The hooks of a server: what the state holds of them, and how events change it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from chatd.proto.frames import JsonObject

# Each has a name among the users and a rate of messages of its own.
HOOKS_LIMIT = 200
# A signed post is checked against the secret of each signing hook of its room.
HOOKS_PER_ROOM = 10
# The device of every hook; there is no certificate for it.
HOOK_DEVICE = "hook"


@dataclass(slots=True)
class Hook:
    """A bot and the room it posts to. ``secret_hash``: the SHA-256 of its token, "" if it signs its posts.

    ``born``: the sequence number of the event that created it. ``turned`` and ``turned_at`` (ms since 1970)
    are those of the event that gave it its present secret.
    """

    room: str
    kind: str
    secret_hash: str
    by: str
    at: int
    born: int
    turned: int
    turned_at: int


@dataclass(slots=True)
class HookBook:
    """All hooks by the name of their bot."""

    by_name: dict[str, Hook] = field(default_factory=dict)

    def of_room(self, room: str) -> list[str]:
        """Return the names of a room's hooks."""
        return [name for name, one in self.by_name.items() if one.room == room]

    def created(self, event: JsonObject) -> None:
        """Apply a `hook_created` event."""
        seq, at = event["seq"], event["at"]
        secret_hash = event["secret_hash"] or ""
        self.by_name[event["user"]] = Hook(
            event["room"], event["kind"], secret_hash, event["by"], at, born=seq, turned=seq, turned_at=at
        )

    def rotated(self, event: JsonObject) -> None:
        """Apply a `hook_rotated` event."""
        hook = self.by_name[event["user"]]
        hook.secret_hash = event["secret_hash"] or ""
        hook.turned, hook.turned_at = event["seq"], event["at"]

    def forget(self, name: str) -> None:
        """Let a user be no hook any more."""
        self.by_name.pop(name, None)

    def plain(self) -> JsonObject:
        """Return the hooks as JSON, for `hooks_of`."""
        return {name: asdict(one) for name, one in self.by_name.items()}


def hooks_of(plain: JsonObject) -> HookBook:
    """Return the hooks from what `HookBook.plain` returned."""
    return HookBook({name: Hook(**one) for name, one in plain.items()})
