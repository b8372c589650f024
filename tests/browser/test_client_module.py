"""The page against servers that refuse, end, break off or lie: what it shows, and when it tries again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from chatd.proto.frames import encode
from tests.support.browser import Modules
from tests.support.scripted_sockets import Answer, Frame, ScriptedSocket

CHALLENGE = '{"type":"challenge","nonce":"abc","instance":"lab","certificate":true}'
WELCOME: Frame = {
    "type": "welcome",
    "protocol": 1,
    "server": "chatd",
    "version": "1",
    "instance": "lab",
    "user": "bob",
    "device": "web",
    "role": "user",
    "permissions": [],
    "rooms": ["#lobby"],
    "head": 10,
    "time": 1,
    "envelope": False,
    "lineage": [],
    "limits": {"idle_seconds": 60},
}
START = """
const { ChatModel } = await load("model.js");
window.model = new ChatModel();
window.phases = [];
model.subscribe(() => { if (phases.at(-1) !== model.phase) phases.push(model.phase); });
await model.start();
"""

Answers = Callable[[Frame], Iterable[Answer]]


def _bye(code: str, *, retry: bool, after: int | None = None) -> Frame:
    bye = {"type": "bye", "code": code, "reason": "why", "fix": "do this", "retry": retry}
    return bye | ({} if after is None else {"retry_after": after})


def _text(frame: Frame) -> str:
    return encode(frame)[4:].decode()


def _admit(frame: Frame) -> list[Answer]:
    """Answer as a server in good health."""
    if frame["type"] == "login":
        return [WELCOME]
    if frame["type"] == "resume":
        return [{"type": "ok", "id": frame["id"], "result": {"events": [], "cursor": 10, "more": False}}]
    if frame["type"] == "send":
        return [{"type": "ok", "id": frame["id"], "result": {"seq": 11, "at": 1, "notes": []}}]
    return [{"type": "ok", "id": frame["id"], "result": {}}]


class Client:
    """A page whose model connects to servers that a test scripts, one after the other; the last one stays."""

    def __init__(self, modules: Modules) -> None:
        self.modules = modules
        self.servers: list[ScriptedSocket] = []
        self.connections = 0

    def server(self, answers: Answers = _admit, greeting: Iterable[Answer] = (CHALLENGE,)) -> ScriptedSocket:
        self.servers.append(ScriptedSocket(greeting, answers))
        return self.servers[-1]

    def serve(self, route: Any) -> None:
        at = min(self.connections, len(self.servers) - 1)
        self.connections += 1
        self.servers[at].serve(route)

    def wait(self, condition: str) -> None:
        self.modules.page.wait_for_function(f"() => {condition}")

    def shows(self, script: str) -> Any:
        return self.modules.run(f"return {script};")


@pytest.fixture
def client(shared_modules: Modules) -> Iterator[Client]:
    """A page with an empty storage."""
    shared_modules.clear()
    shared_modules.run("(await (await load('store.js')).openStore()).clear();")
    shared_modules.clear()
    client = Client(shared_modules)
    shared_modules.page.route_web_socket("**/session", client.serve)
    yield client
    shared_modules.clear()


def test_a_browser_without_an_identity_asks_for_an_invite(client: Client) -> None:
    server = client.server(greeting=['{"type":"challenge","nonce":"abc","instance":"lab"}'])
    client.modules.run(START)
    client.wait("model.phase === 'no-identity'")
    assert server.received == [] and client.connections == 1


def test_a_certificate_of_tls_logs_in_without_a_key(client: Client) -> None:
    server = client.server()
    client.modules.run(START)
    client.wait("model.phase === 'connected'")
    assert client.shows("[model.me, model.device, model.instance, [...model.joined]]") == [
        *("bob", "web", "lab"),
        ["#lobby"],
    ]
    assert server.received[0] == {"type": "login"}
    assert [frame["type"] for frame in server.received[1:3]] == ["resume", "unread"]


@pytest.mark.parametrize("as_text", [True, False], ids=["login", "session"])
def test_a_final_refusal_is_shown_and_not_tried_again(client: Client, as_text: bool) -> None:
    bye = _bye("E206", retry=False)
    client.server(lambda frame: [_text(bye) if as_text else bye, "close"])
    client.modules.run(START)
    client.wait("model.phase === 'ended'")
    trouble = client.shows("[model.trouble.code, model.trouble.reason, model.trouble.fix, model.retryAt]")
    assert trouble == ["E206", "why", "do this", 0]
    refused = client.shows("model.rooms().catch((fault) => fault.code)")
    assert refused == "E206" and client.connections == 1


def test_a_refusal_before_the_challenge_is_shown(client: Client) -> None:
    client.server(greeting=[_text(_bye("E501", retry=True)), "close"])
    client.modules.run(START)
    client.wait("model.trouble?.code === 'E501' && model.phase === 'reconnecting'")
    assert client.shows("model.retryAt > 0")


def test_a_ban_that_ends_soon_is_waited_out(client: Client) -> None:
    client.server(lambda frame: [_bye("E207", retry=False, after=600), "close"])
    client.modules.run(START)
    client.wait("model.phase === 'reconnecting'")
    assert client.shows("(model.retryAt - Date.now()) / 1000 > 590 && model.trouble.code") == "E207"


def test_a_long_ban_ends_the_page(client: Client) -> None:
    client.server(lambda frame: [_bye("E207", retry=False, after=100_000), "close"])
    client.modules.run(START)
    client.wait("model.phase === 'ended'")


def test_a_cut_connection_is_made_again_and_nothing_is_lost(client: Client) -> None:
    first = client.server(lambda frame: ["close"] if frame["type"] == "send" else _admit(frame))
    second = client.server()
    client.modules.run(START)
    client.wait("model.phase === 'connected'")
    client.modules.run(
        "await model.send('hello', { to: '#lobby' }); await model.send('again', { to: '#lobby' });"
    )
    client.wait("model.unsent === 0")
    sent = [[one["msg_id"] for one in server.received if one["type"] == "send"] for server in (first, second)]
    assert len(sent[1]) == 2 and sent[0][0] == sent[1][0]
    assert [one["body"] for one in second.received if one["type"] == "send"] == ["hello", "again"]
    assert "reconnecting" in client.shows("phases")


def test_what_waits_is_sent_after_a_reload(client: Client) -> None:
    client.server(lambda frame: [] if frame["type"] == "send" else _admit(frame))
    second = client.server()
    client.modules.run(START)
    client.wait("model.phase === 'connected'")
    client.modules.run("for (const n of [1, 2, 3]) await model.send(`text ${n}`, { to: '#lobby' });")
    client.modules.clear()
    client.modules.run(START)
    client.wait("model.phase === 'connected' && model.unsent === 0")
    sent = [one for one in second.received if one["type"] == "send"]
    assert [one["body"] for one in sent] == ["text 1", "text 2", "text 3"]
    assert [one["msg_id"] for one in sent] == [
        one["msg_id"] for one in client.servers[0].received if one["type"] == "send"
    ]


def test_a_refused_message_waits_for_its_writer_across_reloads(client: Client) -> None:
    refusal = {"type": "error", "code": "E400", "reason": "a word", "fix": "rephrase"}
    client.server(
        lambda frame: [{**refusal, "id": frame["id"]}] if frame["type"] == "send" else _admit(frame)
    )
    client.modules.run(START)
    client.wait("model.phase === 'connected'")
    client.modules.run("await model.send('bad', { to: '#lobby' });")
    row = "[...model.conversation('#lobby').pending.values()][0]"
    client.wait(f"{row}?.state === 'refused'")
    client.wait("model.unsent === 0")
    client.modules.clear()
    client.modules.run(START)
    client.wait(f"{row}?.state === 'refused'")
    assert client.shows(f"[{row}.fault.fix, model.takeBack({row}.msgId, '#lobby')]") == ["rephrase", "bad"]
    client.modules.clear()
    client.modules.run(START)
    client.wait("model.phase === 'connected'")
    assert client.shows("model.conversation('#lobby').pending.size") == 0


def test_messages_of_another_user_are_not_sent_in_the_new_users_name(client: Client) -> None:
    client.server(lambda frame: [] if frame["type"] == "send" else _admit(frame))
    other = client.server(
        lambda frame: [{**WELCOME, "user": "eve"}] if frame["type"] == "login" else _admit(frame)
    )
    client.modules.run(START)
    client.wait("model.phase === 'connected'")
    client.modules.run("await model.send('of bob', { to: '#lobby' });")
    client.modules.clear()
    client.modules.run(START)
    client.wait("model.phase === 'ended'")
    assert client.shows("model.trouble.code") == "E608"
    assert [one["type"] for one in other.received] == ["login"]


@pytest.mark.parametrize(
    ("greeting", "answers", "code"),
    [
        (["junk"], _admit, "E102"),
        (["[1]"], _admit, "E102"),
        (['{"type":"challenge"}'], _admit, "E100"),
        (['{"type":"__proto__"}'], _admit, "E100"),
        ([b"\x00\x00\x00\x02{}"], _admit, "E100"),
        ([CHALLENGE], lambda frame: [b"\xff\xff\xff\xff"], "E101"),
        ([CHALLENGE], lambda frame: [{"type": "lagged"}], "E100"),
        ([CHALLENGE], lambda frame: ["text", "text"], "E102"),
        ([CHALLENGE], lambda frame: [WELCOME, "text"], "E100"),
        ([CHALLENGE], lambda frame: [WELCOME, WELCOME], "E100"),
    ],
    ids=[
        *("junk", "list", "no-nonce", "type", "binary", "too-long", "early", "text", "late-text", "twice"),
    ],
)
def test_a_server_that_breaks_the_rules_is_left_and_tried_again_later(
    client: Client, greeting: list[Answer], answers: Answers, code: str
) -> None:
    client.server(answers, greeting)
    client.server(greeting=[])
    client.modules.run(START)
    client.wait(f"model.trouble?.code === '{code}'")
    assert client.shows("['reconnecting', 'connecting'].includes(model.phase)")


def test_a_browser_that_keeps_nothing_says_so_and_works(client: Client) -> None:
    client.server()
    client.modules.run("""
        const refuse = () => { throw new DOMException("private", "SecurityError"); };
        Object.defineProperty(window, "indexedDB", { value: { open: refuse }, configurable: true });
    """)
    client.modules.run(START)
    client.wait("model.phase === 'connected'")
    assert client.shows("model.isKept") is False
    client.modules.run("await model.send('hello', { to: '#lobby' });")
    client.wait("model.unsent === 0")
