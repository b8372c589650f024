"""Parsing of frames from the server by a client."""

from __future__ import annotations

from typing import Any

import pytest

from chatd.errors import ChatdError
from chatd.hub.state.model import EVENT_KINDS, audience_of
from chatd.proto import events
from chatd.proto.events import EVENTS, bye_frame, error_frame, parse_from_server
from chatd.proto.frames import decode, encode

LIMITS = {
    "message_chars": 500,
    "snippet_bytes": 0,
    "topic_chars": 256,
    "rooms": 100,
    "history_on_join": 20,
    "idle_seconds": 30,
    "messages_per_minute": 300,
    "burst": 20,
}
LOGGED = {"seq": 1, "at": 2}
ROOM_USER = {"room": "#lobby", "user": "bob"}
EXAMPLES: dict[str, dict[str, Any]] = {
    "welcome": {
        "protocol": 1,
        "server": "chatd",
        "version": "1",
        "instance": "chatd",
        "user": "bob",
        "device": "x",
        "lineage": [{"id": "a" * 32, "began": 0}, {"id": "b" * 32, "began": 7}],
        "role": "user",
        "permissions": [],
        "rooms": ["#lobby"],
        "head": 0,
        "time": 0,
        "envelope": True,
        "limits": LIMITS,
    },
    "ok": {"id": 1, "result": {"anything": [1]}},
    "error": {"id": 0, "code": "E404", "reason": "r", "fix": "f"},
    "message": LOGGED
    | ROOM_USER
    | {"device": "x", "role": "user", "msg_id": "00" * 16, "kind": "text", "body": "hello", "reply_to": 7},
    "joined": LOGGED | ROOM_USER | {"role": "user", "by": "server", "by_uid": 0, "by_login": "root"},
    "parted": LOGGED | ROOM_USER | {"by": "alice", "reason": "spam", "remember": False},
    "room_created": LOGGED | {"room": "#lobby", "topic": "", "guests": True, "by": "bob"},
    "dm_opened": LOGGED | {"room": "@alice,bob"},
    "topic": LOGGED | {"room": "#lobby", "topic": "t", "by": "bob"},
    "edited": LOGGED
    | {"room": "#lobby", "target": 1, "user": "alice", "device": "laptop", "role": "user"}
    | {"msg_id": "0a" * 16, "kind": "text", "body": "hello", "replaces": [1]},
    "reacted": LOGGED
    | {"room": "#lobby", "target": 1, "user": "alice", "text": "+1", "on": True, "count": 1},
    "redacted": LOGGED | {"room": "#lobby", "target": 1, "by": "alice", "reason": "r"},
    "expired": LOGGED | {"room": "#lobby", "upto": 1, "count": 1},
    "archived": LOGGED | {"room": "#lobby", "on": True, "by": "alice", "reason": "r"},
    "room_removed": LOGGED | {"room": "#lobby", "by": "alice", "reason": "r"},
    "room_mode": LOGGED | {"room": "#lobby", "mode": "members", "by": "alice"},
    "owner_set": LOGGED | ROOM_USER | {"on": True, "by": "alice"},
    "invited": LOGGED | ROOM_USER | {"until": 5, "by": "alice"},
    "uninvited": LOGGED | ROOM_USER | {"by": "alice"},
    "held": LOGGED | {"room": "#lobby", "on": True, "by": "alice", "reason": "r"},
    "announcement": LOGGED | {"body": "all", "by": "alice"},
    "read": LOGGED | ROOM_USER | {"upto": 7},
    "guest_reminded": LOGGED | {"user": "alice", "guest": "gil", "ends": 9},
    "message_held": LOGGED
    | ROOM_USER
    | {"device": "x", "role": "user", "msg_id": "00" * 16, "kind": "text", "body": "b", "word": "w"},
    "message_approved": LOGGED
    | ROOM_USER
    | {"device": "x", "msg_id": "00" * 16, "target": 1, "published": 2, "by": "alice"},
    "message_refused": LOGGED
    | ROOM_USER
    | {"device": "x", "msg_id": "00" * 16, "target": 1, "reason": "r", "by": "alice"},
    "attention": {"what": "held", "count": 1, "user": "bob", "place": "#lobby"},
    "presence": ROOM_USER
    | {"state": "offline", "text": "", "cause": "kicked", "by": "alice", "reason": "spam"},
    "standing": {
        "change": "muted",
        "role": "user",
        "permissions": ["message.read"],
        "by": "alice",
        "reason": "spam",
        "room": "#lobby",
        "until": 5,
    },
    "ping": {},
    "lagged": {},
    "slowed": {"seconds": 3},
    "isolated": {"reason": "cut off"},
    "authority_changed": {},
    "bye": {"code": "E207", "reason": "r", "fix": "f", "retry": False},
}


def test_every_event_has_an_example() -> None:
    assert set(EXAMPLES) == set(EVENTS)


@pytest.mark.parametrize("kind", EVENTS)
def test_a_frame_is_parsed_as_its_event_type(kind: str) -> None:
    message = decode(encode({"type": kind} | EXAMPLES[kind])[4:])
    event = parse_from_server(message)
    assert type(event) is EVENTS[kind]
    assert {name: value for name, value in event.model_dump().items() if name in message} == message


@pytest.mark.parametrize("kind", EVENTS)
def test_fields_of_a_newer_server_are_ignored(kind: str) -> None:
    newer = {"type": kind, "colour": "red"} | EXAMPLES[kind]
    assert parse_from_server(newer) == parse_from_server({"type": kind} | EXAMPLES[kind])


@pytest.mark.parametrize("kind", [kind for kind, fields in EXAMPLES.items() if fields])
def test_missing_or_mistyped_fields_raise_e100(kind: str) -> None:
    for name in EXAMPLES[kind]:
        if not EVENTS[kind].fields()[name].is_required():
            continue
        message = {"type": kind} | EXAMPLES[kind]
        del message[name]
        for broken in (message, message | {name: 1.5}):
            with pytest.raises(ChatdError) as caught:
                parse_from_server(broken)
            assert caught.value.code == "E100"


@pytest.mark.parametrize("kind", ["future", "", None, 1, ["ok"], {"ok": 1}])
def test_unknown_types_are_ignored(kind: Any) -> None:
    assert parse_from_server({"type": kind}) is None
    assert parse_from_server({}) is None


def test_error_and_bye_frames_parse() -> None:
    error = ChatdError("E207", "bob is banned for 2h: spam")
    read = parse_from_server(error_frame(3, error))
    assert read == events.Error(type="error", id=3, code="E207", reason=error.reason, fix=error.fix)
    bye = parse_from_server(bye_frame(error, retry=True))
    assert bye == events.Bye(type="bye", code="E207", reason=error.reason, fix=error.fix, retry=True)


def test_clients_know_every_event_that_has_an_audience() -> None:
    about = {"room": "#lobby", "user": "bob"}
    delivered = {kind for kind in EVENT_KINDS if audience_of({"type": kind} | about) is not None}
    assert delivered == {kind for kind, model in EVENTS.items() if issubclass(model, events.Logged)}
