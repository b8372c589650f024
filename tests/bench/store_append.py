"""Compare messages per second of the hub with rows per second of its log and of bare SQLite.

    python -m tests.bench.store_append [SECONDS]      # prints one JSON object per batch size

The hub runs in a separate process. Over its socket, a batch of messages is unacknowledged at any time;
each is decoded, decided, committed, marked, answered and fanned out.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import apsw

from chatd.store.entry import Entry
from chatd.store.event_log import EventLog
from tests.bench.hubflow import hub_flow
from tests.support.storelog import NOW, entries

BATCHES = (1, 10, 100, 256)
ROUNDS = 4


def _rate(append: Callable[[list[Entry]], None], batch: int, first: int, seconds: float) -> tuple[float, int]:
    """Return rows per second, and the next free seq."""
    done, busy = 0, 0.0
    while busy < seconds:
        rows = entries(first + done, batch)
        start = time.perf_counter()
        append(rows)
        busy += time.perf_counter() - start
        done += batch
    return done / busy, first + done


def _bare(path: Path) -> Callable[[list[Entry]], None]:
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "FULL")
    connection.pragma("wal_autocheckpoint", 4_000)  # the log's setting
    connection.pragma("cache_size", -65_536)
    connection.execute("""
        CREATE TABLE events(seq INTEGER PRIMARY KEY, at, kind, room, device, msg_id, digest, body);
        CREATE UNIQUE INDEX ids ON events(device, msg_id);
        CREATE INDEX rooms ON events(room)""")

    def append(rows: list[Entry]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO events VALUES(?, ?, ?, ?, ?, ?, ?, ?)", rows)
        connection.execute("COMMIT")

    return append


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    with tempfile.TemporaryDirectory() as folder, hub_flow(Path(folder)) as flow:
        log = EventLog.open(Path(folder) / "data", now=NOW)
        bare = _bare(Path(folder) / "bare.db")
        next_bare = 1
        for batch in BATCHES:
            # Interleaved, so that a slow moment of the disk affects all three.
            log_rate = bare_rate = hub_rate = 0.0
            for _ in range(ROUNDS):
                log_rate += _rate(log.append, batch, log.head + 1, seconds / ROUNDS)[0] / ROUNDS
                hub_rate += flow.run(batch, seconds / ROUNDS) / ROUNDS
                rate, next_bare = _rate(bare, batch, next_bare, seconds / ROUNDS)
                bare_rate += rate / ROUNDS
            result = {
                "batch": batch,
                "hub": round(hub_rate),
                "log": round(log_rate),
                "bare": round(bare_rate),
                "hub_ratio": round(hub_rate / bare_rate, 2),
                "ratio": round(log_rate / bare_rate, 2),
            }
            sys.stdout.write(json.dumps(result) + "\n")
            sys.stdout.flush()
        log.close()


if __name__ == "__main__":
    main()
