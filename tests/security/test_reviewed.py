"""Defects that a review found, each as the scenario that showed it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatd.config.reloading import compare, in_force
from chatd.config.schema import Settings
from tests.support.daemon import Daemon, running, wait_until
from tests.support.rawclient import PATIENCE_SECONDS, RawClient

PAGES = 250
BODY = "x" * 400


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    much = {"messages_per_second": 100_000, "burst": 100_000}
    limits = json.dumps(
        {
            "admin": much,
            "user": {"messages_per_second": 5, "burst": 20},
            "guest": {"messages_per_second": 0.001, "burst": 1},
        }
    )
    with running(tmp_path_factory.mktemp("reviewed") / "home", CHATD_LIMITS__PER_ROLE=limits) as daemon:
        daemon.add_user("bob")
        yield daemon


def admin(daemon: Daemon) -> RawClient:
    return RawClient(daemon.port, daemon.identity("alice", "console")).logged_in()


def test_a_burst_of_reads_cuts_no_link(daemon: Daemon) -> None:
    with admin(daemon) as alice:
        for n in range(1500):
            alice.send(
                {"type": "send", "id": 1000 + n, "msg_id": f"{2**64 + n:032x}", "to": "#lobby", "body": BODY}
            )
            if n % 50 == 49:
                alice.until(type="ok", id=1000 + n)
        answer = alice.ask("history", room="#lobby", limit=1)
        assert answer["type"] == "ok", answer
        head = answer["result"]["cursor"]
        greedy = [RawClient(daemon.port, daemon.identity("bob")).logged_in() for _ in range(8)]
        try:
            for client in greedy:
                client.send(*({"type": "resume", "id": 10 + n, "after": head - 1400} for n in range(PAGES)))
            # Everybody else goes on while these are answered one by one.
            for n in range(20):
                assert alice.say(f"still here {n}")["result"]["seq"] > head
        finally:
            for client in greedy:
                client.sock.close()
    assert not [r for r in daemon.log_lines() if r["event"] in ("link_lost", "child_hung")]


def test_from_finds_what_somebody_wrote(daemon: Daemon) -> None:
    with admin(daemon) as alice:
        alice.say("the needle is here")
        assert len(alice.ask("search", query="needle from:alice")["result"]["events"]) == 1
        assert alice.ask("search", query="needle from:bob")["result"]["events"] == []


def test_a_role_change_is_also_a_change_of_the_rate(daemon: Daemon) -> None:
    daemon.add_user("dora")
    with admin(daemon) as alice, RawClient(daemon.port, daemon.identity("dora")).logged_in() as dora:
        # More than the burst: at a user's 5 a second she is held back, but for too short to be told.
        dora.send(*({"type": "rooms", "id": 100 + n} for n in range(60)))
        dora.until(type="ok", id=122)
        alice.ask("role_set", user="dora", role="guest")
        dora.until(type="slowed")


def test_a_role_without_history_gets_none_by_resuming(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:

        def writers(tree: dict[str, dict[str, dict[str, list[str]]]]) -> None:
            tree["roles"]["permissions"]["writer"] = ["message.send", "room.join"]

        daemon.write_settings(writers)
        daemon.chatd("reload")
        with admin(daemon) as alice:
            alice.say("said before")
            daemon.add_user("wanda", "writer")
            with RawClient(daemon.port, daemon.identity("wanda")).logged_in() as wanda:
                page = wanda.ask("resume", after=0)["result"]
                assert page["events"] == []
                assert not page["more"]
                alice.say("said now")
                assert wanda.until(type="message")["body"] == "said now"


def test_who_never_reads_is_closed_all_the_same(tmp_path: Path) -> None:
    with running(tmp_path / "home", CHATD_SERVER__TIMEOUT="4") as daemon:
        daemon.add_user("bob")
        with admin(daemon) as alice:
            deaf = RawClient(daemon.port, daemon.identity("bob"), receive_buffer=4096).logged_in()
            deaf.send({"type": "resume", "id": 900})
            big = "y" * 499
            n = 0
            while alice.ask("whois", user="bob")["result"]["state"] == "online":
                n += 1
                alice.say(f"{big}")
                assert n < 20_000
            deaf.sock.close()


def test_a_bad_certificate_leaves_the_old_one_in_use(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        good = (daemon.home / "certs" / "envelope.pem").read_bytes()
        (daemon.home / "certs" / "envelope.pem").write_bytes(good[:200])
        daemon.chatd("reload")
        wait_until(
            lambda: (
                len([r for r in daemon.log_lines("errors.log") if r["event"] == "certificates_kept"]) == 2
            ),
            what="both workers to refuse it",
        )
        with admin(daemon) as alice:
            alice.say("as before")
        (daemon.home / "certs" / "envelope.pem").write_bytes(good)


def test_what_needs_a_restart_waits_for_it_everywhere(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        daemon.write_settings(lambda tree: tree["security"].update(encryption_enabled=False))
        for _ in range(2):
            assert "security.encryption_enabled" in daemon.chatd("reload").stderr
        old = daemon.child("worker-1")["pid"]
        os.kill(old, signal.SIGKILL)
        wait_until(lambda: daemon.child("worker-1").get("restarts") == 1, PATIENCE_SECONDS, "the new worker")
        for _ in range(8):
            with admin(daemon) as alice:
                assert alice.ask("whois", user="alice")["result"]["state"] == "online"
        daemon.write_settings(lambda tree: tree["security"].update(encryption_enabled=True))
        assert "restart" not in daemon.chatd("reload").stderr


def test_in_force_keeps_what_needs_a_restart() -> None:
    old = Settings()
    new = Settings.model_validate({"server": {"port": 6000, "timeout": 60}, "workers": {"count": 7}})
    kept = in_force(old, new)
    assert (kept.server.port, kept.server.timeout, kept.workers.count) == (5000, 60, 0)
    assert compare(kept, new).needs_restart == ["server.port", "workers.count"]


@pytest.mark.parametrize("key", ["file", "directory"])
def test_a_log_path_that_no_file_can_have(key: str) -> None:
    with pytest.raises(ValueError, match="printable"):
        Settings.model_validate({"logging": {key: "a\u0000b.log"}})
