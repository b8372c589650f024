"""Another program locks the log: the hub waits for it, and says who it is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from chatctl.client import Client
from chatd.errors import ChatdError
from chatd.hub.upkeep import REMNANT_SECONDS, Remnants
from chatd.pki.identity import read_identity
from chatd.store.database import LONG_WAL_PAGES, PAGE_BYTES, is_locked
from chatd.store.event_log import EventLog
from chatd.store.log_files import wal_held
from chatd.store.search_index import SearchIndex
from tests.support.daemon import Daemon, running, wait_until
from tests.support.storelog import NOW, entry, filled

HEARTBEAT_SECONDS = 2
# Longer than the heartbeat and SQLite's own waiting.
HOLD_SECONDS = 5
_HOLD = """import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute(sys.argv[2])
database.execute("SELECT max(seq) FROM events").fetchall()
print("locked", flush=True)
sys.stdin.read()
database.execute("ROLLBACK")
"""


@contextmanager
def locked(database: Path, how: str = "BEGIN IMMEDIATE") -> Iterator[int]:
    """Lock a database in another process, whose pid is yielded."""
    command = [sys.executable, "-c", _HOLD, str(database), how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "locked\n"
        try:
            yield process.pid
        finally:
            process.stdin.close()


def test_the_hub_waits_for_the_lock_and_names_its_holder(tmp_path: Path) -> None:
    with running(tmp_path / "home", CHATD_WORKERS__HEARTBEAT_TIMEOUT=str(HEARTBEAT_SECONDS)) as daemon:
        bob = read_identity(daemon.add_user("bob"))
        with Client(bob) as client:
            client.send("#lobby", "before").wait(30)
            with locked(daemon.home / "data" / "events.db") as pid:
                began = time.monotonic()
                pending = client.send("#lobby", "while it is locked")
                words = f"(pid {pid}) has locked"
                wait_until(lambda: words in daemon.chatd("status").stdout, what="the status")
                checked = daemon.chatd("check", check=False).stdout
                assert words in checked
                assert "free disk space" not in checked
                wait_until(lambda: time.monotonic() > began + HOLD_SECONDS, what="the lock's time")
                assert pending.state == "pending"
            assert pending.wait(30).seq
            assert client.connected
        wait_until(lambda: "has locked" not in daemon.chatd("status").stdout, what="the status")
        assert daemon.child("hub")["restarts"] == 0
        events = [line["event"] for line in daemon.log_lines() if line["event"].startswith("log_")]
        assert [event for event in events if "locked" in event] == ["log_locked", "log_unlocked"]


def test_a_hub_that_starts_waits_for_the_lock_and_stops_meanwhile(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        with locked(daemon.home / "data" / "events.db"):
            os.kill(daemon.child("hub")["pid"], 9)
            wait_until(lambda: _logged(daemon, "log_locked"), what="the log line")
        wait_until(lambda: daemon.child("hub")["state"] == "running", what="the hub")
        assert daemon.child("hub")["restarts"] == 1
        with locked(daemon.home / "data" / "events.db"):
            daemon.chatd("stop")


def _logged(daemon: Daemon, event: str) -> bool:
    return any(line["event"] == event for line in daemon.log_lines())


def test_a_locked_log_takes_no_snapshot_and_is_closed(tmp_path: Path) -> None:
    log = filled(tmp_path / "data", 5)
    with locked(tmp_path / "data" / "events.db"):
        assert not log.try_begin()
        assert not log.save_snapshot(5, b"{}")
        assert not log.checkpoint()
    log.append([entry(6)])
    log.close()
    with locked(tmp_path / "data" / "events.db"), pytest.raises(ChatdError, match="has locked") as caught:
        EventLog.open(tmp_path / "data", now=NOW)
    assert is_locked(caught.value)


def test_a_long_read_is_reported_and_the_log_emptied_after_it(tmp_path: Path) -> None:
    data, now = tmp_path / "data", NOW / 1000
    log = filled(data, 5)
    remnants = Remnants(log, lambda: now)

    def due() -> bool:
        return remnants.due

    with locked(data / "events.db", "BEGIN"):
        seq = 6
        while not log.wal_is_due:
            log.append([entry(n, text="x" * 8000) for n in range(seq, seq + 500)])
            seq += 500
        assert (data / "events.db-wal").stat().st_size >= LONG_WAL_PAGES * PAGE_BYTES
        assert "keeps events.db open" in wal_held(data)
        assert due()
        remnants.remove()
        assert not due(), "the next attempt waits"
        assert wal_held(data)
    now += REMNANT_SECONDS
    assert due()
    remnants.remove()
    assert not wal_held(data)
    assert not due()
    log.close()


def test_a_locked_search_index_is_called_locked(tmp_path: Path) -> None:
    filled(tmp_path / "data", 5).close()
    index = SearchIndex(tmp_path / "data")
    index.catch_up(2)
    other = apsw.Connection(str(tmp_path / "data" / "search.db"))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(ChatdError, match="another program has locked") as caught:
        index.catch_up(2)
    assert "disk" not in caught.value.fix
    other.execute("ROLLBACK")
    assert index.catch_up(2)
    other.close()
    index.close()
