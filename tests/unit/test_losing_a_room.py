"""Nothing of a lost room stays in the client, by whichever way it is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, get_args

import pytest

from chatctl.client import Connected
from chatctl.model.chat_model import ChatModel
from chatd.proto import events as ev

LOBBY, OPS = "#lobby", "#ops"


EventT = TypeVar("EventT", ev.Joined, ev.Parted, ev.Message, ev.RoomRemoved)


def _event(event: type[EventT], seq: int, **fields: object) -> EventT:
    (name,) = get_args(event.fields()["type"].annotation)
    return event.model_validate({"type": name, "seq": seq, "at": 1, "room": OPS, **fields})


def _connected() -> Connected:
    limits = dict.fromkeys(ev.SessionLimits.fields(), 1)
    names = {"server": "", "version": "", "instance": "lab", "user": "alice", "device": "d", "role": "guest"}
    fields = {"type": "welcome", "protocol": 1, "permissions": [], "head": 1, "time": 1, "envelope": True}
    return Connected(ev.Welcome.model_validate({**names, **fields, "rooms": [LOBBY], "limits": limits}))


WAYS: dict[str, Callable[[ChatModel], None]] = {
    "left": lambda model: model.take(_event(ev.Parted, 9, user="alice", by="alice")),
    "removed by an admin": lambda model: model.take(_event(ev.Parted, 9, user="alice", by="eve")),
    "removed room": lambda model: model.take(_event(ev.RoomRemoved, 9, by="eve")),
    "while disconnected": lambda model: model.take(_connected()),
    "while the hub was replaced": lambda model: model.set_rooms([{"room": OPS, "joined": False}], since=8),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_lost_room_has_no_unread_messages_and_no_members(way: str) -> None:
    model = ChatModel("alice")
    model.joined = {LOBBY, OPS}
    model.switch(LOBBY)
    where = model.conversation(OPS)
    model.set_unread([{"room": OPS, "seq": 2, "unread": 150, "cursor": 5}])
    fields = {"device": "d", "role": "user", "msg_id": "0" * 32, "kind": "text"}
    model.take(_event(ev.Message, 6, user="bob", body="@alice come", **fields))
    assert (model.unread, len(where.read.calls)) == (151, 1)
    asked = model.request_members(OPS)
    WAYS[way](model)
    model.set_members(OPS, [{"user": "bob", "role": "user", "state": "online"}], asked)
    assert model.joined == {LOBBY}
    assert (model.unread, where.read.first, list(where.read.calls)) == (0, 0, [])
    assert where.members == {}, "a reply from before the loss"
    model.take(_event(ev.Joined, 20, user="alice", role="user", by="eve"))
    model.take(_event(ev.Message, 21, user="bob", body="new", **fields))
    assert model.unread == 1, "what is written after the return counts"
