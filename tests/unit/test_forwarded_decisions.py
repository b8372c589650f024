"""What a follower has decided besides requests: logins, enrolments, asks, posts of hooks, acts on the box."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatd.config.schema import Settings
from chatd.hub.links import Link
from chatd.hub.peers.peer_desk import HOOKS_SECONDS
from chatd.link.wire import ENROL_NAME, GATEWAY_NAME
from chatd.proto.frames import JsonObject
from tests.support.hub_harness import WorkerEnd
from tests.support.two_hubs import EPOCH, TwoHubs

KEY = "0a" * 32
DAY = 86_400_000


class ChildEnd(WorkerEnd):
    """The end of a child that asks questions."""

    def __init__(self, hubs: TwoHubs, name: str) -> None:
        super().__init__()
        self.answers: dict[int, JsonObject] = {}
        self.link.name = name
        self._hubs = hubs
        hubs.beta.hub.links[self.link.number] = self.link

    def ask(self, operation: str, number: int, *arguments: Any) -> JsonObject | None:
        """Ask the follower; return the answer, or None while there is none."""
        self._hubs.beta.hub.take(self.link, [([operation, number, *arguments], b"")])
        self._hubs.beta.run_iteration()
        self._hubs.beta_desk.advance()
        self._hubs.exchange()
        return self.answer(number)

    def answer(self, number: int) -> JsonObject | None:
        self.receive()
        return self.answers.get(number)

    def _on_answer(self, number: int, payload: bytes) -> None:
        self.answers[number] = json.loads(payload)


@pytest.fixture
def hubs(tmp_path: Path) -> Iterator[TwoHubs]:
    """Two hubs with ada, an admin, at the follower as session 1."""
    hubs = TwoHubs(tmp_path, Settings())
    for name in ("ada", "bob"):
        assert hubs.ask(hubs.operator, 0, "user_add", user=name, device="dev", serial=f"{name[0]}1", key=KEY)
    hubs.ask(hubs.operator, 0, "role_set", user="ada", role="admin")
    assert hubs.open_at_beta(1, "ada", "dev", "a1")
    yield hubs
    hubs.close()


@pytest.fixture
def enrol(hubs: TwoHubs) -> Iterator[ChildEnd]:
    end = ChildEnd(hubs, ENROL_NAME)
    yield end
    end.close()


def kinds(hubs: TwoHubs) -> list[str]:
    return [event["type"] for event in hubs.logged_events()]


def open_frame(user: str, sid: int) -> list[Any]:
    return ["open", sid, user, "dev", f"{user[0]}1", "127.0.0.1", False]


def test_a_first_login_is_noted_once(hubs: TwoHubs) -> None:
    assert hubs.open_at_beta(2, "bob", "dev", "b1")
    assert kinds(hubs)[-1] == "device_seen"
    assert hubs.open_at_beta(3, "bob", "dev", "b1")
    assert kinds(hubs).count("device_seen") == 2, "ada's and bob's"


def test_a_login_needs_no_leader(hubs: TwoHubs) -> None:
    hubs.network.isolate("beta")
    hubs.beta_desk.isolate(True)
    assert hubs.open_at_beta(2, "bob", "dev", "b1")
    reply = hubs.ask_beta(2, "rooms")
    assert reply is not None
    assert reply["type"] == "ok"


def test_a_login_that_the_leader_refuses_is_refused(hubs: TwoHubs) -> None:
    hubs.streaming = False
    hubs.ask(hubs.operator, 0, "ban", user="bob")
    assert not hubs.open_at_beta(2, "bob", "dev", "b1")
    assert len(hubs.beta.hub.sessions) == 1


@pytest.mark.parametrize("ends", ["close", "link"])
def test_a_session_that_ends_before_its_admission_does_not_open(hubs: TwoHubs, ends: str) -> None:
    hubs.beta.hub.take(hubs.beta.worker.link, [(open_frame("bob", 2), b"")])
    if ends == "close":
        hubs.beta.hub.take(hubs.beta.worker.link, [(["close", 2], b"")])
    else:
        hubs.beta.hub.link_lost(hubs.beta.worker.link)
    hubs.beta_desk.advance()
    hubs.exchange()
    assert hubs.beta.hub.sessions.of_user("bob") == []
    assert "device_seen" in kinds(hubs)


def test_a_follower_that_takes_the_lead_opens_the_sessions_that_wait(hubs: TwoHubs) -> None:
    hubs.network.isolate("beta")
    hubs.beta.hub.take(hubs.beta.worker.link, [(open_frame("bob", 2), b"")])
    hubs.exchange()
    hubs.streaming = False
    hubs.beta.hub.take_lead()
    hubs.beta_desk.lead(EPOCH + 1)
    hubs.beta.run_iteration()
    assert 2 in hubs.beta.worker.sessions
    assert hubs.beta.hub.state.users["bob"].devices["dev"].seen


def test_an_invite_is_redeemed_by_way_of_the_follower(hubs: TwoHubs, enrol: ChildEnd) -> None:
    secret = "0b" * 32
    assert hubs.ask_beta(1, "invite_create", user="carol", secret_hash=secret, seconds=3600)
    checked = enrol.ask("check", 1, secret, "0c" * 32, "laptop")
    assert checked is not None
    assert checked["result"]["user"] == "carol"
    now = hubs.now
    redeemed = enrol.ask("redeem", 2, secret, "0c" * 32, "laptop", "c1", now, now + 365 * DAY)
    assert redeemed is not None
    assert redeemed["result"]["serial"] == "c1"
    assert "carol" in hubs.beta.hub.state.users
    wrong = enrol.ask("check", 3, "0d" * 32, "0c" * 32, "laptop")
    assert wrong is not None
    assert wrong["code"].startswith("E")
    assert hubs.open_at_beta(2, "carol", "laptop", "c1")


def test_an_ask_by_way_of_the_follower_waits_for_a_decision(hubs: TwoHubs, enrol: ChildEnd) -> None:
    key, words = "0e" * 32, "one-two-three"
    assert enrol.ask("ask", 1, key, "dave", "laptop", "192.0.2.1", words, hubs.now) is None
    told = [frame for _, frame in hubs.beta.worker.notices if frame["type"] == "attention"]
    assert [(frame["what"], frame["user"], frame["count"]) for frame in told] == [("ask", "dave", 1)]
    listed = hubs.ask_beta(1, "asks")
    assert listed is not None
    assert [ask["user"] for ask in listed["result"]["asks"]] == ["dave"]
    assert hubs.ask_beta(1, "ask_approve", ask=listed["result"]["asks"][0]["ask"])
    answer = enrol.answer(1)
    assert answer is not None
    assert answer["type"] == "ok"
    assert hubs.beta.hub.asks.book.newest() is None


def test_a_hook_posts_by_way_of_the_follower(hubs: TwoHubs) -> None:
    gateway = ChildEnd(hubs, GATEWAY_NAME)
    made = hubs.ask_beta(1, "hook_create", room="#lobby", name="alerts", kind="text", secret_hash="0f" * 32)
    assert made is not None
    assert made["type"] == "ok", made
    hooks = gateway.ask("hooks", 1, "#lobby")
    assert hooks is not None
    (hook,) = hooks["result"]["hooks"]
    post = ["alerts", hook["turned"], [["1a" * 16, None, "text", "it burns"]]]
    for number, posted in ((2, 1), (3, 0)):
        reply = gateway.ask("post", number, *post)
        assert reply is not None
        assert reply["result"]["posted"] == posted
    assert kinds(hubs).count("message") == 1
    gateway.close()


def test_all_nodes_derive_the_secrets_of_signing_hooks_from_one_key(hubs: TwoHubs) -> None:
    made = hubs.ask_beta(1, "hook_create", room="#lobby", name="pushes", kind="github")
    assert made is not None
    assert made["type"] == "ok", made
    assert hubs.beta.hub.hook_key.known() == b""
    hubs.seconds += HOOKS_SECONDS
    hubs.exchange(6)
    key = hubs.hub.hook_key.known()
    assert len(key) == 32
    assert hubs.beta.hub.hook_key.known() == key


def test_the_metrics_are_those_of_the_node(hubs: TwoHubs) -> None:
    gateway = ChildEnd(hubs, GATEWAY_NAME)
    hubs.network.isolate("beta")
    assert gateway.ask("metrics", 1) is not None
    gateway.close()


def test_an_act_on_the_followers_box_is_recorded(hubs: TwoHubs) -> None:
    before = len(kinds(hubs))
    hubs.beta.hub.note_act("exported", {"by": "server", "by_uid": 0, "by_login": "root"}, {"user": "bob"})
    hubs.beta_desk.advance()
    hubs.exchange()
    assert len(kinds(hubs)) == before + 1


def test_the_operator_of_the_followers_box_acts_under_their_own_name(hubs: TwoHubs) -> None:
    link: Link = hubs.beta.operator.link
    assert link.operator is not None
    link.operator = link.operator._replace(uid=7, login="olga")
    reply = hubs.ask_beta_as_operator("user_add", user="erin", device="dev", serial="e1")
    assert reply is not None
    assert reply["type"] == "ok", reply
    event = list(hubs.logged_events())[-1]
    added = next(one for one in hubs.logged_events() if one.get("user") == "erin")
    assert (added["by_uid"], added["by_login"]) == (7, "olga"), event
