"""A client that asks for too much, or reads nothing, harms only itself."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, running
from tests.support.rawclient import RawClient, new_id
from tests.support.under_attack import UNLIMITED, log_in, log_in_admin

REQUESTS = 250
BODY = "x" * 400


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    limits = {
        "admin": UNLIMITED,
        "user": {"messages_per_second": 5, "burst": 20},
        "guest": {"messages_per_second": 0.001, "burst": 1},
    }
    home = tmp_path_factory.mktemp("overload") / "home"
    with running(home, CHATD_LIMITS__PER_ROLE=json.dumps(limits)) as daemon:
        daemon.add_user("bob")
        yield daemon


def test_thousands_of_page_requests_neither_delay_messages_nor_break_the_link(daemon: Daemon) -> None:
    with log_in_admin(daemon) as alice:
        for n in range(1500):
            alice.send({"type": "send", "id": 1000 + n, "msg_id": new_id(), "to": "#lobby", "body": BODY})
            if n % 50 == 49:
                alice.until(type="ok", id=1000 + n)
        reply = alice.ask("history", room="#lobby", limit=1)
        assert reply["type"] == "ok", reply
        head = reply["result"]["cursor"]
        with contextlib.ExitStack() as stack:
            greedy = [stack.enter_context(log_in(daemon, "bob")) for _ in range(8)]
            for client in greedy:
                client.send(
                    *({"type": "resume", "id": 10 + n, "after": head - 1400} for n in range(REQUESTS))
                )
            # The hub accepts messages while it answers the page requests one by one.
            for n in range(20):
                assert alice.say(f"still here {n}")["result"]["seq"] > head
    assert not [r for r in daemon.log_lines() if r["event"] in ("link_lost", "child_hung")]


def test_a_change_of_role_changes_the_rate_limit_of_live_sessions(daemon: Daemon) -> None:
    daemon.add_user("dora")
    with log_in_admin(daemon) as alice, log_in(daemon, "dora") as dora:
        # Over the burst, but a user's 5 a second hold each request back too shortly for a notice.
        dora.send(*({"type": "rooms", "id": 100 + n} for n in range(60)))
        dora.until(type="ok", id=122)
        alice.ask("role_set", user="dora", role="guest")
        dora.until(type="slowed")


def test_a_client_that_reads_nothing_is_closed_while_events_arrive(tmp_path: Path) -> None:
    with running(tmp_path / "home", CHATD_SERVER__TIMEOUT="4") as daemon:
        identity = daemon.add_user("bob")
        with (
            log_in_admin(daemon) as alice,
            RawClient(daemon.port, identity, receive_buffer=4096).logged_in() as silent,
        ):
            silent.send({"type": "resume", "id": 900})
            sent = 0
            while alice.ask("whois", user="bob")["result"]["state"] == "online":
                alice.say("y" * 499)
                sent += 1
                assert sent < 20_000, "the client was never closed"
