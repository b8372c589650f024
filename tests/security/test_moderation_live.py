"""Kicks, bans, mutes, roles and revocations on a real server.

They take effect at once on every worker, tell the user why, and survive a restart.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from chatctl.client import Client
from chatd.errors import ChatdError
from chatd.pki.identity import read_identity
from tests.support.daemon import Daemon, wait_until
from tests.support.rawclient import Json, RawClient, new_id
from tests.support.under_attack import (
    daemon_under_attack,
    lift_rate_limits,
    log_in_admin,
    login_bye,
    open_live_session,
    session_count,
    session_on_each_worker,
    update_section,
)

# Users can fill the server up to here; only the admins' reserve lets alice in after that.
MAX_CONNECTIONS = 50


def settings(tree: dict[str, Any]) -> None:
    update_section(tree, "server", timeout=300, max_connections=MAX_CONNECTIONS)
    lift_rate_limits(tree)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemon_under_attack(
        tmp_path_factory.mktemp("moderation") / "home", settings, "bob", "carol"
    ) as daemon:
        daemon.add_user("bob", device="phone")
        yield daemon


@pytest.fixture
def carol(daemon: Daemon) -> Iterator[RawClient]:
    """A user whom nobody moderates."""
    with open_live_session(daemon, "carol") as client:
        yield client


@pytest.fixture
def bobs(daemon: Daemon) -> Iterator[list[RawClient]]:
    """A live session of bob on each worker; what is done to him is undone afterwards."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(c) for c in session_on_each_worker(daemon, "bob")]
        for client in clients:
            client.ask("resume")
        yield clients
        with log_in_admin(daemon) as admin:
            admin.ask("unban", user="bob")
            admin.ask("unmute", user="bob")
            admin.ask("role_set", user="bob", role="user")


def permanent_refusal(daemon: Daemon, user: str, device: str = "laptop") -> ChatdError:
    """Log in with the client library; return the error after which it gives up."""
    with Client(read_identity(daemon.identity(user, device))) as client:
        with pytest.raises(ChatdError) as caught:
            client.wait_connected(30)
        assert client.error is not None, "the client keeps trying"
        return caught.value


def is_admitted(daemon: Daemon, user: str) -> bool:
    with RawClient(daemon.port, daemon.identity(user)).tls().envelope() as client:
        return bool(client.receive()["type"] == "welcome")


def assert_hear(*clients: RawClient) -> None:
    """Check that all other clients receive a message from the first."""
    seq = clients[0].say("on we go")["result"]["seq"]
    for client in clients[1:]:
        client.until(type="message", seq=seq)


def test_a_kick_ends_all_sessions_and_keeps_the_user_out_until_unban(
    daemon: Daemon, alice: RawClient, carol: RawClient, bobs: list[RawClient]
) -> None:
    done = daemon.chatctl("kick", "bob", "--reason", "cool down")
    assert re.fullmatch(r"kicked bob until 2\S+Z  closed 2 live sessions on 2 workers\n", done.stdout)
    for bob in bobs:
        bye = bob.read_bye()
        assert (bye["code"], bye["retry"]) == ("E208", False)
        assert "cool down" in bye["reason"]
    error = permanent_refusal(daemon, "bob")
    assert error.code == "E208"
    assert "cool down" in error.reason
    assert_hear(alice, carol)
    assert alice.ask("unban", user="bob")["type"] == "ok"
    assert is_admitted(daemon, "bob")


def test_a_kick_from_a_room_removes_the_user_from_that_room_only(
    alice: RawClient, bobs: list[RawClient]
) -> None:
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
    assert_hear(*bobs)
    seq = alice.say("next")["result"]["seq"]
    for bob in bobs:
        while (event := bob.receive()).get("seq") != seq:
            assert event.get("room") != "#yard"


def test_a_ban_ends_all_sessions_and_survives_a_restart(daemon: Daemon, bobs: list[RawClient]) -> None:
    done = daemon.chatctl("ban", "bob", "--for", "2h", "--reason", "spam")
    assert done.stdout.startswith("banned bob until ")
    assert "closed 2 live sessions on 2 workers" in done.stdout
    for bob in bobs:
        bye = bob.read_bye()
        assert (bye["code"], bye["retry"]) == ("E207", False)
    assert "spam" in permanent_refusal(daemon, "bob").reason
    daemon.chatd("stop")
    daemon.chatd("start")
    error = permanent_refusal(daemon, "bob")
    assert error.code == "E207"
    assert "spam" in error.reason
    assert permanent_refusal(daemon, "bob", "phone").code == "E207"
    assert json.loads(daemon.chatctl("bans", "--json").stdout)["bans"][0]["user"] == "bob"
    daemon.chatctl("unban", "bob")
    assert is_admitted(daemon, "bob")
    refused = [line for line in daemon.log_lines("security.log") if line["event"] == "login_refused"]
    assert ("bob", "E207") in {(line["user"], line["code"]) for line in refused}


def test_a_dry_run_counts_sessions_and_ends_none(alice: RawClient, bobs: list[RawClient]) -> None:
    for kind, extra in (("kick", {}), ("ban", {}), ("revoke", {"device": "laptop"})):
        result = alice.ask(kind, user="bob", dry_run=True, **extra)["result"]
        assert (result["sessions"], result["workers"], result["dry_run"]) == (2, 2, True)
    assert_hear(*bobs)


def test_moderation_needs_the_permission_and_spares_oneself_and_other_moderators(
    alice: RawClient, bobs: list[RawClient]
) -> None:
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


def test_a_muted_user_reads_but_cannot_send_in_rooms_or_conversations(
    alice: RawClient, carol: RawClient, bobs: list[RawClient]
) -> None:
    alice.ask("mute", user="bob", seconds=7200, reason="shouting")
    for bob in bobs:
        for to in ("#lobby", "@carol"):
            reply = bob.say("can you hear me", to)
            assert reply["code"] == "E302"
            assert "shouting" in reply["reason"]
        assert bob.ask("history", room="#lobby")["type"] == "ok"
    alice.ask("unmute", user="bob")
    assert_hear(bobs[1], bobs[0], alice, carol)


def test_a_mute_in_one_room_applies_to_that_room_only(alice: RawClient, bobs: list[RawClient]) -> None:
    alice.ask("create", room="#choir", guests=True)
    bobs[0].ask("join", room="#choir")
    alice.ask("mute", user="bob", room="#choir")
    assert bobs[1].say("la", "#choir")["code"] == "E302"
    assert bobs[1].say("la")["type"] == "ok"
    alice.ask("unmute", user="bob", room="#choir")
    assert bobs[1].say("la", "#choir")["type"] == "ok"


def test_a_demoted_user_leaves_closed_rooms_at_once(alice: RawClient, bobs: list[RawClient]) -> None:
    alice.ask("create", room="#war", guests=False)
    assert bobs[0].ask("join", room="#war")["type"] == "ok"
    alice.say("plans", "#war")
    for bob in bobs:
        assert bob.until(type="message", room="#war")["body"] == "plans"
    alice.ask("role_set", user="bob", role="guest")
    for bob in bobs:
        assert bob.until(type="parted", room="#war")["by"] == "server"
        # The server hides a closed room from users who may not enter it.
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


def test_revoking_a_device_ends_its_session_and_no_other(
    daemon: Daemon, carol: RawClient, bobs: list[RawClient]
) -> None:
    with open_live_session(daemon, "bob", "phone") as phone:
        done = daemon.chatctl("revoke", "bob/phone", "--reason", "device lost", "--yes")
        assert "closed 1 live session" in done.stdout
        bye = phone.read_bye()
    assert (bye["code"], bye["retry"]) == ("E206", False)
    assert "device lost" in bye["reason"]
    assert permanent_refusal(daemon, "bob", "phone").code == "E206"
    assert_hear(*bobs, carol)
    again = daemon.chatctl("revoke", "bob/phone", "--yes", check=False)
    assert again.returncode == 3
    assert "E410" in again.stderr


def test_no_request_of_a_flood_is_carried_out_after_the_ban(alice: RawClient, bobs: list[RawClient]) -> None:
    bob = bobs[0]
    for _ in range(20):
        bob.send(*(_message(f"flood {n}") for n in range(20)))
    assert alice.ask("ban", user="bob", reason="flood")["type"] == "ok"
    after = alice.say("quiet")["result"]["seq"]
    assert [c.read_bye()["code"] for c in bobs] == ["E207", "E207"]
    events = alice.ask("history", room="#lobby", after=after - 1)["result"]["events"]
    assert [e["body"] for e in events if e["type"] == "message"] == ["quiet"]


_request_ids = iter(range(1_000, 1_000_000))


def _message(body: str) -> Json:
    return {"type": "send", "id": next(_request_ids), "msg_id": new_id(), "to": "#lobby", "body": body}


def test_an_admin_can_log_in_to_a_full_server_and_free_places(daemon: Daemon) -> None:
    wait_until(lambda: session_count(daemon) == 0, what="the sessions of other tests to end")
    carols = [open_live_session(daemon, "carol") for _ in range(MAX_CONNECTIONS - 10)]
    bobs = [open_live_session(daemon, "bob") for _ in range(10)]
    try:
        bye = login_bye(daemon, "carol")
        assert (bye["code"], bye["retry"]) == ("E501", True)
        connections = json.loads(daemon.chatctl("stats", "--json").stdout)["connections"]
        del connections["total"]
        assert connections == {"now": MAX_CONNECTIONS + 1, "limit": MAX_CONNECTIONS}
        assert f"{MAX_CONNECTIONS + 1} now" in daemon.chatctl("stats").stdout
        assert "closed 10 live sessions" in daemon.chatctl("kick", "bob").stdout
        assert {bob.read_bye()["code"] for bob in bobs} == {"E208"}
        assert_hear(*carols)
        assert is_admitted(daemon, "carol")
        assert f"closed {len(carols)} live sessions" in daemon.chatctl("ban", "carol").stdout
        assert {carol.read_bye()["code"] for carol in carols} == {"E207"}
        wait_until(lambda: session_count(daemon) == 0, what="all sessions to end")
        daemon.chatctl("unban", "bob", "carol")
    finally:
        for client in (*carols, *bobs):
            client.sock.close()
