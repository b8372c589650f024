"""A flood of connections ends before TLS; everybody behind one address comes back after a restart."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from chatctl.client import Client
from chatd.child.attempts import BURST_SECONDS
from chatd.config.sections import LimitsSection
from chatd.pki.identity import read_identity
from tests.support.daemon import TIMEOUT_SECONDS, Daemon, running, wait_until
from tests.support.rawclient import RawClient

# The time for all to come back. Clients wait ever longer, up to half a minute, before they try again.
RETURN_SECONDS = 120.0


def one_worker(home: Path, attempts: int) -> contextlib.AbstractContextManager[Daemon]:
    return running(
        home,
        CHATD_WORKERS__COUNT="1",
        CHATD_LIMITS__ATTEMPTS_PER_ADDRESS=str(attempts),
        CHATD_LIMITS__SESSIONS_PER_USER="60",
        CHATD_SERVER__MAX_CONNECTIONS="100",
    )


def ended_before_tls(daemon: Daemon, source: str) -> bool:
    """Connect; return whether the server ended the connection before its first byte."""
    with contextlib.suppress(EOFError, OSError), RawClient(daemon.port, source=source) as client:
        # Stops after the client's hello.
        next(client.tls_flights())
        client.sock.settimeout(TIMEOUT_SECONDS)
        return client.sock.recv(1) == b""
    return True


def test_attempts_over_the_limit_end_before_tls_and_are_counted(tmp_path: Path) -> None:
    attempts = 1
    with one_worker(tmp_path / "home", attempts) as daemon:
        identity = daemon.identity("alice", "console")
        with RawClient(daemon.port, identity, source="127.0.7.5") as known:
            known.logged_in()
        began = time.monotonic()
        results = [ended_before_tls(daemon, f"127.0.7.{10 + n}") for n in range(6 * BURST_SECONDS)]
        let_in = results.count(False)
        # That login came before the address was known.
        assert BURST_SECONDS - 1 <= let_in <= attempts * (BURST_SECONDS + time.monotonic() - began) + 1
        assert not any(results[: BURST_SECONDS - 1])
        # Neither another block nor an address that logged in before is affected.
        for source in ("127.0.8.1", "127.0.7.5"):
            with RawClient(daemon.port, identity, source=source) as client:
                assert client.logged_in().ask("ping")["type"] == "ok"

        def count() -> int:
            lines = [r for r in daemon.log_lines("security.log") if r["event"] == "too_many_attempts"]
            assert all(line.get("address", "127.0.7.").startswith("127.0.7.") for line in lines)
            assert all(list(line.get("sources", ["127.0.7.0/24"])) == ["127.0.7.0/24"] for line in lines)
            assert len(lines) < results.count(True) / 2
            return sum(line.get("count", 1) for line in lines)

        wait_until(lambda: count() == results.count(True), what="every attempt to be counted")


def connected_crowd(daemon: Daemon, clients: int, stack: contextlib.ExitStack) -> list[Client]:
    """Start that many clients at once, all from one address; wait until all are connected."""
    identity = read_identity(daemon.identity("alice", "console"))
    crowd = [stack.enter_context(Client(identity)) for _ in range(clients)]
    for client in crowd:
        client.wait_connected(RETURN_SECONDS)
    return crowd


def test_all_clients_behind_one_address_come_back_at_once_after_a_restart(tmp_path: Path) -> None:
    default = LimitsSection().attempts_per_address
    with one_worker(tmp_path / "home", default) as daemon, contextlib.ExitStack() as stack:
        crowd = connected_crowd(daemon, 50, stack)
        daemon.chatd("restart")
        wait_until(lambda: all(client.connected for client in crowd), RETURN_SECONDS, "all to be back")
        assert not [r for r in daemon.log_lines("security.log") if r["event"] == "too_many_attempts"]


def test_clients_over_the_limit_get_in_by_trying_again(tmp_path: Path) -> None:
    # Each new address has two bursts: as one of its block, and as one that logged in.
    with one_worker(tmp_path / "home", 1) as daemon, contextlib.ExitStack() as stack:
        crowd = connected_crowd(daemon, 2 * BURST_SECONDS + 5, stack)
        assert crowd[-1].send("#lobby", "all here").wait(RETURN_SECONDS).seq
