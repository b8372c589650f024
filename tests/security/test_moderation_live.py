"""Kick, ban, mute, roles, revocation on a real server: at once, on every worker, in words, for good."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatctl.client import Client
from chatd.errors import ChatdError
from chatd.pki.identity import read_identity
from tests.support.abused import UNLIMITED, abused, changed, on_both_workers
from tests.support.daemon import Daemon, wait_until
from tests.support.rawclient import Json, RawClient, new_id

# With the first admin this is more than max_connections: only the admins' reserve lets alice in.
CROWD = 50


def settings(tree: dict[str, Any]) -> None:
    changed(tree, "server", timeout=300, max_connections=CROWD)
    changed(tree, "limits", per_role={"user": UNLIMITED, "admin": UNLIMITED})


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with abused(tmp_path_factory.mktemp("moderation") / "home", settings, "bob", "carol") as daemon:
        daemon.add_user("bob", device="phone")
        yield daemon


@pytest.fixture
def alice(daemon: Daemon) -> Iterator[RawClient]:
    with RawClient(daemon.port, daemon.identity("alice", "console")).logged_in() as client:
        client.ask("resume")
        yield client


@pytest.fixture
def carol(daemon: Daemon) -> Iterator[RawClient]:
    """Somebody who has nothing to do with it."""
    with session(daemon, "carol") as client:
        yield client


@pytest.fixture
def bobs(daemon: Daemon) -> Iterator[list[RawClient]]:
    """bob on both workers; whatever is done to him is undone."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(c) for c in on_both_workers(daemon, "bob")]
        for client in clients:
            client.ask("resume")
        yield clients
        with RawClient(daemon.port, daemon.identity("alice", "console")).logged_in() as admin:
            admin.ask("unban", user="bob")
            admin.ask("unmute", user="bob")
            admin.ask("role_set", user="bob", role="user")


def session(daemon: Daemon, user: str, device: str = "laptop") -> RawClient:
    """A live session."""
    client = RawClient(daemon.port, daemon.identity(user, device)).logged_in()
    client.ask("resume")
    return client


def refusal(daemon: Daemon, user: str, device: str = "laptop") -> ChatdError:
    """What the person reads who tries to log in, and is told not to come back by itself."""
    with Client(read_identity(daemon.identity(user, device))) as client:
        with pytest.raises(ChatdError) as caught:
            client.wait_connected(30)
        assert client.error is not None, "the client goes on trying"
        return caught.value


def admitted(daemon: Daemon, user: str, device: str = "laptop") -> bool:
    """Whether a login works."""
    with RawClient(daemon.port, daemon.identity(user, device)).tls().envelope() as client:
        return bool(client.receive()["type"] == "welcome")


def assert_talks(*clients: RawClient) -> None:
    """What the first says, the others hear."""
    seq = clients[0].say("on we go")["result"]["seq"]
    for client in clients[1:]:
        client.until(type="message", seq=seq)


def test_kick(daemon: Daemon, alice: RawClient, carol: RawClient, bobs: list[RawClient]) -> None:
    done = daemon.chatctl("kick", "bob", "--reason", "cool down")
    assert done.stdout == "kicked bob  closed 2 live sessions on 2 workers\n"
    for bob in bobs:
        bye = bob.bye()
        assert (bye["code"], bye["retry"]) == ("E208", False)
        assert "cool down" in bye["reason"]
    error = refusal(daemon, "bob")
    assert error.code == "E208"
    assert "cool down" in error.reason
    assert_talks(alice, carol)
    assert alice.ask("unban", user="bob")["type"] == "ok"
    assert admitted(daemon, "bob")


def test_kick_from_a_room(alice: RawClient, bobs: list[RawClient]) -> None:
    alice.ask("create", room="#yard", guests=True)
    for bob in bobs:
        assert bob.ask("join", room="#yard")["type"] == "ok"
    alice.ask("kick", user="bob", room="#yard", reason="noise")
    for bob in bobs:
        parted = bob.until(type="parted", room="#yard")
        assert (parted["by"], parted["reason"]) == ("alice", "noise")
    alice.say("not for bob", "#yard")
    for bob in bobs:
        assert bob.say("hello?", "#yard")["code"] == "E301"
        assert bob.ask("history", room="#yard")["code"] == "E301"
    assert_talks(*bobs)
    seq = alice.say("next")["result"]["seq"]
    for bob in bobs:
        while (event := bob.receive()).get("seq") != seq:
            assert event.get("room") != "#yard"


def test_ban_survives_a_restart(daemon: Daemon, bobs: list[RawClient]) -> None:
    done = daemon.chatctl("ban", "bob", "--for", "2h", "--reason", "spam")
    assert done.stdout.startswith("banned bob until ")
    assert "closed 2 live sessions on 2 workers" in done.stdout
    for bob in bobs:
        bye = bob.bye()
        assert (bye["code"], bye["retry"]) == ("E207", False)
    assert "spam" in refusal(daemon, "bob").reason
    daemon.chatd("stop")
    daemon.chatd("start")
    error = refusal(daemon, "bob")
    assert error.code == "E207"
    assert "spam" in error.reason
    assert refusal(daemon, "bob", "phone").code == "E207"
    assert json.loads(daemon.chatctl("bans", "--json").stdout)["bans"][0]["user"] == "bob"
    daemon.chatctl("unban", "bob")
    assert admitted(daemon, "bob")
    refused = [line for line in daemon.log_lines("security.log") if line["event"] == "login_refused"]
    assert ("bob", "E207") in {(line["user"], line["code"]) for line in refused}


def test_dry_run_hits_nobody(alice: RawClient, bobs: list[RawClient]) -> None:
    for kind, extra in (("kick", {}), ("ban", {}), ("revoke", {"device": "laptop"})):
        result = alice.ask(kind, user="bob", dry_run=True, **extra)["result"]
        assert (result["sessions"], result["workers"], result["dry_run"]) == (2, 2, True)
    assert_talks(*bobs)


def test_who_cannot_be_hit(alice: RawClient, bobs: list[RawClient]) -> None:
    """Oneself, other moderators, people who are not there; and nobody without the permission."""
    assert alice.ask("ban", user="alice")["code"] == "E304"
    assert alice.ask("role_set", user="alice", role="guest")["code"] == "E305"  # pinned by init
    alice.ask("role_set", user="bob", role="admin")
    assert alice.ask("ban", user="bob")["code"] == "E304"
    assert alice.ask("kick", user="bob")["code"] == "E304"
    assert alice.ask("mute", user="bob")["code"] == "E304"
    assert bobs[0].ask("kick", user="carol", dry_run=True)["type"] == "ok"
    alice.ask("role_set", user="bob", role="user")
    for bob in bobs:
        for kind, extra in MODERATION:
            assert bob.ask(kind, user="carol", **extra)["code"] == "E300", kind
        for kind in ("bans", "users", "stats"):
            assert bob.ask(kind)["code"] == "E300", kind
    for kind, extra in MODERATION:
        assert alice.ask(kind, user="nobody-here", **extra)["code"] == "E405", kind


MODERATION: list[tuple[str, Json]] = [
    ("kick", {}),
    ("kick", {"dry_run": True}),
    ("ban", {}),
    ("unban", {}),
    ("mute", {}),
    ("unmute", {}),
    ("role_set", {"role": "admin"}),
    ("revoke", {"device": "laptop"}),
]


def test_mute(alice: RawClient, carol: RawClient, bobs: list[RawClient]) -> None:
    alice.ask("mute", user="bob", seconds=7200, reason="shouting")
    for bob in bobs:
        for to in ("#lobby", "@carol"):
            reply = bob.say("can you hear me", to)
            assert reply["code"] == "E302"
            assert "shouting" in reply["reason"]
        assert bob.ask("history", room="#lobby")["type"] == "ok"
    alice.ask("unmute", user="bob")
    assert_talks(bobs[1], bobs[0], alice, carol)


def test_mute_in_one_room(alice: RawClient, bobs: list[RawClient]) -> None:
    alice.ask("create", room="#choir", guests=True)
    bobs[0].ask("join", room="#choir")
    alice.ask("mute", user="bob", room="#choir")
    assert bobs[1].say("la", "#choir")["code"] == "E302"
    assert bobs[1].say("la")["type"] == "ok"
    alice.ask("unmute", user="bob", room="#choir")
    assert bobs[1].say("la", "#choir")["type"] == "ok"


def test_a_role_takes_effect_at_once(alice: RawClient, bobs: list[RawClient]) -> None:
    alice.ask("create", room="#war", guests=False)
    assert bobs[0].ask("join", room="#war")["type"] == "ok"
    alice.say("plans", "#war")
    for bob in bobs:
        assert bob.until(type="message", room="#war")["body"] == "plans"
    alice.ask("role_set", user="bob", role="guest")
    for bob in bobs:
        assert bob.until(type="parted", room="#war")["by"] == "server"
        # A closed room is not even named to those who may not enter it.
        for kind in ("history", "who", "join", "part"):
            assert bob.ask(kind, room="#war")["code"] == "E404", kind
        assert bob.say("what now", "#war")["code"] == "E404"
        assert bob.ask("create", room="#own")["code"] == "E300"
        assert bob.say("psst", "@alice")["code"] == "E300"
        assert all(r["room"] != "#war" for r in bob.ask("rooms")["result"]["rooms"])
        found = bob.ask("search", query="plans")["result"]
        assert "plans" not in json.dumps(found)
    alice.say("secret", "#war")
    seq = alice.say("public")["result"]["seq"]
    for bob in bobs:
        while (event := bob.receive()).get("seq") != seq:
            assert event.get("room") != "#war"
    alice.ask("role_set", user="bob", role="user")
    assert bobs[1].ask("join", room="#war")["type"] == "ok"


def test_revoke(daemon: Daemon, carol: RawClient, bobs: list[RawClient]) -> None:
    with session(daemon, "bob", "phone") as phone:
        done = daemon.chatctl("revoke", "bob/phone", "--reason", "device lost", "--yes")
        assert "closed 1 live session" in done.stdout
        bye = phone.bye()
    assert (bye["code"], bye["retry"]) == ("E206", False)
    assert "device lost" in bye["reason"]
    assert refusal(daemon, "bob", "phone").code == "E206"
    assert_talks(*bobs, carol)
    again = daemon.chatctl("revoke", "bob/phone", "--yes", check=False)
    assert again.returncode == 3
    assert "E410" in again.stderr


def test_a_flood_ends_with_the_ban(daemon: Daemon, alice: RawClient, bobs: list[RawClient]) -> None:
    """Requests under way when the ban is decided are not carried out after it."""
    bob = bobs[0]
    for _ in range(20):
        bob.send(*(_message(f"flood {n}") for n in range(20)))
    assert alice.ask("ban", user="bob", reason="flood")["type"] == "ok"
    after = alice.say("quiet")["result"]["seq"]
    assert [c.bye()["code"] for c in bobs] == ["E207", "E207"]
    events = alice.ask("history", room="#lobby", after=after - 1)["result"]["events"]
    assert [e["body"] for e in events if e["type"] == "message"] == ["quiet"]


_labels = iter(range(1_000, 1_000_000))


def _message(body: str) -> Json:
    return {"type": "send", "id": next(_labels), "msg_id": new_id(), "to": "#lobby", "body": body}


def test_a_full_server_is_administered(daemon: Daemon, tmp_path: Path) -> None:
    """With every place taken: users are told that it is full, the admin gets in and makes room."""
    wait_until(lambda: _sessions(daemon) == 0, what="the sessions of other tests to end")
    crowd = [session(daemon, "carol") for _ in range(CROWD - 10)]
    crowd += [session(daemon, "bob") for _ in range(10)]
    try:
        with RawClient(daemon.port, daemon.identity("carol")).tls().envelope() as late:
            bye = late.bye()
            assert (bye["code"], bye["retry"]) == ("E501", True)
        stats = json.loads(daemon.chatctl("stats", "--json").stdout)
        assert stats["connections"] | {"total": 0} == {"now": CROWD + 1, "total": 0, "limit": CROWD}
        assert f"{CROWD + 1} now" in daemon.chatctl("stats").stdout
        assert "closed 10 live sessions" in daemon.chatctl("kick", "bob").stdout
        assert {c.bye()["code"] for c in crowd[-10:]} == {"E208"}
        assert_talks(*crowd[:-10])
        assert admitted(daemon, "carol")
        assert f"closed {CROWD - 10} live sessions" in daemon.chatctl("ban", "carol").stdout
        assert {c.bye()["code"] for c in crowd[:-10]} == {"E207"}
        wait_until(lambda: _sessions(daemon) == 0, what="all sessions to be gone")
        daemon.chatctl("unban", "bob", "carol")
    finally:
        for client in crowd:
            client.sock.close()


def _sessions(daemon: Daemon) -> int:
    with RawClient(daemon.port, daemon.identity("alice", "console")).logged_in() as admin:
        return int(admin.ask("stats")["result"]["connections"]["now"]) - 1
