"""Choose the events that answer `audit`: acts of admins and operators, without texts of conversations."""

from __future__ import annotations

from typing import NamedTuple

from chatd.errors import ChatdError
from chatd.hub.state.context import Context
from chatd.hub.state.model import NOT_AUDITED, audited_kinds, is_audited, present_name
from chatd.proto import requests as rq
from chatd.proto.frames import JsonObject

# Stands for a direct conversation that the asker is not in.
SOME_CONVERSATION = "@"
# Stands for a room that the asker may not know of.
SOME_ROOM = "#"


class AuditChoice(NamedTuple):
    """The filters of a request. ``since`` <= time < ``until``; ``rooms`` are those that the asker is in.

    ``known``: the rooms that the asker may know of; None stands for all, also those that are gone.
    """

    actor: str | None
    target: str | None
    since: int
    until: int | None
    rooms: frozenset[str]
    known: frozenset[str] | None = None

    def shown(self, event: JsonObject) -> JsonObject | None:
        """Return a logged event as the asker may see it; None if it is not in the answer."""
        if not is_audited(event) or not self._is_in_time(event["at"]):
            return None
        fields = {key: value for key, value in event.items() if key not in NOT_AUDITED}
        fields["type"] = present_name(event["type"])
        room = event.get("room") or ""
        if room.startswith("@") and room not in self.rooms:
            # Who talks to whom is nobody else's business.
            fields["room"] = SOME_CONVERSATION
        if room.startswith("#") and not self._knows(room):
            fields["room"] = SOME_ROOM
        if isinstance(named := fields.get("rooms"), list):
            fields["rooms"] = [one for one in named if self._knows(one)]
        return fields if self._matches(fields) else None

    def _knows(self, room: str) -> bool:
        return self.known is None or room in self.known

    def _is_in_time(self, at: int) -> bool:
        return self.since <= at and (self.until is None or at < self.until)

    def _matches(self, fields: JsonObject) -> bool:
        actors = (fields.get("by"), fields.get("by_login"))
        targets = (fields.get("user"), fields.get("room"))
        return self.actor in (None, *actors) and self.target in (None, *targets)


def choose(context: Context, request: rq.Audit) -> tuple[list[str], AuditChoice]:
    """Return the kinds of events to read and the filters. Raises E411 for an unknown kind."""
    kinds = audited_kinds()
    if request.event is not None:
        if request.event not in kinds:
            known = ", ".join(sorted(kinds))
            raise ChatdError("E411", f"no act is called {request.event!r}", f"choose one of: {known}")
        kinds = {request.event: kinds[request.event]}
    me = context.state.users.get(context.who.user)
    rooms = frozenset(me.rooms) if me else frozenset()
    shown: frozenset[str] | None = None
    if not (context.who.operator or (context.allows("room.manage") and context.allows("room.closed"))):
        shown = frozenset(name for name in context.state.rooms if context.knows_room(name))
    choice = AuditChoice(request.actor, request.target, request.since or 0, request.until, rooms, shown)
    return [name for names in kinds.values() for name in names], choice
