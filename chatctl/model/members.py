"""Who is in a room: the answer to `who`, and the events that change it, whichever of them comes first."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Any

from chatctl.model import render
from chatctl.model.conversation import Conversation, RoomMember, Stir
from chatd.proto import events as ev
from chatd.proto.frames import JsonObject

# A bound on what a server can make this client keep, as those of a book and of a conversation are.
MEMBERS_LIMIT = 5_000


def asked(where: Conversation) -> deque[Stir]:
    """A request for the members begins; what is returned belongs to its answer."""
    where.stirred = deque(maxlen=MEMBERS_LIMIT)
    return where.stirred


def answered(where: Conversation, entries: Iterable[JsonObject], since: deque[Stir] | None) -> bool:
    """Take over the answer; False for that of a request after which another one was made.

    It comes in pages, and what happened since the first of them was asked for is told by events that
    have been taken already: they are taken once more. The last one of each member is what holds.
    """
    if since is not where.stirred:
        return False
    keys = ("user", "role", "state", "text")
    found = [RoomMember(*(_shown(entry, key) for key in keys)) for entry in islice(entries, MEMBERS_LIMIT)]
    where.members = {one.user: one for one in found if one.user}
    where.stirred = None
    for event in since or ():
        told(where, event)
    return True


def told(where: Conversation, event: Stir, elsewhere: RoomMember | None = None) -> None:
    """An event tells of a member. ``elsewhere``: what is known of the user from another room."""
    known, user = where.members, render.name(event.user)
    if where.stirred is not None:
        where.stirred.append(event)
    if isinstance(event, ev.Parted):
        known.pop(user, None)
    elif isinstance(event, ev.Presence):
        if user in known:
            known[user] = RoomMember(user, known[user].role, event.state, render.one_line(event.text))
    elif user and (user in known or len(known) < MEMBERS_LIMIT):
        # Who joins is here, but may be away; the event does not say so.
        before = known.get(user) or elsewhere
        here = ("away", before.text) if before is not None and before.state == "away" else ("online", "")
        known[user] = RoomMember(user, render.name(event.role), *here)


def _shown(entry: JsonObject, key: str) -> str:
    value: Any = entry.get(key)
    return render.one_line(value) if isinstance(value, str) else ""
