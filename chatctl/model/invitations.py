"""The rooms to which this user is invited."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from chatd.proto import events as ev


class Invitations:
    """Invitations that this user has neither accepted nor declined, as far as the server has told."""

    def __init__(self) -> None:
        self._rooms: frozenset[str] = frozenset()

    def to_answer(self, joined: Collection[str]) -> list[str]:
        """The rooms by name, without those in ``joined``."""
        return sorted(self._rooms.difference(joined))

    def new_in(self, welcome: ev.Welcome) -> list[str]:
        """Return the rooms of a welcome that are not known."""
        return [room for room in welcome.invites if room not in self._rooms]

    def replace(self, rooms: Iterable[str]) -> None:
        """Take over what a welcome lists."""
        self._rooms = frozenset(rooms)

    def apply(self, event: ev.Standing) -> None:
        """Note a new invitation, or the end of one."""
        if event.room and event.change == "invited":
            self._rooms |= {event.room}
        elif event.room and event.change == "uninvited":
            self.end(event.room)

    def end(self, room: str) -> None:
        """Note that a room was joined, or is gone."""
        self._rooms -= {room}
