"""Direct conversations: of two users, and groups of more, which are named after their members."""

from __future__ import annotations

from chatd.errors import ChatdError
from chatd.hub.state import rooms
from chatd.hub.state.context import Context, unknown_user
from chatd.proto.text import GROUP_MEMBERS, check_name, dm_room, is_group


def find(context: Context, to: str) -> str:
    """Return the conversation with "@name", or the one of the members in "@one,two", "@one,two,three".

    Refuses what `open_for` could not open.
    """
    if context.who.operator or not context.allows("dm.send"):
        raise ChatdError("E300", f"the role {context.role} may not send direct messages (dm.send)")
    me = context.who.user
    names = to[1:].split(",")
    if len(names) > 1:
        if me not in names:
            raise unknown_user(to[1:])
        names.remove(me)
    if len(names) > 1:
        return _group(context, names)
    conversation, peer = dm_room(me, names[0]), check_name(names[0], "user")
    begun = conversation in context.state.rooms
    if not begun:
        # A conversation makes two users acquainted, so strangers must not be able to begin one.
        context.acquaintance(peer)
    _refuse_unable(context, peer)
    if not begun:
        _refuse_too_many(context, me, peer)
    return conversation


def open_for(context: Context, name: str) -> None:
    """Open a conversation that `find` has returned, or bring the asker back to a group, if need be."""
    room = context.state.rooms.get(name)
    if room is None:
        by = {"by": context.who.user} if is_group(name) else {}
        context.emit("dm_opened", room=name, **by)
    elif context.who.user not in room.members:
        rooms.enter(context, context.who.user, name, by=context.who.user)


def _group(context: Context, others: list[str]) -> str:
    """Return the name of the asker's group with ``others``."""
    me = context.who.user
    peers = sorted({check_name(name, "user") for name in others} - {me})
    if len(peers) != len(others):
        raise ChatdError("E403", "a name is in the group twice", "name every member once")
    if len(peers) >= GROUP_MEMBERS:
        raise ChatdError("E409", f"a group has at most {GROUP_MEMBERS} members", "create a room: /create")
    name = dm_room(me, *peers)
    room = context.state.rooms.get(name)
    if room is None:
        # A group introduces its members to each other, so nobody brings in a stranger.
        for peer in peers:
            context.acquaintance(peer)
        for peer in peers:
            _refuse_unable(context, peer)
        _refuse_too_many(context, me, *peers)
        rooms.refuse_too_many_today(context)
        if name in context.state.removing:
            raise ChatdError("E409", "this group was empty and is being removed", "try again in a minute")
    elif me not in room.members:
        _refuse_too_many(context, me)
    return name


def _refuse_unable(context: Context, peer: str) -> None:
    if not context.allows("dm.send", peer):
        what = "bot" if context.state.users[peer].bot else "guest"
        raise ChatdError("E303", f"{peer} is a {what} and gets no direct messages")


def _refuse_too_many(context: Context, *users: str) -> None:
    limits, state = context.rules.settings.limits, context.state
    for user in users:
        known = state.users[user].rooms
        if len(known) - known.count_before("@") >= (limit := limits.conversations_per_user):
            raise ChatdError("E409", f"{user} has {limit} conversations, the most there may be")
    context.refuse_full(state.conversation_count, limits.conversations, "conversations")
