"""The members of a room, from the reply to `who` and later events, in whichever order they arrive."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Any

from chatctl.model import render
from chatctl.model.conversation import Conversation, MemberEvent, RoomMember
from chatd.proto import events as ev
from chatd.proto.frames import JsonObject

# Bounds what a server can make this client keep.
MEMBERS_LIMIT = 5_000


def begin_request(where: Conversation) -> deque[MemberEvent]:
    """Start to collect membership events; pass the result to `apply_reply`."""
    where.member_events = deque(maxlen=MEMBERS_LIMIT)
    return where.member_events


def apply_reply(where: Conversation, entries: Iterable[JsonObject], since: deque[MemberEvent] | None) -> bool:
    """Replace the members by a reply; False when a later request was made meanwhile.

    The reply's pages may be older than events received since the request, so these are applied again.
    """
    if since is not where.member_events:
        return False
    keys = ("user", "role", "state", "text")
    found = [RoomMember(*(_text(entry, key) for key in keys)) for entry in islice(entries, MEMBERS_LIMIT)]
    where.members = {member.user: member for member in found if member.user}
    where.member_events = None
    for event in since or ():
        apply_event(where, event)
    return True


def apply_event(where: Conversation, event: MemberEvent, elsewhere: RoomMember | None = None) -> None:
    """Update one member. ``elsewhere``: what another room knows of the user."""
    members, user = where.members, render.safe(event.user)
    if where.member_events is not None:
        where.member_events.append(event)
    if isinstance(event, ev.Parted):
        members.pop(user, None)
    elif isinstance(event, ev.Presence):
        if user in members:
            members[user] = RoomMember(user, members[user].role, event.state, render.safe(event.text))
    elif user and (user in members or len(members) < MEMBERS_LIMIT):
        known = members.get(user) or elsewhere
        # A join by somebody else is no presence: the user may never have connected.
        own = event.by == event.user and (known is None or known.state == "offline")
        state = ("online", "") if own else (known.state, known.text) if known else ("offline", "")
        members[user] = RoomMember(user, render.safe(event.role), *state)


def _text(entry: JsonObject, key: str) -> str:
    value: Any = entry.get(key)
    return render.safe(value) if isinstance(value, str) else ""
