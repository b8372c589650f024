"""A log begun before 0.1.0 has the former names of a hold."""

from __future__ import annotations

import json

from chatd.hub.state.model import State
from chatd.proto.frames import JsonObject

CREATED: JsonObject = {
    "type": "room_created",
    "seq": 1,
    "at": 0,
    "room": "#lobby",
    "topic": "",
    "guests": True,
    "by": "server",
}
HELD: JsonObject = {"seq": 2, "at": 0, "room": "#lobby", "on": True, "by": "server", "reason": ""}


def held(kind: str) -> State:
    state = State()
    state.apply(CREATED)
    state.apply({"type": kind, **HELD})
    return state


def test_an_event_under_its_former_name_holds_the_room() -> None:
    assert held("frozen") == held("held")
    assert held("frozen").rooms["#lobby"].held


def test_a_snapshot_under_the_former_name_holds_the_room() -> None:
    snapshot = json.loads(held("held").snapshot())
    room = snapshot["rooms"]["#lobby"]
    room["frozen"] = room.pop("held")
    assert State.restore(json.dumps(snapshot).encode()) == held("held")
