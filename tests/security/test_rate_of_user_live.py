"""One user stays at one rate, with as many sessions and logins as there may be; two devices go unnoticed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pytest

from chatd.hub.user_rates import UNTOLD_DEBT
from tests.support.daemon import Daemon
from tests.support.rawclient import Json, RawClient, new_id
from tests.support.under_attack import (
    UNLIMITED,
    daemon_under_attack,
    log_in,
    log_in_admin,
    update_section,
)

SESSIONS = 8
RATE, BURST = 1.0, 3
SECONDS = 4.0


def settings(tree: dict[str, Any]) -> None:
    update_section(
        tree,
        "limits",
        sessions_per_user=SESSIONS,
        per_role={"admin": UNLIMITED, "guest": {"messages_per_second": RATE, "burst": BURST}},
    )


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemon_under_attack(tmp_path_factory.mktemp("rate") / "home", settings, "bob") as daemon:
        for guest in ("gus", "gil", "gwen"):
            daemon.add_user(guest, role="guest")
        daemon.add_user("bob", device="phone")
        yield daemon


def messages(count: int) -> list[Json]:
    return [
        {"type": "send", "id": 100 + n, "msg_id": new_id(), "to": "#lobby", "body": f"m{n}"}
        for n in range(count)
    ]


def written_by(daemon: Daemon, user: str) -> int:
    """Count a user's messages in the newest page of the lobby."""
    with log_in_admin(daemon) as alice:
        events = alice.ask("history", room="#lobby", limit=500)["result"]["events"]
    return sum(event["type"] == "message" and event["user"] == user for event in events)


def allowed(since: float) -> float:
    """Return how many messages a guest may have written in all sessions since then."""
    return RATE * (time.monotonic() - since) + SESSIONS * (BURST + UNTOLD_DEBT)


def test_a_guest_with_all_sessions_there_may_be_writes_at_one_rate(daemon: Daemon) -> None:
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(log_in(daemon, "gus")) for _ in range(SESSIONS)]
        for client in clients:
            client.send(*messages(60))
        while time.monotonic() < began + SECONDS:
            time.sleep(0.1)
        for client in clients:
            client.send({"type": "ping", "id": 9})
        assert written_by(daemon, "gus") <= allowed(began)
        # Everybody is told, and nobody is cut.
        for client in clients:
            assert client.until(type="slowed")["seconds"] >= 1


def test_a_guest_who_reconnects_for_a_fresh_burst_gets_none(daemon: Daemon) -> None:
    began = time.monotonic()
    logins = 0
    while time.monotonic() < began + SECONDS:
        with contextlib.suppress(EOFError, OSError), log_in(daemon, "gil") as client:
            client.send(*messages(BURST))
            logins += 1
            if not written_at_once(client):
                break
    assert written_by(daemon, "gil") <= RATE * (time.monotonic() - began) + BURST + UNTOLD_DEBT
    assert logins >= 1


def written_at_once(client: RawClient) -> bool:
    """Return whether the server has taken a burst without slowing the client down."""
    replies = 0
    while replies < BURST:
        frame = client.until()
        if frame["type"] == "slowed":
            return False
        replies += frame["type"] == "ok"
    return True


def test_pings_and_malformed_frames_cost_all_sessions_tokens(daemon: Daemon) -> None:
    with log_in(daemon, "gwen") as first, log_in(daemon, "gwen") as second:
        first.send(*({"type": "nonsense", "id": 1 + n} for n in range(BURST)))
        for _ in range(BURST):
            assert first.until(type="error")["code"] == "E103"
        # The other session has its own burst left, and learns of the debt with its messages.
        second.send(*messages(BURST + 1))
        # By itself it would wait a second for the last one.
        assert second.until(type="slowed")["seconds"] >= 2


def test_a_user_with_two_devices_notices_nothing(daemon: Daemon) -> None:
    with log_in(daemon, "bob") as laptop, log_in(daemon, "bob", "phone") as phone:
        for client in (laptop, phone):
            client.send(*messages(9))
        for client in (laptop, phone):
            for _ in range(9):
                assert client.until()["type"] == "ok"
