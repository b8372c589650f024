"""TLS records without a frame cost their sender as much as requests, and answers to them are bounded."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatd.policy.roles import DEFAULT_ROLES
from tests.support.daemon import Daemon, wait_until
from tests.support.key_updates import KeyUpdates
from tests.support.rawclient import RawClient, frame, unverified_context
from tests.support.under_attack import UNLIMITED, update_section, witnessed_daemon

OUTBOX_BYTES = 65_536
UPDATES_AT_ONCE = 500
# Far more answers than the outbox and all buffers of the system on the way to the client hold.
UPDATES_LIMIT = 1_000_000


def settings(tree: dict[str, Any]) -> None:
    # The witness is silent while other clients attack.
    update_section(tree, "server", timeout=300)
    update_section(
        tree,
        "limits",
        outbox_bytes=OUTBOX_BYTES,
        per_role={
            "user": UNLIMITED,
            "guest": {"messages_per_second": 0.5, "burst": 5},
            # Slow enough that a test cannot last until the next token.
            "snail": {"messages_per_second": 0.05, "burst": 5},
        },
    )
    update_section(tree, "roles", permissions=DEFAULT_ROLES | {"snail": DEFAULT_ROLES["guest"]})


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with witnessed_daemon(tmp_path_factory.mktemp("frameless") / "home", settings, "bob") as daemon:
        daemon.add_user("gus", role="guest")
        daemon.add_user("snail", role="snail")
        yield daemon


@contextlib.contextmanager
def key_updater(daemon: Daemon, user: str, folder: Path) -> Iterator[tuple[RawClient, KeyUpdates]]:
    identity, key_log = daemon.identity(user), folder / "keys"
    context = unverified_context(identity)
    context.keylog_filename = str(key_log)
    with RawClient(daemon.port, identity, receive_buffer=4096).tls(context).envelope() as client:
        assert client.receive()["type"] == "welcome"
        yield client, KeyUpdates(client, key_log)


def _cuts(daemon: Daemon) -> int:
    return sum(line["event"] == "slow_consumer" for line in daemon.log_lines("connections.log"))


def test_key_updates_of_a_client_that_reads_nothing_fill_its_outbox_and_end_its_session(
    daemon: Daemon, tmp_path: Path
) -> None:
    before = _cuts(daemon)
    with key_updater(daemon, "bob", tmp_path) as (client, updates):
        sent = 0
        with contextlib.suppress(ConnectionError):
            while _cuts(daemon) == before:
                assert sent < UPDATES_LIMIT, "the client was never cut"
                client.send_tcp(updates.make(UPDATES_AT_ONCE))
                sent += UPDATES_AT_ONCE
        wait_until(lambda: _cuts(daemon) == before + 1, what="the client to be cut as slow")
        client.wait_for_end()


def test_key_updates_count_against_the_rate_limit_and_are_answered(daemon: Daemon, tmp_path: Path) -> None:
    with key_updater(daemon, "gus", tmp_path) as (client, updates):
        client.send_tcp(updates.make(20))
        # Wait for the answers: records that arrive together cost no more than the burst.
        client.sock.recv(1, socket.MSG_PEEK)
        client.send_tcp(updates.make(20))
        # To decrypt this, the client's TLS follows the server's new keys.
        assert client.until(type="slowed")["seconds"] >= 1


def test_a_frame_in_many_tls_records_counts_against_the_rate_limit(daemon: Daemon) -> None:
    with RawClient(daemon.port, daemon.identity("gus")).logged_in() as client:
        # The request costs one token of the burst, and the records the whole burst or more.
        for byte in client.seal(frame({"type": "rooms", "id": 7})):
            client.send_plain(bytes([byte]))
        assert client.until(type="slowed")["seconds"] >= 1


def test_a_request_in_one_tls_record_costs_one_message_however_tcp_cuts_it(daemon: Daemon) -> None:
    """Five requests are the burst, so a charge too many would slow the client down before the sixth."""
    with RawClient(daemon.port, daemon.identity("snail")).logged_in() as client:
        for request_id in range(1, 6):
            data = client.tls_bytes(client.seal(frame({"type": "rooms", "id": request_id})))
            for byte in data:
                client.send_tcp(bytes([byte]))
            assert client.receive()["id"] == request_id
        client.send({"type": "rooms", "id": 6})
        assert client.receive()["type"] == "slowed"
