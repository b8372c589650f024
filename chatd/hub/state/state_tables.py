"""The tables of the hub's state, and what follows from them. Pure data; no event is known here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from chatd.hub.state.entities import MEMBERS, Room, Sanction, User
from chatd.hub.state.guest_book import GuestBook
from chatd.hub.state.held_book import HeldBook
from chatd.hub.state.hook_book import HookBook
from chatd.hub.state.invite_book import InviteBook
from chatd.hub.state.names import EndingNames, SortedNames


@dataclass(slots=True)
class StateTables:
    """All the state that decisions depend on. Changed by `State.apply` and `add_written` only."""

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
    hooks: HookBook = field(default_factory=HookBook)
    # Not compared: a decided one has no text any more, so that a replay passes over it.
    held: HeldBook = field(default_factory=HeldBook, compare=False)
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

    def add_written(self, user: str, day: int, size: int) -> None:
        """Count the bytes of a user's entries. A clock that was set back does not start a day anew."""
        last, before = self.written.get(user, (day, 0))
        self.written[user] = (last, before + size) if last >= day else (day, size)
