"""Those who may decide are told that something waits, and not more often than the interval."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatctl.client import Acknowledged, Sent
from chatctl.client._notices import acknowledge
from chatctl.client._session import sent_result
from chatctl.model import render
from chatctl.model.chat_model import ChatModel
from chatctl.window.timeline import blocks
from chatd.config.schema import Settings
from chatd.hub.attention import INTERVAL_MS
from chatd.hub.state.ask_book import Ask, Waiter
from chatd.policy.roles import DEFAULT_ROLES
from chatd.proto import events as ev
from tests.support.hub_harness import HubHarness

FIRM = [name for name in DEFAULT_ROLES["user"] if name != "filter.override"]
SETTINGS = Settings.model_validate(
    {
        "roles": {"permissions": {**DEFAULT_ROLES, "user": FIRM}},
        "filter": {"rules": [{"words": ["merger"], "action": "hold"}]},
    }
)
HELD = {"room": "#lobby", "user": "bob", "device": "d", "msg_id": "0a" * 16}


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[HubHarness]:
    """A hub with alice (admin) as session 1 and bob as session 2."""
    harness = HubHarness(tmp_path / "data", SETTINGS)
    for sid, (name, role) in enumerate((("alice", "admin"), ("bob", "user")), 1):
        harness.ask(harness.operator, 0, "user_add", user=name, device="d", serial=f"{sid:x}", role=role)
        assert harness.open_session(harness.workers[0], sid, name, "d", f"{sid:x}")
    yield harness
    harness.close()


def send(harness: HubHarness, number: int) -> None:
    fields = {"msg_id": f"{number:032x}", "to": "#lobby", "body": "a merger"}
    assert harness.ask(harness.workers[0], 2, "send", **fields)


def told(harness: HubHarness) -> list[tuple[int, str, int]]:
    """Return session, kind and count of the notices since the last call."""
    harness.hub.before_commit()
    harness.run_iteration()
    notices = harness.workers[0].notices
    found = [(sid, one["what"], one["count"]) for sid, one in notices if one["type"] == "attention"]
    notices.clear()
    return found


def test_moderators_are_told_of_held_messages_once_in_an_interval(harness: HubHarness) -> None:
    send(harness, 1)
    assert told(harness) == [(1, "held", 1)]
    for number in (2, 3, 4):
        send(harness, number)
        assert not told(harness)
    harness.now += INTERVAL_MS
    assert told(harness) == [(1, "held", 4)]
    harness.now += INTERVAL_MS
    assert not told(harness)


def test_moderators_are_told_that_a_message_was_withdrawn_and_not_again_later(harness: HubHarness) -> None:
    send(harness, 1)
    assert told(harness) == [(1, "held", 1)]
    seq = next(iter(harness.hub.state.held.by_seq))
    harness.ask(harness.workers[0], 2, "held_withdraw", seq=seq)
    assert told(harness) == [(1, "withdrawn", 0)]
    harness.now += INTERVAL_MS + 1
    assert not told(harness)
    assert harness.open_session(harness.workers[0], 3, "alice", "d", "1")
    assert not told(harness)


def test_a_moderator_who_logs_in_is_told_of_what_waits(harness: HubHarness) -> None:
    send(harness, 1)
    told(harness)
    for sid, name in ((3, "alice"), (4, "bob")):
        assert harness.open_session(harness.workers[0], sid, name, "d", f"{sid - 2:x}")
    assert told(harness) == [(3, "held", 1)]


def test_admins_are_told_who_asks_and_from_where(harness: HubHarness) -> None:
    ask = Ask("carol", "", "192.0.2.7", "stormy upcoming optic", harness.now, Waiter(1, 1))
    harness.hub.context(harness.operator.link.operator or pytest.fail()).asks.add("0a" * 32, ask)
    harness.hub.before_commit()
    harness.run_iteration()
    ((sid, notice),) = harness.workers[0].notices
    assert sid == 1
    event = ev.parse_from_server(notice)
    assert isinstance(event, ev.Attention)
    expected = "carol asks to be let in, from 192.0.2.7 (1 in all): chatctl approve carol"
    assert render.describe(event) == expected


def test_a_withdrawal_is_told_in_words() -> None:
    frame = {"type": "attention", "what": "withdrawn", "count": 2, "user": "bob", "place": "#lobby"}
    event = ev.parse_from_server(frame)
    assert isinstance(event, ev.Attention)
    expected = "bob withdrew a message in #lobby that waited for a moderator (2 still wait)"
    assert render.describe(event) == expected
    refused = {"type": "message_refused", "seq": 6, "at": 0, "by": "bob", "target": 5}
    mine = render.describe(ev.MessageRefused.model_validate(refused | HELD))
    assert mine == "your message in #lobby is withdrawn; nobody has read it but moderators"
    known = render.describe(ev.MessageRefused.model_validate(refused | HELD), render.Quote("bob", "a\nb"))
    assert known == 'your message "a b" in #lobby is withdrawn; nobody has read it but moderators'


def model_with(*events: Any) -> ChatModel:
    model = ChatModel("bob")
    model.current = "#lobby"
    model.joined.add("#lobby")
    for event in events:
        model.take(event)
    return model


def shown(model: ChatModel) -> str:
    """Return what the window shows of the room."""
    return "".join(text for block in blocks(model.here, "bob") for _, text in block.parts)


def test_the_window_shows_a_held_message_as_waiting_until_the_decision() -> None:
    held = {"type": "message_held", "seq": 5, "at": 0, "role": "user", "kind": "text", "word": "merger"}
    model = model_with(ev.MessageHeld.model_validate(held | HELD | {"body": "a merger"}))
    assert "a merger  \u2026 waiting for a moderator" in shown(model)
    refused = {"type": "message_refused", "seq": 6, "at": 0, "by": "alice", "target": 5, "reason": "no"}
    model.take(ev.MessageRefused.model_validate(refused | HELD))
    assert "waiting" not in shown(model)
    assert 'your message "a merger" in #lobby was refused by alice: no' in shown(model)


def test_an_acknowledgement_of_a_held_message_does_not_show_it_as_sent() -> None:
    sent = Sent("0a" * 16, "#lobby", "a merger", "text", None)
    model = model_with()
    model.sending(sent)
    notes = [{"rule": "held", "text": "it waits for a moderator"}]
    acknowledge(sent, sent_result({"seq": 5, "at": 0, "notes": notes, "held": True}))
    model.take(Acknowledged(sent))
    assert "waiting for a moderator" in shown(model)
    told = 'held as 5: "a merger"; it waits for a moderator; /withdraw 5 takes it back'
    assert told in shown(model)
    message = {"type": "message", "seq": 7, "at": 0, "role": "user", "kind": "text", "body": "a merger"}
    model.take(ev.Message.model_validate(message | HELD))
    assert "waiting for a moderator" not in shown(model)
    assert "a merger" in shown(model)
