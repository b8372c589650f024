"""Rooms and who is in them."""

from __future__ import annotations

from chatd.errors import ChatdError
from chatd.hub.state.context import SERVER, Turn
from chatd.proto import requests as rq
from chatd.proto.frames import JsonObject
from chatd.proto.text import check_room, visible

# Rooms there may be in all; a snapshot of the state stays well under a second at this size.
ROOMS_LIMIT = 10_000


def create(turn: Turn, request: rq.Create) -> JsonObject:
    """Make a room and join it."""
    name = check_room(request.room)
    if turn.who.operator:
        raise ChatdError("E300", "the box itself is in no room", "put it into config/settings.json: rooms")
    if not request.guests and not turn.allows("room.closed"):
        raise ChatdError("E303", f"the role {turn.role} may not be in a room closed to guests")
    turn.refuse_muted()
    if name in turn.state.rooms:
        raise ChatdError("E406", f"the name {name} is taken", f"choose another name, or try: /join {name}")
    if len(turn.state.rooms) >= ROOMS_LIMIT:
        raise ChatdError("E409", f"there are {ROOMS_LIMIT} rooms, the most there may be")
    _refuse_too_many(turn)
    topic = _topic_text(turn, request.topic)
    turn.emit("room_created", room=name, topic=topic, guests=request.guests, by=turn.who.user)
    _enter(turn, turn.who.user, name, by=turn.who.user)
    return describe(turn, name)


def join(turn: Turn, request: rq.Join) -> JsonObject:
    """Become a member; joining twice changes nothing."""
    room = turn.room(request.room)
    if turn.who.user not in room.members:
        if turn.who.operator:
            raise ChatdError("E300", "the box itself does not join rooms")
        _refuse_too_many(turn)
        _enter(turn, turn.who.user, request.room, by=turn.who.user)
    return describe(turn, request.room)


def part(turn: Turn, request: rq.Part) -> JsonObject:
    """Stop being a member. A direct conversation cannot be left."""
    turn.member(request.room)
    if request.room.startswith("@"):
        raise ChatdError(
            "E301", "a direct conversation cannot be left", "mute or ban is what an admin can do"
        )
    turn.emit("parted", room=request.room, user=turn.who.user, by=turn.who.user, reason="")
    return {}


def topic(turn: Turn, request: rq.Topic) -> JsonObject:
    """Set the topic of a room one is in."""
    turn.member(request.room)
    if request.room.startswith("@"):
        raise ChatdError("E404", "a direct conversation has no topic")
    turn.refuse_muted(request.room)
    text = _topic_text(turn, request.topic)
    turn.emit("topic", room=request.room, topic=text, by=turn.who.user)
    return {}


def describe(turn: Turn, name: str) -> JsonObject:
    """What a client shows of a room."""
    room = turn.state.rooms[name]
    return {
        "room": name,
        "topic": room.topic,
        "guests": turn.rules.admits_guests(name, room),
        "members": len(room.members),
    }


def ensure_configured(turn: Turn) -> None:
    """Create the rooms that the settings ask for. At start and after a reload."""
    for name, rule in turn.rules.rooms.items():
        if name not in turn.state.rooms:
            turn.emit("room_created", room=name, topic=rule.topic, guests=rule.guests, by=SERVER)


def auto_join(turn: Turn, user: str) -> None:
    """Put a user in the rooms that everybody starts in, except those left on purpose."""
    known = turn.state.users[user]
    for name, rule in turn.rules.rooms.items():
        fresh = name not in known.rooms and name not in known.left
        if rule.autojoin and fresh and turn.rules.may_enter(turn.state, user, name):
            _enter(turn, user, name, by=SERVER)


def put_out_unentitled(turn: Turn, users: list[str]) -> None:
    """Take users out of rooms that their role may not be in any more (role change, reload)."""
    for user in users:
        for name in sorted(turn.state.users[user].rooms):
            if not name.startswith("@") and not turn.rules.may_enter(turn.state, user, name):
                turn.emit("parted", room=name, user=user, by=SERVER, reason="closed to guests")


def _enter(turn: Turn, user: str, name: str, *, by: str) -> None:
    turn.emit("joined", room=name, user=user, role=turn.rules.role_of(turn.state, user), by=by)


def _refuse_too_many(turn: Turn) -> None:
    limit = turn.rules.settings.limits.rooms_per_user
    if sum(not r.startswith("@") for r in turn.state.users[turn.who.user].rooms) >= limit:
        raise ChatdError("E409", f"you are in {limit} rooms, the most there may be", "leave one first: /part")


def _topic_text(turn: Turn, text: str) -> str:
    shown = visible(text, newlines=False)
    limit = turn.rules.settings.limits.topic_chars
    if len(shown) > limit:
        raise ChatdError("E401", f"the topic has {len(shown)} characters; {limit} are allowed")
    turn.refuse_words(text, "topic")
    return shown
