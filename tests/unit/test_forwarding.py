"""Forwarded decisions with every fault: held answers, lost messages, another leader, none, too many."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatd.config.schema import Settings
from chatd.hub.peers import forwarding
from chatd.hub.peers.leader_desk import SILENCE_SECONDS
from chatd.hub.peers.peer_channel import RESEND_SECONDS
from chatd.hub.state.context import Principal
from chatd.hub.welcome import resumed_frames, welcome_frame
from chatd.proto.frames import JsonObject, decode, split
from tests.support.two_hubs import EPOCH, TwoHubs


@pytest.fixture
def hubs(tmp_path: Path) -> Iterator[TwoHubs]:
    """Two hubs with ada, an admin, at the follower as session 1."""
    hubs = TwoHubs(tmp_path, Settings())
    for name in ("ada", "bob"):
        assert hubs.ask(hubs.operator, 0, "user_add", user=name, device="dev", serial=f"{name[0]}1")
    hubs.ask(hubs.operator, 0, "role_set", user="ada", role="admin")
    assert hubs.open_at_beta(1, "ada", "dev", "a1")
    yield hubs
    hubs.close()


def message(number: int) -> JsonObject:
    return {"to": "#lobby", "body": f"message {number}", "msg_id": f"{number:032x}"}


def outcomes(hubs: TwoHubs) -> list[tuple[int, Any]]:
    """Return the replies at the follower in order: "ok" or the code."""
    return [(number, reply.get("code", "ok")) for number, reply in hubs.beta.worker.replies.items()]


def bodies(hubs: TwoHubs) -> list[str]:
    return [event["body"] for event in hubs.logged_events() if event["type"] == "message"]


def test_an_answer_waits_until_the_follower_has_applied_it(hubs: TwoHubs) -> None:
    hubs.streaming = False
    head = hubs.beta.hub.state.head
    hubs.request_at_beta(1, 1, "send", **message(1))
    hubs.exchange()
    assert hubs.log.head == head + 1
    assert outcomes(hubs) == []
    hubs.streaming = True
    hubs.exchange()
    assert outcomes(hubs) == [(1, "ok")]


def test_a_session_gets_its_answers_in_the_order_of_its_requests(hubs: TwoHubs) -> None:
    hubs.request_at_beta(1, 1, "send", **message(1))
    hubs.request_at_beta(1, 2, "who", room="#lobby")
    hubs.request_at_beta(1, 3, "no_such_thing")
    hubs.request_at_beta(1, 4, "topic", room="#lobby", topic="new")
    hubs.request_at_beta(1, 5, "room_info", room="#lobby")
    hubs.beta.run_iteration()
    assert outcomes(hubs) == []
    hubs.beta_desk.advance()
    hubs.exchange()
    assert outcomes(hubs) == [(1, "ok"), (2, "ok"), (3, "E103"), (4, "ok"), (5, "ok")]
    assert hubs.beta.worker.replies[5]["result"]["topic"] == "new"


def test_lost_messages_are_sent_again_and_decided_once(hubs: TwoHubs) -> None:
    for lost in (("beta", "alpha"), ("alpha", "beta")):
        hubs.network.cut.add(lost)
        for number in range(1, 4):
            hubs.request_at_beta(1, number, "kick", user="bob")
            hubs.exchange()
        hubs.network.cut.clear()
        hubs.exchange()
        assert outcomes(hubs) == [], lost
        for _ in range(3):
            hubs.seconds += RESEND_SECONDS
            hubs.exchange()
        assert outcomes(hubs) == [(1, "ok"), (2, "ok"), (3, "ok")], lost
        hubs.beta.worker.replies.clear()
    assert [event["type"] for event in hubs.logged_events()].count("kicked") == 6


def test_another_leader_is_asked_again_what_may_be_repeated(hubs: TwoHubs) -> None:
    hubs.network.cut.add(("alpha", "beta"))
    hubs.request_at_beta(1, 1, "send", **message(1))
    hubs.request_at_beta(1, 2, "kick", user="bob")
    hubs.request_at_beta(1, 3, "send", **message(2))
    hubs.exchange()
    hubs.network.cut.clear()
    for desk in (hubs.alpha_desk, hubs.beta_desk):
        desk.follow("", EPOCH)
    hubs.request_at_beta(1, 4, "kick", user="bob")
    hubs.exchange()
    assert outcomes(hubs) == []
    hubs.alpha_desk.lead(EPOCH + 1)
    hubs.beta_desk.follow("alpha", EPOCH + 1)
    hubs.exchange()
    assert outcomes(hubs) == [(1, "ok"), (2, "E503"), (3, "ok"), (4, "ok")]
    assert bodies(hubs) == ["message 1", "message 2"]


def test_a_follower_that_takes_the_lead_decides_by_itself(hubs: TwoHubs) -> None:
    hubs.network.cut.add(("beta", "alpha"))
    hubs.request_at_beta(1, 1, "send", **message(1))
    hubs.request_at_beta(1, 2, "kick", user="bob")
    hubs.exchange()
    hubs.alpha_desk.follow("beta", EPOCH + 1)
    hubs.streaming = False
    hubs.request_at_beta(1, 3, "who", room="#lobby")
    hubs.beta.hub.take_lead()
    hubs.beta_desk.lead(EPOCH + 1)
    hubs.request_at_beta(1, 4, "send", **message(2))
    hubs.beta.run_iteration()
    assert outcomes(hubs) == [(1, "ok"), (2, "E503"), (3, "ok"), (4, "ok")]


def test_without_a_leader_in_reach_writes_are_refused_and_reads_answered(hubs: TwoHubs) -> None:
    hubs.network.isolate("beta")
    hubs.request_at_beta(1, 1, "send", **message(1))
    hubs.exchange()
    hubs.beta_desk.isolate(True)
    hubs.request_at_beta(1, 2, "send", **message(2))
    hubs.request_at_beta(1, 3, "who", room="#lobby")
    hubs.exchange()
    assert outcomes(hubs) == [(1, "E503"), (2, "E506"), (3, "ok")]
    assert "hears no leader" in hubs.beta.worker.replies[2]["reason"]
    hubs.network.cut.clear()
    hubs.beta_desk.isolate(False)
    hubs.beta_desk.follow("alpha", EPOCH)
    assert hubs.open_at_beta(2, "bob", "dev", "b1")
    reply = hubs.ask_beta(2, "send", **message(3))
    assert reply is not None
    assert reply["type"] == "ok"
    assert 1 not in hubs.beta.worker.sessions, "the session of the refused message begins anew, in order"


def test_no_message_overtakes_one_whose_outcome_an_isolated_node_does_not_know(hubs: TwoHubs) -> None:
    """The client sends all of them again, in order, in a new session."""
    hubs.network.isolate("beta")
    hubs.request_at_beta(1, 1, "send", **message(1))
    hubs.exchange()
    hubs.beta_desk.isolate(True)
    hubs.network.cut.clear()
    hubs.beta_desk.isolate(False)
    hubs.beta_desk.follow("alpha", EPOCH)
    hubs.request_at_beta(1, 2, "send", **message(2))
    hubs.exchange()
    assert outcomes(hubs) == [(1, "E503")]
    assert bodies(hubs) == []
    assert 1 not in hubs.beta.worker.sessions


def marks(hubs: TwoHubs) -> list[tuple[int, str]]:
    """The sessions at the follower that were told that it is isolated or no longer is, with the reason."""
    return [(sid, frame["reason"]) for sid, frame in hubs.beta.worker.notices if frame["type"] == "isolated"]


def test_what_an_isolated_node_shows_is_marked(hubs: TwoHubs) -> None:
    hubs.beta_desk.isolate(False)
    hubs.exchange()
    assert marks(hubs) == []
    for _ in range(3):
        hubs.beta_desk.isolate(True)
        hubs.exchange()
    ((sid, reason),) = marks(hubs)
    assert sid == 1
    assert "what you see may be old" in reason
    assert hubs.beta.hub.leadership.isolated == reason
    hubs.beta_desk.isolate(True, full=True)
    hubs.exchange()
    assert "a full disk" in marks(hubs)[-1][1]
    hubs.beta_desk.isolate(False)
    hubs.exchange()
    assert marks(hubs)[-1] == (1, "")
    assert len(marks(hubs)) == 3


def test_a_session_that_opens_or_resumes_at_an_isolated_node_is_told(hubs: TwoHubs) -> None:
    context = hubs.beta.hub.context(Principal("ada", "dev"))
    (alone,) = split(welcome_frame(context, hubs.beta.log))
    assert not {"isolated", "clustered"} & decode(alone).keys()
    (connected,) = split(welcome_frame(context, hubs.beta.log, ""))
    assert decode(connected)["clustered"] is True and "isolated" not in decode(connected)
    (welcome,) = split(welcome_frame(context, hubs.beta.log, "cut off"))
    assert decode(welcome)["isolated"] == "cut off"
    assert [decode(one)["type"] for one in split(resumed_frames(context))] == ["lagged", "standing"]
    *_, mark = split(resumed_frames(context, ""))
    assert decode(mark) == {"type": "isolated", "reason": ""}


def test_an_isolated_node_can_send_its_clients_elsewhere(hubs: TwoHubs) -> None:
    hubs.network.isolate("beta")
    hubs.request_at_beta(1, 1, "send", **message(1))
    hubs.exchange()
    hubs.beta_desk.isolate(True, cut=True)
    hubs.exchange()
    assert hubs.beta.worker.sessions == set()
    assert not hubs.open_at_beta(2, "bob", "dev", "b1")
    hubs.network.cut.clear()
    hubs.beta_desk.isolate(False, cut=True)
    hubs.beta_desk.follow("alpha", EPOCH)
    assert hubs.open_at_beta(3, "bob", "dev", "b1")


def test_what_is_asked_is_bounded(hubs: TwoHubs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "ASKS_LIMIT", 2)
    hubs.network.isolate("beta")
    for number in range(1, 5):
        hubs.request_at_beta(1, number, "send", **message(number))
    hubs.exchange()
    assert outcomes(hubs) == [], "also refusals keep the order"
    hubs.network.cut.clear()
    hubs.seconds += RESEND_SECONDS
    hubs.exchange()
    assert outcomes(hubs) == [(1, "ok"), (2, "ok"), (3, "E506"), (4, "E506")]
    monkeypatch.setattr(forwarding, "ASK_BYTES_LIMIT", 100)
    assert hubs.open_at_beta(2, "bob", "dev", "b1")
    reply = hubs.ask_beta(2, "send", **message(5))
    assert reply is not None
    assert reply["code"] == "E506"


def test_a_session_that_has_ended_gets_no_answer(hubs: TwoHubs) -> None:
    hubs.streaming = False
    hubs.request_at_beta(1, 1, "send", **message(1))
    hubs.request_at_beta(1, 2, "who", room="#lobby")
    hubs.exchange()
    hubs.beta.hub.take(hubs.beta.worker.link, [(["close", 1], b"")])
    hubs.streaming = True
    hubs.exchange()
    assert outcomes(hubs) == []
    assert bodies(hubs) == ["message 1"]


def test_a_leader_that_has_forgotten_a_node_is_asked_on_a_new_channel(hubs: TwoHubs) -> None:
    hubs.ask_beta(1, "send", **message(1))
    hubs.network.isolate("beta")
    hubs.seconds += SILENCE_SECONDS
    hubs.exchange()
    hubs.request_at_beta(1, 2, "send", **message(2))
    hubs.exchange()
    hubs.network.cut.clear()
    for _ in range(3):
        hubs.seconds += RESEND_SECONDS
        hubs.exchange()
    assert outcomes(hubs)[-1] == (2, "ok")
    assert bodies(hubs) == ["message 1", "message 2"]
    assert sum(link.name == "node beta" for link in hubs.hub.links.values()) == 1


@pytest.mark.parametrize("kind", ["ask", "answer", "gossip"])
@pytest.mark.parametrize(
    "header", [[], ["x"] * 5, [EPOCH, 1, 1, 0, 0], [EPOCH + 9, 1, 1, 0, 0], None], ids=str
)
def test_what_is_no_message_of_a_hub_changes_nothing(
    hubs: TwoHubs, kind: str, header: list[object] | None
) -> None:
    for sender, receiver in (("alpha", "beta"), ("beta", "alpha")):
        for payload in (b"", b"\x00\x00", bytes(64)):
            hubs.network.link(sender).send(receiver, kind, header or [], payload)
    hubs.exchange()
    for _ in range(3):
        hubs.seconds += RESEND_SECONDS
        hubs.exchange()
    reply = hubs.ask_beta(1, "send", **message(1))
    for _ in range(3):
        hubs.seconds += RESEND_SECONDS
        hubs.exchange()
    assert reply is not None or outcomes(hubs) == [(1, "ok")]
