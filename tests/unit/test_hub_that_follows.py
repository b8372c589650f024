"""A hub that follows another: cuts, terms, redactions and refusals on its own sessions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chatd.config.schema import Settings
from chatd.proto.frames import JsonObject
from tests.support.daemon import wait_until
from tests.support.followed_hub import FollowedHarness, FollowerHub

SECRET = "the-password-is-swordfish"
LOBBY = {"name": "#lobby", "autojoin": True}


class Pair:
    """Alice (admin) at the leader; bob and alice at the follower."""

    def __init__(self, data: Path) -> None:
        settings = Settings.model_validate({"rooms": [LOBBY]})
        self.leader = FollowedHarness(data, settings)
        assert self.leader.follower is not None
        self.follower: FollowerHub = self.leader.follower
        for name, role in (("alice", "admin"), ("bob", "user")):
            fields = {"device": "dev", "serial": name.encode().hex(), "role": role}
            self.leader.ask(self.leader.operator, 0, "user_add", user=name, **fields)
        assert self.leader.open_session(self.leader.workers[0], 1, "alice", "dev", b"alice".hex())
        for sid, name in ((1, "alice"), (2, "bob")):
            self.open(sid, name)

    def open(self, sid: int, name: str) -> None:
        serial = name.encode().hex()
        worker = self.follower.worker
        self.follower.hub.take(worker.link, [(["open", sid, name, "dev", serial, "127.0.0.1", False], b"")])
        self.follower.run_iteration()
        self.follower.ask(sid, "resume")
        worker.delivered.clear()
        worker.notices.clear()

    def say(self, text: str) -> int:
        reply = self.lead("send", to="#lobby", body=text, msg_id=f"{self.leader.log.head:032x}")
        return int(reply["seq"])

    def lead(self, kind: str, /, **fields: object) -> JsonObject:
        """Make a request of alice's at the leader."""
        reply = self.leader.ask(self.leader.workers[0], 1, kind, **fields)
        assert reply is not None and reply["type"] == "ok", reply
        result: JsonObject = reply["result"]
        return result

    def seen_by_bob(self) -> list[JsonObject]:
        return [event for sid, event in self.follower.worker.delivered if sid == 2]

    def close(self) -> None:
        self.leader.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path)
    yield pair
    pair.close()


def test_what_the_leader_decides_reaches_the_sessions_of_the_follower(pair: Pair) -> None:
    seq = pair.say("hello")
    assert [(event["type"], event["seq"]) for event in pair.seen_by_bob()] == [("message", seq)]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("ban", {"user": "bob", "seconds": 60}),
        ("kick", {"user": "bob"}),
        ("revoke", {"user": "bob", "device": "dev"}),
        ("user_remove", {"user": "bob"}),
    ],
    ids=["ban", "kick", "revoke", "user_remove"],
)
def test_a_cut_at_the_leader_cuts_the_sessions_of_the_follower(
    pair: Pair, kind: str, fields: JsonObject
) -> None:
    pair.lead(kind, **fields)
    pair.say("not for bob")
    assert pair.follower.worker.sessions == {1}
    assert "message" not in [event["type"] for event in pair.seen_by_bob()]


def test_terms_follow_a_role(pair: Pair) -> None:
    before = pair.follower.worker.terms[2]
    pair.lead("role_set", user="bob", role="guest")
    assert pair.follower.worker.terms[2] != before
    assert [frame["type"] for sid, frame in pair.follower.worker.notices if sid == 2]


def test_a_redaction_leaves_no_text_at_the_follower(pair: Pair) -> None:
    seq = pair.say(SECRET)
    pair.lead("redact", room="#lobby", seq=seq)

    def is_gone() -> bool:
        # Tries again while the thread of the search index reads the log.
        pair.follower.hub.recorder.commit()
        files = b"".join(path.read_bytes() for path in pair.follower.log.folder.iterdir() if path.is_file())
        return SECRET.encode() not in files

    wait_until(is_gone, what="the end of the text in the follower's files")
    pair.follower.worker.replies.clear()
    reply = pair.follower.ask(2, "resume", after=0)
    assert SECRET not in str(reply)


@pytest.mark.parametrize("kind", ["send", "topic", "join"])
def test_a_follower_decides_nothing(pair: Pair, kind: str) -> None:
    head = pair.follower.hub.state.head
    fields: dict[str, JsonObject] = {
        "send": {"to": "#lobby", "body": "hello", "msg_id": "0" * 32},
        "topic": {"room": "#lobby", "topic": "none"},
        "join": {"room": "#lobby"},
    }
    reply = pair.follower.ask(1, kind, **fields[kind])
    assert reply is not None and reply["code"] == "E503"
    pair.follower.hub.note_act("backed_up", {"by": "server"}, {})
    pair.follower.hub.reload(Settings.model_validate({"rooms": [LOBBY, {"name": "#new"}]}))
    pair.follower.run_iteration()
    assert pair.follower.hub.state.head == pair.follower.hub.recorder.head == head


def test_a_follower_that_takes_the_lead_makes_up_for_what_it_left_out(pair: Pair) -> None:
    follower = pair.follower
    follower.hub.reload(Settings.model_validate({"rooms": [LOBBY, {"name": "#new", "autojoin": True}]}))
    assert "#new" not in follower.hub.state.rooms
    follower.hub.take_lead()
    follower.run_iteration()
    assert {"alice", "bob"} <= set(follower.hub.state.rooms["#new"].members)
    reply = follower.ask(1, "topic", room="#new", topic="here")
    assert reply is not None and reply["type"] == "ok"
