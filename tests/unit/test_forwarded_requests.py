"""What a follower is asked, the leader answers: as it answers its own, held until the follower shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatd.config.schema import Settings
from chatd.proto.frames import JsonObject
from chatd.proto.requests import REQUESTS, RequestKind
from tests.support.two_hubs import TwoHubs

DECIDED = sorted(kind for kind, model in REQUESTS.items() if model.spec.decides)
# Requests in an order in which most are carried out for an admin; seqs are those that they have there.
SCRIPT: list[tuple[str, JsonObject]] = [
    ("send", {"to": "#lobby", "body": "hello", "msg_id": "01" * 16}),
    ("send", {"to": "#lobby", "body": "hello", "msg_id": "01" * 16}),
    ("send", {"to": "#lobby", "body": "something else", "msg_id": "01" * 16}),
    ("send", {"to": "@bob", "body": "hello", "msg_id": "02" * 16}),
    ("send", {"to": "#nowhere", "body": "hello", "msg_id": "03" * 16}),
    ("send", {"to": "#lobby", "body": "x" * 5000, "msg_id": "04" * 16}),
    ("create", {"room": "#new", "topic": "new"}),
    ("create", {"room": "#new"}),
    ("create", {"room": "no room"}),
    ("topic", {"room": "#new", "topic": "newer"}),
    ("room_mode", {"room": "#new", "mode": "members"}),
    ("invite", {"room": "#new", "user": "carol"}),
    ("uninvite", {"room": "#new", "user": "carol"}),
    ("owner", {"room": "#new", "user": "carol"}),
    ("member_remove", {"room": "#new", "user": "carol"}),
    ("hook_create", {"room": "#new", "name": "alerts", "kind": "text", "secret_hash": "0b" * 32}),
    ("hook_rotate", {"name": "alerts", "secret_hash": "0c" * 32}),
    ("hook_remove", {"name": "alerts"}),
    ("part", {"room": "#lobby"}),
    ("join", {"room": "#lobby"}),
    ("read", {"room": "#lobby", "seq": 1}),
    ("mute", {"user": "carol", "seconds": 60}),
    ("unmute", {"user": "carol"}),
    ("kick", {"user": "carol"}),
    ("ban", {"user": "carol", "reason": "spam"}),
    ("unban", {"user": "carol"}),
    ("announce", {"body": "a notice"}),
    ("role_set", {"user": "carol", "role": "moderator"}),
    ("display_name", {"user": "carol", "display": "Carol C."}),
    ("hold", {"room": "#lobby"}),
    ("invite_create", {"user": "dave", "secret_hash": "0d" * 32, "seconds": 3600}),
    ("invite_many", {"invites": [{"user": "erin", "secret_hash": "0e" * 32}], "seconds": 3600}),
    ("invite_cancel", {"user": "dave"}),
    ("device_add", {"secret_hash": "0f" * 32, "seconds": 3600}),
    ("asks", {}),
    ("ask_approve", {"ask": "1a" * 32}),
    ("ask_deny", {"ask": "1b" * 32}),
    ("held_approve", {"seq": 1}),
    ("held_refuse", {"seq": 1}),
    ("held_withdraw", {"seq": 1}),
    ("guest_extend", {"user": "gil", "seconds": 60}),
    ("guest_end", {"user": "gil"}),
    ("revoke", {"user": "carol", "device": "dev"}),
    ("user_remove", {"user": "carol", "dry_run": True}),
    ("user_add", {"user": "frank", "device": "dev", "serial": "f1"}),
    ("room_archive", {"room": "#new", "archived": True}),
    ("room_remove", {"room": "#new"}),
]
# These name the message that the asker has sent first.
OF_MESSAGE: list[tuple[str, JsonObject]] = [
    ("react", {"text": "+1"}),
    ("edit", {"body": "hello again", "msg_id": "05" * 16}),
    ("redact", {"reason": "spam"}),
    ("delete", {}),
]
ASKERS = ("ada", "bob", "box")


def two_hubs(folder: Path) -> TwoHubs:
    """Start two hubs at which four people are registered; ada is an admin."""
    hubs = TwoHubs(folder, Settings())
    for name in ("ada", "bob", "carol"):
        assert hubs.ask(hubs.operator, 0, "user_add", user=name, device="dev", serial=f"{name[0]}1")
    hubs.ask(hubs.operator, 0, "role_set", user="ada", role="admin")
    return hubs


@pytest.fixture
def hubs(tmp_path: Path) -> Iterator[TwoHubs]:
    """Two hubs with ada at the leader and bob at the follower, both as session 1."""
    hubs = two_hubs(tmp_path)
    assert hubs.open_session(hubs.workers[0], 1, "ada", "dev", "a1")
    assert hubs.open_at_beta(1, "bob", "dev", "b1")
    yield hubs
    hubs.close()


def play(hubs: TwoHubs, asker: str, *, forwarded: bool) -> list[tuple[str, Any]]:
    """Carry out the script as one asker; return what was answered."""
    serial = f"{asker[0]}1"
    if asker != "box" and forwarded:
        assert hubs.open_at_beta(7, asker, "dev", serial)
    elif asker != "box":
        assert hubs.open_session(hubs.workers[0], 7, asker, "dev", serial)

    def ask(kind: str, fields: JsonObject) -> JsonObject | None:
        if forwarded:
            return (
                hubs.ask_beta_as_operator(kind, **fields)
                if asker == "box"
                else hubs.ask_beta(7, kind, **fields)
            )
        end, sid = (hubs.operator, 0) if asker == "box" else (hubs.workers[0], 7)
        return hubs.ask(end, sid, kind, **fields)

    answers = []
    sent = 1
    for kind, fields in SCRIPT[:1] + OF_MESSAGE + SCRIPT[1:]:
        if (kind, fields) in OF_MESSAGE:
            fields = {"room": "#lobby", "seq": sent, **fields}
        reply = ask(kind, fields)
        if kind == "send" and reply is not None and "result" in reply and sent == 1:
            sent = reply["result"]["seq"]
        answers.append((kind, reply))
        assert hubs.beta.hub.state.head == hubs.log.head, "a reply came before its event"
    return answers


def test_the_script_has_every_request_that_is_decided() -> None:
    assert sorted({kind for kind, _ in SCRIPT + OF_MESSAGE}) == DECIDED


@pytest.mark.parametrize("asker", ASKERS)
def test_a_forwarded_request_is_answered_as_the_leaders_own(tmp_path: Path, asker: str) -> None:
    answers = []
    for forwarded in (False, True):
        hubs = two_hubs(tmp_path / str(forwarded))
        try:
            answers.append(play(hubs, asker, forwarded=forwarded))
            assert hubs.log.chain_hash == hubs.beta.log.chain_hash
        finally:
            hubs.close()
    own, forwarded_ones = answers
    assert forwarded_ones == own
    assert all(reply is not None for _, reply in own)
    carried_out = sum(reply["type"] == "ok" for _, reply in own)
    assert 8 <= carried_out <= len(own) - 8, f"{carried_out} of {len(own)}: the script shows too little"


def test_what_is_not_decided_needs_no_leader(hubs: TwoHubs) -> None:
    fields = {"room": "#lobby", "user": "bob", "body": "x"}
    hubs.network.isolate("alpha")
    for kind, model in REQUESTS.items():
        if model.spec.kind is RequestKind.STATE:
            asked = {name: fields[name] for name in model.model_fields if name in fields}
            assert hubs.ask_beta(1, kind, **asked) is not None, kind
    assert hubs.log.head == hubs.beta.hub.state.head
