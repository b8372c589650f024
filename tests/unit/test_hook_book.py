"""Hooks in the hub: who makes them, what ends them, and that a post is published once."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.hub.hook_key import KEY_NAME, HookKey
from chatd.hub.state import hook_book
from chatd.hub.state.model import State
from chatd.link.wire import GATEWAY_NAME
from chatd.store.verifier import verify
from tests.support.hub_harness import HubHarness, WorkerEnd

TOKEN_HASH = hashlib.sha256(b"token").hexdigest()
SETTINGS = Settings.model_validate(
    {
        "filter": {"words": ["bomb"], "rules": [{"words": ["merger"], "action": "hold"}]},
        "limits": {"per_role": {"bot": {"bytes_per_day": 20_000}}},
        "gateway": {"listen": "127.0.0.1:5443"},
    }
)


class GatewayEnd(WorkerEnd):
    """The gateway's end of its link."""

    def __init__(self) -> None:
        super().__init__()
        self.link.name = GATEWAY_NAME
        self.answers: dict[int, dict[str, Any]] = {}

    def _on_answer(self, number: int, payload: bytes) -> None:
        self.answers[number] = orjson.loads(payload)


class Scene:
    """A hub with alice (admin) as session 1 and bob as 2, both in #lobby, and a gateway."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.harness = HubHarness(folder, SETTINGS)
        if "alice" not in self.harness.hub.state.users:
            for name, role in (("alice", "admin"), ("bob", "user")):
                fields = {"user": name, "device": "d", "serial": f"{ord(name[0]):x}", "role": role}
                self.harness.ask(self.harness.operator, 0, "user_add", **fields)
        self.worker = self.harness.workers[0]
        for sid, name in enumerate(("alice", "bob"), 1):
            assert self.harness.open_session(self.worker, sid, name, "d", f"{ord(name[0]):x}")
            self.harness.ask(self.worker, sid, "resume", after=self.harness.log.head)
            self.harness.run_iteration()
        self.gateway = GatewayEnd()
        self.harness.hub.links[self.gateway.link.number] = self.gateway.link
        self._number = 0

    @property
    def state(self) -> State:
        return self.harness.hub.state

    def ask(self, kind: str, /, sid: int = 1, **fields: Any) -> dict[str, Any]:
        reply = self.harness.ask(self.worker, sid, kind, **fields)
        assert reply is not None
        return reply.get("result") or reply

    def create(self, name: str = "alerts", kind: str = "text", **fields: Any) -> dict[str, Any]:
        secret_hash = None if kind == "github" else TOKEN_HASH
        fields = {"room": "#lobby", "name": name, "kind": kind, "secret_hash": secret_hash} | fields
        return self.ask("hook_create", **fields)

    def question(self, operation: str, *arguments: Any) -> dict[str, Any]:
        self._number += 1
        self.harness.hub.take(self.gateway.link, [([operation, self._number, *arguments], b"")])
        self.harness.run_iteration()
        self.gateway.receive()
        answer = self.gateway.answers.pop(self._number)
        return answer.get("result") or answer

    def hooks(self, room: str = "#lobby") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.question("hooks", room)["hooks"]
        return found

    def post(self, *messages: list[Any], name: str = "alerts", turned: int | None = None) -> dict[str, Any]:
        turned = self.state.hooks.by_name[name].turned if turned is None else turned
        return self.question("post", name, turned, list(messages))

    def messages(self, sid: int = 2) -> list[dict[str, Any]]:
        return [event for to, event in self.worker.delivered if to == sid and event["type"] == "message"]

    def reopen(self) -> Scene:
        self.close()
        return Scene(self.folder)

    def close(self) -> None:
        self.gateway.close()
        self.harness.close()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path / "data")
    yield scene
    scene.close()


def message(number: int, text: str = "disk full", answered: int | None = None) -> list[Any]:
    return [f"{number:032x}", None if answered is None else f"{answered:032x}", "text", text]


def test_a_hook_is_a_member_with_the_role_of_bots(scene: Scene) -> None:
    made = scene.create()
    assert (made["user"], made["room"], made["secret"], made["gateway"]) == (
        "alerts", "#lobby", None, "127.0.0.1:5443"
    )  # fmt: skip
    shown = scene.ask("whois", sid=2, user="alerts")
    assert (shown["role"], shown["devices"], shown["rooms"]) == ("bot", [], ["#lobby"])
    (event,) = (event for to, event in scene.worker.delivered if to == 2 and event.get("user") == "alerts")
    assert (event["type"], event["by"], event["role"]) == ("joined", "alice", "bot")


def test_a_post_is_one_message_however_often_it_is_sent(scene: Scene) -> None:
    scene.create()
    first = scene.post(message(1), message(2))
    assert first["posted"] == 2
    again = scene.post(message(1, "disk full, 99 %"), message(2), message(3))
    assert again["posted"] == 1 and again["seqs"][:2] == first["seqs"]
    assert [(event["user"], event["role"], event["body"]) for event in scene.messages()] == [
        ("alerts", "bot", "disk full")
    ] * 3


def test_a_post_before_a_restart_is_not_repeated_after_it(scene: Scene, tmp_path: Path) -> None:
    scene.create()
    before = scene.post(message(1))
    scene.harness.close()
    scene.gateway.close()
    later = Scene(scene.folder)
    try:
        assert later.post(message(1))["seqs"] == before["seqs"]
        assert later.post(message(1))["posted"] == 0
        verify(scene.folder, full=True)
    finally:
        later.close()
        scene.harness = HubHarness(tmp_path / "other", SETTINGS)
        scene.gateway = GatewayEnd()


def test_a_resolved_alert_answers_the_firing_one(scene: Scene) -> None:
    scene.create()
    scene.post(message(1))
    scene.post(message(2, "resolved", answered=1), message(3, "resolved", answered=9))
    firing, resolved, alone = scene.messages()
    assert resolved["reply_to"] == firing["seq"]
    assert alone.get("reply_to") is None


def test_a_forbidden_word_stops_its_own_message_only(scene: Scene) -> None:
    scene.create()
    answer = scene.post(message(1, "a bomb"), message(2), message(3, "the merger is on"))
    assert answer["posted"] == 2 and len(answer["refused"]) == 1
    assert [event["body"] for event in scene.messages()] == ["disk full"]
    (waiting,) = scene.ask("held_list")["held"]
    assert (waiting["user"], waiting["body"]) == ("alerts", "the merger is on")
    approved = scene.ask("held_approve", seq=waiting["seq"])
    assert approved["published"] and len(scene.messages()) == 2
    assert scene.post(message(3, "the merger is on"))["posted"] == 0


def test_a_long_text_is_a_snippet(scene: Scene) -> None:
    scene.create()
    scene.post(message(1, "x" * 600))
    assert [event["kind"] for event in scene.messages()] == ["snippet"]


@pytest.mark.parametrize(
    ("request_", "fields", "code"),
    [
        ("mute", {"user": "alerts", "room": "#lobby"}, "E302"),
        ("kick", {"user": "alerts", "room": "#lobby"}, "E301"),
        ("kick", {"user": "alerts"}, "E208"),
        ("ban", {"user": "alerts"}, "E207"),
        ("user_remove", {"user": "alerts"}, "E405"),
        ("hook_remove", {"name": "alerts"}, "E405"),
        ("room_archive", {"room": "#ops"}, "E307"),
        ("room_remove", {"room": "#ops"}, "E405"),
    ],
)
def test_what_ends_a_hooks_posting(scene: Scene, request_: str, fields: dict[str, Any], code: str) -> None:
    room = fields.get("room", "#lobby")
    if room == "#ops":
        scene.ask("create", room="#ops")
    scene.create(room=room)
    turned = scene.state.hooks.by_name["alerts"].turned
    assert scene.post(message(1))["posted"] == 1
    assert scene.ask(request_, **fields).get("type") != "error"
    assert scene.post(message(2), turned=turned)["code"] == code


def test_hooks_that_have_ended_are_gone_for_the_gateway_and_their_names_are_free(scene: Scene) -> None:
    scene.create()
    scene.post(message(1))
    scene.ask("hook_remove", name="alerts", reason="moved")
    assert scene.hooks() == [] and scene.ask("hook_list")["hooks"] == []
    assert scene.ask("whois", user="alerts")["removed"]
    born = scene.create()["at"]
    assert born and scene.hooks()[0]["born"] > 1


def test_a_rotated_token_ends_the_former_one_at_once(scene: Scene) -> None:
    scene.create()
    (before,) = scene.hooks()
    scene.ask("hook_rotate", name="alerts", secret_hash="0b" * 32)
    (after,) = scene.hooks()
    assert (before["secret_hash"], after["secret_hash"]) == (TOKEN_HASH, "0b" * 32)
    assert before["born"] == after["born"]
    assert scene.post(message(1), turned=before["turned"])["code"] == "E405"


def test_the_secret_of_a_signing_hook_is_derived_and_in_no_event(scene: Scene) -> None:
    made = scene.create(kind="github")
    (hook,) = scene.hooks()
    assert len(made["secret"]) == 64 and hook["secret"] == made["secret"]
    rotated = scene.ask("hook_rotate", name="alerts")
    assert rotated["secret"] != made["secret"]
    scene.harness.run_iteration()
    database = b"".join(path.read_bytes() for path in scene.folder.glob("events.db*"))
    assert made["secret"].encode() not in database and rotated["secret"].encode() not in database
    assert (scene.folder / KEY_NAME).read_bytes() not in database
    assert (scene.folder / KEY_NAME).stat().st_mode & 0o777 == 0o600


def test_the_key_survives_a_restart_and_damage_is_told(tmp_path: Path) -> None:
    key = HookKey(tmp_path)()
    assert HookKey(tmp_path)() == key
    (tmp_path / KEY_NAME).write_bytes(b"short")
    with pytest.raises(ChatdError, match="is damaged"):
        HookKey(tmp_path)()


def test_the_audit_has_the_acts_without_hashes(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "chatd"):
        scene.create()
        scene.ask("hook_rotate", name="alerts", secret_hash="0b" * 32)
        scene.ask("hook_remove", name="alerts", reason="moved")
    lines = [record for record in caplog.records if record.name == "chatd.audit"]
    names = [record.__dict__["event"] for record in lines]
    assert [name for name in names if name.startswith("hook_")] == [
        "hook_created", "hook_rotated", "hook_removed"
    ]  # fmt: skip
    assert TOKEN_HASH not in str([record.__dict__ for record in lines])
    scene.harness.ask(scene.worker, 1, "audit")
    scene.harness.deliver_read()
    scene.harness.run_iteration()
    assert scene.worker.reply is not None and "hook_rotated" in str(scene.worker.reply)
    assert "0b" * 32 not in str(scene.worker.reply) and TOKEN_HASH not in str(scene.worker.reply)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"name": "bob"}, "E406"),
        ({"name": "server"}, "E403"),
        ({"name": "Alerts"}, "E403"),
        ({"name": "invited"}, "E406"),
        ({"room": "#nil"}, "E404"),
        ({"room": "@alice,bob"}, "E404"),
        ({"secret_hash": None}, "E102"),
        ({"kind": "github", "secret_hash": TOKEN_HASH}, "E102"),
        ({"kind": "fax"}, "E102"),
    ],
    ids=str,
)
def test_what_no_hook_is_made_of(scene: Scene, fields: dict[str, Any], code: str) -> None:
    scene.ask("invite_create", user="invited", secret_hash="0c" * 32, seconds=3600)
    assert scene.create(**fields)["code"] == code
    assert not scene.state.hooks.by_name


def test_only_the_owner_of_a_room_that_is_not_open_makes_a_hook_there(scene: Scene) -> None:
    permissions = [*SETTINGS.roles.permissions["user"], "hook.manage"]
    settings = SETTINGS.model_dump()
    settings["roles"]["permissions"]["user"] = permissions
    scene.harness.hub.reload(Settings.model_validate(settings))
    scene.ask("create", room="#news", mode="read-only")
    scene.ask("join", sid=2, room="#news")
    bobs = {"room": "#news", "name": "alerts", "kind": "text", "secret_hash": TOKEN_HASH}
    assert scene.ask("hook_create", sid=2, **bobs)["code"] == "E311"
    scene.create(room="#news")
    assert scene.post(message(1))["posted"] == 1


def test_nobody_logs_in_as_a_bot_or_gives_it_a_role(scene: Scene) -> None:
    scene.create()
    operator = scene.harness.operator
    reply = scene.harness.ask(operator, 0, "user_add", user="alerts", device="hook", serial="aa")
    assert reply is not None and reply["code"] == "E406"
    assert not scene.harness.open_session(scene.worker, 9, "alerts", "hook", "aa")
    assert scene.ask("role_set", user="alerts", role="admin")["code"] == "E304"
    assert scene.ask("invite_create", user="alerts", secret_hash="0d" * 32, seconds=60)["code"] == "E406"
    assert scene.ask("send", to="@alerts", body="hi", msg_id="0e" * 16)["code"] == "E303"


def test_the_number_of_hooks_is_bounded(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(hook_book.HOOKS_PER_ROOM):
        assert scene.create(f"hook-{number}").get("code") is None
    assert scene.create("one-more")["code"] == "E409"
    monkeypatch.setattr("chatd.hub.state.hook_acts.HOOKS_LIMIT", hook_book.HOOKS_PER_ROOM)
    scene.ask("create", room="#ops")
    assert scene.create("one-more", room="#ops")["code"] == "E409"


def test_a_bot_has_its_bytes_of_the_day(scene: Scene) -> None:
    scene.create()
    assert scene.post(*(message(number, "x" * 400) for number in range(1, 100)))["code"] == "E413"
    assert 20 < len(scene.messages()) < 60


def test_a_snapshot_keeps_the_hooks(scene: Scene) -> None:
    scene.create()
    scene.create("gh", kind="github")
    assert State.restore(scene.state.snapshot()) == scene.state
