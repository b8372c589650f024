"""The rows of the side lists, from the model: conversations with unread counts, members with presence."""

from __future__ import annotations

from chatctl.model import render
from chatctl.model.chat_model import ChatModel
from chatctl.model.conversation import Conversation
from chatctl.model.render import short_count
from chatctl.model.times import Times
from chatctl.window.row_list import ListItem

_STATE_ORDER = {"online": 0, "away": 1}


def conversation_items(model: ChatModel) -> list[ListItem]:
    """Return what this user is invited to, the rooms, then the people, each under a heading."""
    invited = [
        ListItem(room, render.safe(room).removeprefix("#"), "Join", "mention", sign="#")
        for room in model.invited_to
    ]
    rooms, people = list[ListItem](), list[ListItem]()
    conversations = model.listed()
    direct = {model.title(one.name).removeprefix("@") for one in conversations if one.name.startswith("@")}
    states = _states_of(direct, model)
    for listed in conversations:
        tag = "mention" if listed.mentions else "unread" if listed.unread else ""
        title = model.title(listed.name)
        count = short_count(listed.unread) if listed.unread else ""
        if listed.name.startswith("@"):
            user = title.removeprefix("@")
            people.append(ListItem(listed.name, user, count, tag, person=user, state=states.get(user, "")))
        else:
            rooms.append(ListItem(listed.name, title.removeprefix("#"), count, tag, sign="#"))
    more = f" ({model.unlisted} more: Ctrl+K)" if model.unlisted else ""
    return [
        # First, where nobody has to scroll to them.
        *([ListItem("", "Invitations"), *invited] if invited else []),
        *([ListItem("", f"Rooms{more}"), *rooms] if rooms else []),
        *([ListItem("", "People"), *people] if people else []),
    ]


def _states_of(people: set[str], model: ChatModel) -> dict[str, str]:
    """Return the presence of those of whom a visited room tells."""
    known = (one.members for one in model.conversations.values() if one.members and not one.members_as_of)
    return {user: members[user].state for members in known for user in people if user in members}


def member_items(here: Conversation) -> list[ListItem]:
    """Return the members, online first."""
    members = sorted(here.members.values(), key=lambda m: (_STATE_ORDER.get(m.state, 2), m.user))
    # Without a connection, every state is out of date and drawn as offline.
    tags = {} if here.members_as_of else {"online": "", "away": "away"}
    return [
        ListItem(
            member.user,
            member.user,
            member.role if member.role != "user" else "",
            tags.get(member.state, "quiet"),
            person=member.user,
            state="offline" if here.members_as_of else member.state,
            detail=member.text,
        )
        for member in members
    ]


def members_heading(here: Conversation, times: Times = Times.UTC) -> str:
    """Return how many are here, or since when that is not known."""
    if not here.members:
        return ""
    if here.members_as_of:
        return f"Members as of {times.clock(here.members_as_of, seconds=False)}"
    present = sum(member.state != "offline" for member in here.members.values())
    return f"Members: {present} of {len(here.members)} here"
