"""Time the hub's recovery on a log of a million events: the first start, and starts after a kill."""

from __future__ import annotations

import json
import time
from pathlib import Path
from signal import SIGKILL
from typing import Any

from chatd.hub.recovery import clock
from chatd.store.entry import Entry
from chatd.store.event_log import EventLog
from tests.chaos.journal import Journal
from tests.chaos.summary import spread
from tests.chaos.trial_server import TrialServer

BATCH = 1_000
STARTS = 10


def run(folder: Path, *, events: int, seed: int) -> dict[str, Any]:
    """Fill a log with ``events`` messages of 100 bytes, then kill its hub repeatedly. Times in seconds."""
    server = TrialServer(folder / "home", Journal(folder / "faults.jsonl"))
    server.daemon.init()
    fill(server.home / "data", events)
    began = time.monotonic()
    server.keep_running()
    try:
        server.wait_until_running()
        first = time.monotonic() - began
        for _ in range(STARTS):
            time.sleep(2.0)  # long enough to count as healthy, so that the restart is not delayed
            server.kill(["hub"])
        server.strike(["supervisor"], SIGKILL)
        server.wait_until_running()
        recovered = [line["seconds"] for line in server.daemon.log_lines() if line["event"] == "recovered"]
    finally:
        server.stop()
    return {
        "trial": "bigstart",
        "seed": seed,
        "events": events,
        "first_start": round(first, 3),
        "recovering": {"first": recovered[0], "later": spread(recovered[1:])},
        "hub_back": spread(server.recovered["hub"]),
        "findings": {},
    }


def fill(data: Path, count: int) -> None:
    """Fill the log in ``data`` up to ``count`` events."""
    log = EventLog.open(data, now=clock())
    while log.head < count:
        log.append([long_message(seq) for seq in range(log.head + 1, log.head + 1 + BATCH)])
    log.close()


def long_message(seq: int) -> Entry:
    now = clock()
    event = {
        "type": "message",
        "seq": seq,
        "at": now,
        "room": "#lobby",
        "user": "alice",
        "device": "console",
        "role": "admin",
        "msg_id": f"{seq:032x}",
        "kind": "text",
        "body": f"alice-{seq} ".ljust(100, "x"),
    }
    body = json.dumps(event, separators=(",", ":")).encode()
    msg_id = seq.to_bytes(16, "big")
    return Entry(seq, now, "message", "#lobby", "alice/console", msg_id, msg_id, body)
