"""The gateway's answers to posts: who may post, how fast, and what each refusal of the hub becomes."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest

from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.gateway import hook_door
from chatd.gateway.hook_door import BODY_LIMIT, HOOK_PATH, MESSAGES_AT_ONCE, HookDoor
from chatd.gateway.http_messages import HttpAnswer, HttpRequest
from chatd.logs.repeats import Repeats
from tests.support.hook_senders import alert, alert_post, bearer, signed

TOKEN = "a-token"
SECRET = "5e" * 32


class Hub:
    """Answers as the hub does; ``error`` refuses every post."""

    def __init__(self) -> None:
        self.hooks = {"#ops": [hook("bot"), hook("signer", kind="github", secret=SECRET, secret_hash="")]}
        self.error: ChatdError | None = None
        self.asked: list[str] = []
        self.posted: list[list[Any]] = []
        self.refused: list[str] = []

    def ask(self, operation: str, *arguments: Any) -> dict[str, Any]:
        self.asked.append(operation)
        if operation == "hooks":
            return {"hooks": self.hooks.get(arguments[0], [])}
        if self.error is not None:
            raise self.error
        rows = arguments[2]
        assert len(rows) <= MESSAGES_AT_ONCE
        self.posted += rows
        return {"posted": len(rows) - len(self.refused), "seqs": [], "refused": self.refused}


class Door:
    """A door whose clock stands still."""

    def __init__(self, rate: float = 50.0) -> None:
        self.now = 0.0
        self.hub = Hub()
        settings = Settings.model_validate({"gateway": {"hook_rate": rate}})
        self.door = HookDoor(self.hub.ask, settings, Repeats(lambda: self.now), lambda: self.now)

    def post(
        self, body: bytes = b"hi", headers: dict[str, str] | None = None, room: str = "ops", **fields: Any
    ) -> HttpAnswer:
        given = bearer(TOKEN) if headers is None else headers
        lower = {name.lower(): text for name, text in given.items()}
        request = HttpRequest(
            "POST", f"{HOOK_PATH}{room}", lower, fields.get("address", "192.0.2.1"), body=body
        )
        answer = self.door.routes()[HOOK_PATH].answer(request)
        assert isinstance(answer, HttpAnswer)
        return answer


def hook(name: str, kind: str = "text", secret: str = "", secret_hash: str | None = None) -> dict[str, Any]:
    if secret_hash is None:
        secret_hash = hashlib.sha256(TOKEN.encode()).hexdigest()
    return {
        "user": name, "kind": kind, "born": 1, "turned": 1, "secret": secret, "secret_hash": secret_hash
    }  # fmt: skip


@pytest.fixture
def door() -> Door:
    return Door()


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"x:{password}".encode()).decode()}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (bearer(TOKEN), 202),
        ({"Authorization": f"bearer  {TOKEN} "}, 202),
        (basic(TOKEN), 202),
        (bearer("other"), 404),
        (bearer(""), 404),
        (basic("other"), 404),
        (bearer(hashlib.sha256(TOKEN.encode()).hexdigest()), 404),
        (bearer("\xff\u00e9"), 404),
        (signed("", b"hi"), 404),
        (signed(SECRET, b"ho"), 404),
        ({"X-Hub-Signature-256": "sha256="}, 404),
        ({"Authorization": "Basic !!!"}, 401),
        ({"Authorization": f"Digest {TOKEN}"}, 401),
        ({}, 401),
    ],
    ids=str,
)
def test_who_may_post(door: Door, headers: dict[str, str], status: int) -> None:
    assert door.post(headers=headers).status == status
    assert bool(door.hub.posted) is (status == 202)


def test_a_signature_is_of_the_whole_body(door: Door) -> None:
    body = json.dumps({"commits": [{"id": "1", "message": "m"}], "ref": "refs/heads/x"}).encode()
    headers = signed(SECRET, body) | {"X-GitHub-Event": "push"}
    assert door.post(body, headers).status == 202
    assert door.post(body + b" ", headers).status == 404
    assert door.post(b"{}", signed(SECRET, b"{}") | {"X-GitHub-Event": "ping"}).status == 200


def test_an_unknown_room_is_refused_as_a_wrong_token_is(door: Door) -> None:
    assert door.post(room="nil") == door.post(headers=bearer("wrong"))
    assert door.post(room="nil", headers={}) == door.post(headers={})


def test_wrong_tokens_cost_their_block_of_addresses_a_pause(door: Door) -> None:
    answers = [door.post(headers=bearer(f"wrong{number}")) for number in range(30)]
    assert [answer.status for answer in answers[:5]] == [404] * 5
    assert answers[-1].status == 429 and dict(answers[-1].headers)["Retry-After"]
    asked = len(door.hub.asked)
    assert door.post(headers=bearer("wrong"), room="nil").status == 429
    assert len(door.hub.asked) == asked, "a refused block made the hub answer"
    assert door.post(headers=bearer("wrong"), address="198.51.100.1").status == 404


def test_a_good_sender_goes_on_beside_a_wrong_one(door: Door) -> None:
    assert door.post().status == 202
    for _ in range(30):
        door.post(headers=bearer("wrong"))
    assert door.post().status == 202


def test_the_hub_is_asked_for_hooks_once_a_second(door: Door) -> None:
    for _ in range(10):
        assert door.post().status == 202
    assert door.hub.asked.count("hooks") == 1
    door.now += 2
    door.post()
    assert door.hub.asked.count("hooks") == 2


def test_a_new_token_works_at_once(door: Door) -> None:
    door.post()
    door.hub.hooks["#ops"] = [hook("bot", secret_hash=hashlib.sha256(b"new").hexdigest())]
    assert door.post(headers=bearer("new")).status == 202


@pytest.mark.parametrize(("kind", "status"), [("text", 429), ("alertmanager", 503)])
def test_a_hook_has_a_rate(kind: str, status: int) -> None:
    door = Door(rate=2)
    door.hub.hooks["#ops"] = [hook("bot", kind=kind)]
    body = alert_post(alert()) if kind == "alertmanager" else b"hi"
    answers = [door.post(body) for _ in range(21)]
    assert {answer.status for answer in answers[:20]} == {202}
    assert answers[20].status == status and dict(answers[20].headers)["Retry-After"] == "1"
    door.now += 1
    assert door.post(body).status == 202


def test_a_changed_rate_holds_after_a_reload(door: Door) -> None:
    door.post()
    door.door.reload(Settings.model_validate({"gateway": {"hook_rate": 0.1}}))
    assert [door.post().status for _ in range(3)] == [202, 429, 429]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("E405", 404), ("E302", 403), ("E301", 403), ("E207", 403), ("E307", 403), ("E413", 429),
        ("E504", 503), ("E506", 503), ("E502", 503), ("E503", 503), ("E611", 503),
    ],
)  # fmt: skip
def test_what_a_refusal_of_the_hub_becomes(door: Door, code: str, status: int) -> None:
    door.hub.error = ChatdError(code, "why")
    answer = door.post()
    assert answer.status == status
    assert ("Retry-After" in dict(answer.headers)) is (status in (429, 503))


def test_a_post_whose_texts_are_all_refused(door: Door) -> None:
    door.hub.refused = ["the message contains a forbidden word"]
    assert door.post() == HttpAnswer(422, "the message contains a forbidden word\n")


def test_a_large_post_reaches_the_hub_in_parts(door: Door) -> None:
    door.hub.hooks["#ops"] = [hook("bot", kind="alertmanager")]
    answer = door.post(alert_post(*(alert(number) for number in range(120))))
    assert json.loads(answer.body) == {"posted": 120, "repeated": 0, "refused": 0}
    assert door.hub.asked.count("post") == 3
    assert len({row[0] for row in door.hub.posted}) == 120


def test_an_unreadable_post_is_refused_with_a_reason_that_cannot_harm(door: Door) -> None:
    door.hub.hooks["#ops"] = [hook("bot", kind="alertmanager")]
    answer = door.post(b'{"\x1b[31m')
    assert answer.status == 400 and "\x1b" not in str(answer.body)


def test_rooms_without_hooks_are_not_kept(door: Door) -> None:
    for number in range(15):
        door.post(room=f"room{number}")
    assert set(door.door._hooks) == set()
    assert BODY_LIMIT == 256 * 1024 and hook_door.RETRY_SECONDS > 0
