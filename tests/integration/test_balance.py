"""Connections are spread over the workers: the fuller one lets the others accept."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from chatd.config.schema import Settings
from tests.support.daemon import Daemon, running, wait_until
from tests.support.hub_harness import HubHarness
from tests.support.rawclient import RawClient

SESSIONS = 48


def workers_of(daemon: Daemon, event: str, count: int) -> list[str]:
    """Return the worker of each session that was opened or closed, once there are ``count``."""

    def found() -> list[str]:
        lines = (daemon.home / "logs" / "connections.log").read_text().splitlines()
        return [entry["worker"] for entry in map(json.loads, lines) if entry["event"] == event]

    wait_until(lambda: len(found()) == count)
    return found()


def test_new_connections_go_to_the_worker_that_has_lost_its_own(tmp_path: Path) -> None:
    limits = {"CHATD_LIMITS__SESSIONS_PER_USER": "100", "CHATD_LIMITS__ATTEMPTS_PER_ADDRESS": "1000"}
    with running(tmp_path / "home", **limits) as daemon, ExitStack() as clients:
        identity = daemon.identity("alice", "console")

        def log_in() -> RawClient:
            return clients.enter_context(RawClient(daemon.port, identity)).logged_in()

        first = [log_in() for _ in range(SESSIONS)]
        placed = workers_of(daemon, "session_opened", SESSIONS)
        counts = Counter(placed)
        assert min(counts.values()) >= SESSIONS // 4, counts
        emptied = placed[0]
        for client, worker in zip(first, placed, strict=True):
            if worker == emptied:
                client.sock.close()
        missing = counts[emptied]
        workers_of(daemon, "session_closed", missing)
        for _ in range(missing):
            log_in()
        later = Counter(workers_of(daemon, "session_opened", SESSIONS + missing)[SESSIONS:])
        # Chance would give it half.
        assert later[emptied] >= missing * 0.7, later


def test_the_hub_tells_the_fuller_worker_its_surplus(tmp_path: Path) -> None:
    harness = HubHarness(tmp_path / "data", Settings())
    try:
        for name in ("ann", "ben"):
            harness.ask(harness.operator, 0, "user_add", user=name, device="desk", serial=name[0] * 2)
        first, second = harness.workers
        for sid in range(1, 5):
            assert harness.open_session(first, sid, "ann", "desk", "aa")
        assert (first.surplus, second.surplus) == (2, 0)
        for sid in range(1, 5):
            assert harness.open_session(second, sid, "ben", "desk", "bb")
        assert (first.surplus, second.surplus) == (0, 0)
        for sid in range(1, 4):
            harness.close_session(first, sid)
        assert (first.surplus, second.surplus) == (0, 1)
    finally:
        harness.close()
