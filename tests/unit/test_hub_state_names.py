"""Events from before 0.1.0, which call a hold "frozen", are understood."""

from __future__ import annotations

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


def state_with_hold(kind: str) -> State:
    state = State()
    state.apply(CREATED)
    state.apply({"type": kind, **HELD})
    return state


def test_a_hold_event_with_its_former_name_holds_the_room() -> None:
    assert state_with_hold("frozen") == state_with_hold("held")
    assert state_with_hold("frozen").rooms["#lobby"].held
