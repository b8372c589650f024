"""Requests: the fields of each type at their limits, and the table of permissions."""

from __future__ import annotations

from typing import Any

import pytest

from chatd.errors import ChatdError
from chatd.policy.roles import PERMISSIONS
from chatd.proto.frames import INTEGER_LIMIT
from chatd.proto.requests import REQUESTS, RequestKind, parse_request, request_id_of

MSG_ID = "0123456789abcdef" * 2
# The shortest valid form of each request.
MINIMAL: dict[str, dict[str, Any]] = {
    "ping": {},
    "resume": {},
    "send": {"msg_id": MSG_ID, "to": "#lobby", "body": "hello"},
    "history": {"room": "#lobby"},
    "search": {"query": "word"},
    "create": {"room": "#new"},
    "join": {"room": "#lobby"},
    "part": {"room": "#lobby"},
    "rooms": {},
    "who": {"room": "#lobby"},
    "whois": {"user": "bob"},
    "topic": {"room": "#lobby", "topic": ""},
    "away": {},
    "kick": {"user": "bob"},
    "ban": {"user": "bob"},
    "unban": {"user": "bob"},
    "bans": {},
    "mute": {"user": "bob"},
    "unmute": {"user": "bob"},
    "edit": {"room": "#lobby", "seq": 1, "body": "hello", "msg_id": "0a" * 16},
    "delete": {"room": "#lobby", "seq": 1},
    "react": {"room": "#lobby", "seq": 1, "text": "+1"},
    "reactions": {"room": "#lobby", "seq": 1},
    "redact": {"room": "#lobby", "seq": 1},
    "hold": {"room": "#lobby"},
    "room_archive": {"room": "#lobby"},
    "room_info": {"room": "#lobby"},
    "room_mode": {"room": "#lobby", "mode": "open"},
    "invite": {"room": "#lobby", "user": "bob"},
    "uninvite": {"room": "#lobby", "user": "bob"},
    "owner": {"room": "#lobby", "user": "bob"},
    "member_remove": {"room": "#lobby", "user": "bob"},
    "room_remove": {"room": "#lobby"},
    "announce": {"body": "hello"},
    "role_set": {"user": "bob", "role": "user"},
    "role_show": {},
    "users": {},
    "revoke": {"user": "bob", "device": "laptop"},
    "stats": {},
    "audit": {},
    "user_add": {"user": "bob", "device": "laptop", "serial": "0a"},
    "messages": {"room": "#lobby", "seqs": [1]},
    "read": {"room": "#lobby", "seq": 1},
    "unread": {},
    "invite_create": {"user": "carol", "secret_hash": "0a" * 32, "seconds": 60},
    "invite_many": {"invites": [{"user": "carol", "secret_hash": "0a" * 32}], "seconds": 60},
    "invite_list": {},
    "invite_cancel": {"user": "carol"},
    "asks": {},
    "ask_approve": {"ask": "0a" * 32},
    "ask_deny": {"ask": "0a" * 32},
    "held_list": {},
    "held_approve": {"seq": 1},
    "held_refuse": {"seq": 1},
    "held_withdraw": {"seq": 1},
    "filter_test": {"body": "a text"},
    "hook_create": {"room": "#ops", "name": "alerts", "kind": "text"},
    "hook_list": {},
    "hook_rotate": {"name": "alerts"},
    "hook_remove": {"name": "alerts"},
    "devices": {},
    "user_remove": {"user": "bob"},
    "display_name": {"user": "bob", "display": "Robert"},
    "certificates": {},
    "mutes": {},
    "device_add": {"secret_hash": "0a" * 32, "seconds": 3600},
    "guest_list": {},
    "guest_extend": {"user": "gil", "seconds": 60},
    "guest_end": {"user": "gil"},
}


def request(kind: str, /, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "id": 1} | MINIMAL[kind] | fields


def refusal(message: dict[str, Any]) -> ChatdError:
    with pytest.raises(ChatdError) as caught:
        parse_request(message)
    return caught.value


def test_every_request_is_in_the_table() -> None:
    assert set(MINIMAL) == set(REQUESTS)


@pytest.mark.parametrize("kind", REQUESTS)
def test_the_minimal_form_of_a_request_is_accepted(kind: str) -> None:
    parsed = parse_request(request(kind))
    assert type(parsed) is REQUESTS[kind]
    assert (parsed.type, parsed.id) == (kind, 1)


@pytest.mark.parametrize("kind", REQUESTS)
def test_unknown_and_missing_fields_are_refused(kind: str) -> None:
    assert "field surplus" in refusal(request(kind, surplus=1)).reason
    for name in MINIMAL[kind]:
        message = request(kind)
        del message[name]
        assert f"field {name}" in refusal(message).reason
    assert "field id" in refusal({"type": kind} | MINIMAL[kind]).reason


@pytest.mark.parametrize("kind", REQUESTS)
def test_no_field_takes_a_value_of_another_type(kind: str) -> None:
    for name in REQUESTS[kind].model_fields:
        if name == "type":
            continue
        for wrong in WRONG_TYPES:
            assert refusal(request(kind, **{name: wrong})).code == "E102"
    for request_id in WRONG_IDS:
        assert refusal(request(kind, id=request_id)).code == "E102"


WRONG_TYPES: list[Any] = [[], {}, 1.5]
WRONG_IDS: list[Any] = ["1", True, None, 0, -1, INTEGER_LIMIT + 1, 2**63]
LONGEST = [
    ("send", "body", 32 * 1024),
    ("send", "to", 264),
    ("create", "topic", 256),
    ("topic", "topic", 256),
    ("away", "text", 256),
    ("kick", "reason", 256),
    ("ban", "user", 32),
    ("mute", "room", 264),
    ("revoke", "device", 32),
    ("role_set", "role", 32),
    ("search", "query", 500),
    ("announce", "body", 32 * 1024),
    ("rooms", "after", 264),
    ("who", "after", 32),
    ("mutes", "after", 297),
]


@pytest.mark.parametrize(("kind", "field", "limit"), LONGEST)
def test_a_text_is_limited_to_its_length(kind: str, field: str, limit: int) -> None:
    assert getattr(parse_request(request(kind, **{field: "x" * limit})), field) == "x" * limit
    assert refusal(request(kind, **{field: "x" * (limit + 1)})).code == "E102"


RANGES = [
    ("resume", "after", 0, INTEGER_LIMIT),
    ("send", "reply_to", 0, INTEGER_LIMIT),
    ("history", "before", 0, INTEGER_LIMIT),
    ("history", "after", 0, INTEGER_LIMIT),
    ("history", "limit", 1, 500),
    ("search", "limit", 1, 500),
    ("ban", "seconds", 1, 10 * 366 * 86_400),
    ("mute", "seconds", 1, 10 * 366 * 86_400),
]


@pytest.mark.parametrize(("kind", "field", "low", "high"), RANGES)
def test_a_number_is_limited_to_its_range(kind: str, field: str, low: int, high: int) -> None:
    for fine in (low, high):
        assert getattr(parse_request(request(kind, **{field: fine})), field) == fine
    beyond: list[Any] = [low - 1, high + 1, 2**53 + 1, 2**63, True, "5"]
    for value in beyond:
        assert refusal(request(kind, **{field: value})).code == "E102"


@pytest.mark.parametrize(
    "bad", ["", "0" * 31, "0" * 33, "0" * 31 + "G", "A" * 32, "0" * 32 + "\n", "\uff10" * 32]
)
def test_an_invalid_msg_id_is_refused(bad: str) -> None:
    assert "msg_id" in refusal(request("send", msg_id=bad)).reason


@pytest.mark.parametrize("bad", ["", "0" * 41, "0X", "A", "0\n", "-1"])
def test_an_invalid_serial_is_refused(bad: str) -> None:
    assert "serial" in refusal(request("user_add", serial=bad)).reason


@pytest.mark.parametrize("bad", ["", "x", "SEND", "send ", "welcome", None, 1, ["send"], {"send": 1}, True])
def test_an_unknown_type_is_refused(bad: Any) -> None:
    assert refusal({"type": bad, "id": 1}).code == "E103"
    assert refusal({"id": 1}).code == "E103"


@pytest.mark.parametrize("hostile", ["\x1b]0;x\x07", "\u202eabc", "a\nb", "x" * 5000])
def test_errors_escape_hostile_names(hostile: str) -> None:
    for error in (refusal({"type": hostile, "id": 1}), refusal(request("ping", **{hostile: 1}))):
        assert error.reason.isprintable()
        assert len(error.reason) < 400


def test_errors_do_not_quote_values() -> None:
    assert "secret" not in str(refusal(request("send", body=["secret"])))


@pytest.mark.parametrize("request_id", [0, -1, True, "1", None, 1.0, [1]])
def test_an_unusable_request_id_is_read_as_zero(request_id: Any) -> None:
    assert request_id_of({"id": request_id}) == 0
    assert request_id_of({}) == 0


def test_a_usable_request_id_is_returned() -> None:
    assert request_id_of({"id": 7}) == 7


def test_every_permission_of_the_table_exists() -> None:
    for kind, model in REQUESTS.items():
        spec = model.spec
        assert spec.permission in PERMISSIONS or spec.permission in (None, "operate"), kind
        assert 0 < spec.cost <= 1
    assert [kind for kind, model in REQUESTS.items() if model.spec.kind is RequestKind.WORKER] == ["ping"]


def test_requests_with_a_lasting_effect_are_not_repeatable() -> None:
    """Sanctions are announced and logged, so a second one has an effect."""
    not_repeatable = {kind for kind, model in REQUESTS.items() if not model.spec.repeatable}
    sanctions = {"kick", "ban", "unban", "mute", "unmute", "redact", "revoke", "room_remove"}
    ends = {"delete", "invite_cancel", "guest_extend", "guest_end", "ask_approve", "ask_deny"}
    ends |= {"held_approve", "held_refuse", "held_withdraw", "user_remove"}
    ends |= {"hook_create", "hook_rotate", "hook_remove"}
    rooms = {"create", "uninvite", "owner", "member_remove"}
    assert not_repeatable == sanctions | ends | rooms | {"announce", "role_set", "user_add"}
