"""Rooms and their members."""

from __future__ import annotations

from collections.abc import Iterator

from chatd.errors import ChatdError
from chatd.hub.state import leaving
from chatd.hub.state.context import TAKE_OVER, Context
from chatd.hub.state.entities import ALL, MEMBERS, OPEN
from chatd.hub.state.model import SERVER, Room
from chatd.proto import requests as rq
from chatd.proto.frames import JsonObject
from chatd.proto.text import check_room, is_group, visible


def create(context: Context, request: rq.Create) -> JsonObject:
    """Create a room and join it."""
    name = check_room(request.room)
    if context.who.operator:
        raise ChatdError("E300", "the box itself is in no room", "put it into config/settings.json: rooms")
    if not request.guests and not context.allows("room.closed"):
        raise ChatdError("E303", f"the role {context.role} may not be in a room closed to guests")
    context.refuse_muted()
    context.refuse_full(context.state.room_count, context.rules.settings.limits.rooms, "rooms")
    refuse_too_many(context)
    refuse_too_many_today(context)
    context.refuse_words(name, "name", name)
    topic = _topic_text(context, request.topic, request.room)
    # Last: whoever tries whether a hidden room exists then creates a room for each name that is free.
    if not _is_free(context, name):
        raise _taken(context, name)
    context.emit(
        "room_created",
        room=name,
        topic=topic,
        guests=request.guests,
        mode=request.mode,
        history=request.history,
        by=context.who.user,
    )
    enter(context, context.who.user, name, by=context.who.user)
    return describe(context, name)


def join(context: Context, request: rq.Join) -> JsonObject:
    """Join a room; joining twice changes nothing."""
    room = context.room(request.room)
    if context.who.user not in room.members:
        if context.who.operator:
            raise ChatdError("E300", "the box itself does not join rooms")
        if room.mode == MEMBERS and not context.is_invited(request.room):
            raise ChatdError("E312", f"{request.room} is entered by invitation", TAKE_OVER)
        context.refuse_archived(request.room)
        refuse_too_many(context)
        enter(context, context.who.user, request.room, by=context.who.user)
    return describe(context, request.room)


def part(context: Context, request: rq.Part) -> JsonObject:
    """Leave a room or a group. A conversation of two cannot be left."""
    room = context.member(request.room)
    if request.room.startswith("@") and not is_group(request.room):
        raise ChatdError(
            "E301", "a direct conversation cannot be left", "to stop messages, ask an admin for a mute or ban"
        )
    if len(room.members) > 1:
        refuse_last_owner(request.room, room, context.who.user)
    leaving.leave(context, context.who.user, request.room, by=context.who.user)
    return {}


def topic(context: Context, request: rq.Topic) -> JsonObject:
    """Set the topic of a room that the asker is in; only an owner sets that of a room that is not open."""
    room = context.member(request.room)
    if request.room.startswith("@"):
        raise ChatdError("E404", "a direct conversation has no topic")
    if room.mode != OPEN:
        context.owned(request.room)
    context.refuse_archived(request.room)
    context.refuse_muted(request.room)
    text = _topic_text(context, request.topic, request.room)
    context.emit("topic", room=request.room, topic=text, by=context.who.user)
    return {}


def describe(context: Context, name: str) -> JsonObject:
    """Return a room as clients show it."""
    room = context.state.rooms[name]
    return {
        "room": name,
        "topic": room.topic,
        "guests": context.rules.admits_guests(name, room),
        "members": len(room.members),
        "archived": room.archived,
        "mode": room.mode,
        "history": room.history,
    }


def ensure_configured(context: Context) -> None:
    """Create the rooms in the settings: at start, after a reload, and when the name of one becomes free."""
    for name, rule in context.rules.rooms.items():
        if _is_free(context, name):
            fields = {"topic": rule.topic, "guests": rule.guests, "mode": rule.mode, "history": ALL}
            context.emit("room_created", room=name, **fields, by=SERVER)


def auto_join(context: Context, user: str) -> None:
    """Join a user to the autojoin rooms, except those the user has left."""
    for name in to_auto_join(context, user):
        enter(context, user, name, by=SERVER)


def to_auto_join(context: Context, user: str) -> Iterator[str]:
    """Yield the autojoin rooms that a user is not in and has not left."""
    known = context.state.users[user]
    for name, rule in context.rules.rooms.items():
        room = context.state.rooms.get(name)
        if room is None or room.archived or not rule.autojoin or room.mode == MEMBERS:
            continue
        if (
            user not in room.members
            and name not in known.left
            and context.rules.may_enter(context.state, user, name)
        ):
            yield name


def join_invited(context: Context, user: str, names: list[str], *, by: str) -> None:
    """Join a new user to those rooms of an invite that still exist and admit the user.

    A members room admits whom one of its owners has invited. ``limits.rooms_per_user`` holds here, too.
    """
    limit = context.rules.settings.limits.rooms_per_user
    for name in names:
        if context.state.users[user].rooms.count_before("@") >= limit:
            return
        room = context.state.rooms.get(name)
        if room is None or room.archived or user in room.members:
            continue
        if room.mode == MEMBERS and by not in room.owners:
            continue
        if context.rules.may_enter(context.state, user, name):
            enter(context, user, name, by=by)


def enter(context: Context, user: str, name: str, *, by: str) -> None:
    """Add a user to a room."""
    context.emit("joined", room=name, user=user, role=context.rules.role_of(context.state, user), by=by)


def _is_free(context: Context, name: str) -> bool:
    return name not in context.state.rooms and name not in context.state.removing


def refuse_last_owner(name: str, room: Room, user: str) -> None:
    """Raise E314 if a room that is not open would be without an owner."""
    if room.mode != OPEN and room.owners == {user}:
        raise ChatdError("E314", f"{user} is the last owner of {name}")


def refuse_too_many(context: Context) -> None:
    """Raise E409 if the asker is in as many rooms as there may be."""
    limit = context.rules.settings.limits.rooms_per_user
    if context.state.users[context.who.user].rooms.count_before("@") >= limit:
        raise ChatdError("E409", f"you are in {limit} rooms, the most there may be", "leave one first: /part")


def refuse_too_many_today(context: Context) -> None:
    """Raise E409 if the asker has created as many rooms and groups today as a day allows."""
    if context.allows("room.remove"):
        return
    limit = context.rules.settings.limits.for_role(context.role).rooms_per_day
    if context.state.users[context.who.user].created_on(context.now) >= limit:
        raise ChatdError(
            "E409", f"you may create {limit} rooms and groups a day", "try again tomorrow, or ask an admin"
        )


def _taken(context: Context, name: str) -> ChatdError:
    if context.knows_room(name):
        return ChatdError("E406", f"the name {name} is taken", f"choose another name, or try: /join {name}")
    return ChatdError("E406", f"the name {name} cannot be used", "choose another name")


def _topic_text(context: Context, text: str, room: str) -> str:
    shown = visible(text, newlines=False)
    limit = context.rules.settings.limits.topic_chars
    if len(shown) > limit:
        raise ChatdError("E401", f"the topic has {len(shown)} characters; {limit} are allowed")
    context.refuse_words(text, "topic", room)
    return shown
