"""Messages per second of the hub, rows per second of its log, and of bare SQLite in the same batches.

The hub is a process of its own under load: as many messages as the batch has are always under way, over
its socket and the whole way: decode, decide, commit, mark, reply, fan out.

Run: python -m tests.bench.store_append [SECONDS]. Prints one JSON object per batch size.
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
TURNS = 4


def _rate(append: Callable[[list[Entry]], None], batch: int, first: int, seconds: float) -> tuple[float, int]:
    """Rows per second, and the next free seq."""
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
    connection.pragma("wal_autocheckpoint", 4_000)  # as the log has it
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
            # Turn and turn about, so that a slow moment of the disk hits all.
            ours = theirs = hub = 0.0
            for _ in range(TURNS):
                ours += _rate(log.append, batch, log.head + 1, seconds / TURNS)[0] / TURNS
                hub += flow.run(batch, seconds / TURNS) / TURNS
                rate, next_bare = _rate(bare, batch, next_bare, seconds / TURNS)
                theirs += rate / TURNS
            result = {
                "batch": batch,
                "hub": round(hub),
                "log": round(ours),
                "bare": round(theirs),
                "hub_ratio": round(hub / theirs, 2),
                "ratio": round(ours / theirs, 2),
            }
            sys.stdout.write(json.dumps(result) + "\n")
            sys.stdout.flush()
        log.close()


if __name__ == "__main__":
    main()
