"""Eight sessions that search as much as they may delay nobody's history, and get a clear refusal."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from chatd.hub.query_threads import SEARCHES_PER_USER
from chatd.store.search_index import SEARCH_NAME
from tests.support.daemon import Daemon, wait_until
from tests.support.rawclient import RawClient
from tests.support.under_attack import daemon_under_attack, lift_rate_limits, log_in

SEARCH_ID = 1_000
SESSIONS = 8
# SQLite's read locks in the -shm file of a write-ahead log (sqlite.org/walformat.html, "locking").
_READ_LOCKS_AT, _READ_LOCKS = 123, 5


@contextmanager
def searches_stuck(daemon: Daemon) -> Iterator[None]:
    """Keep every search from reading the index, so that it lasts as long as the test wants."""
    locks = daemon.home / "data" / f"{SEARCH_NAME}-shm"
    wait_until(locks.exists, what="the search index")
    with locks.open("r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX, _READ_LOCKS, _READ_LOCKS_AT)
        yield


def start_search(client: RawClient) -> None:
    """Send a search and return when the hub has taken it."""
    client.send({"type": "search", "id": SEARCH_ID, "query": "needle"})
    assert client.ask("rooms")["type"] == "ok"


def test_eight_sessions_that_search_leave_history_answered(tmp_path: Path) -> None:
    with (
        daemon_under_attack(tmp_path / "home", lift_rate_limits, "bob", "carol") as daemon,
        ExitStack() as stack,
    ):
        bobs = [stack.enter_context(log_in(daemon, "bob")) for _ in range(SESSIONS)]
        carol = stack.enter_context(log_in(daemon, "carol"))
        carol.say("needle in hay")
        with searches_stuck(daemon):
            searching, refused = bobs[:SEARCHES_PER_USER], bobs[SEARCHES_PER_USER:]
            for client in searching:
                start_search(client)
            for client in refused:
                assert client.ask("search", query="needle")["code"] == "E414"
            for _ in range(3):
                page = carol.ask("history", room="#lobby")
                assert page["result"]["events"][-1]["body"] == "needle in hay"
            # bob's history is not behind his searches either.
            assert refused[0].ask("history", room="#lobby")["type"] == "ok"
            start_search(carol)
        # Had they ended before the index could be read again, they would have found nothing.
        for client in (*searching, carol):
            result = client.until(id=SEARCH_ID)["result"]
            assert [event["body"] for event in result["events"]] == ["needle in hay"]
            assert (result["more"], result["partial"]) == (False, False)
        # Whoever was refused may search again.
        assert refused[0].ask("search", query="needle")["type"] == "ok"
