"""How long a hub takes to be back on a log of a million events: killed at once, and killed late."""

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
from tests.chaos.stage import Stage
from tests.chaos.summary import spread

BATCH = 1_000
STARTS = 10


def run(folder: Path, *, events: int, seed: int) -> dict[str, Any]:
    """Fill a log with ``events`` messages of 100 bytes, then kill its hub again and again; seconds."""
    stage = Stage(folder / "home", Journal(folder / "faults.jsonl"))
    stage.daemon.init()
    fill(stage.home / "data", events)
    began = time.monotonic()
    stage.keep()
    try:
        stage.wait_running()
        first = time.monotonic() - began
        for _ in range(STARTS):
            time.sleep(2.0)  # healthy for a while: the restart is not delayed
            stage.kill(["hub"])
        stage.strike(["supervisor"], SIGKILL)
        stage.wait_running()
        recovered = [line["seconds"] for line in stage.daemon.log_lines() if line["event"] == "recovered"]
    finally:
        stage.stop()
    return {
        "trial": "bigstart",
        "seed": seed,
        "events": events,
        "first_start": round(first, 3),
        "recovering": {"first": recovered[0], "later": spread(recovered[1:])},
        "hub_back": spread(stage.recovered["hub"]),
        "findings": {},
    }


def fill(data: Path, count: int) -> None:
    """Make a log that has ``count`` events, as fast as it goes."""
    log = EventLog.open(data, now=clock())
    while log.head < count:
        log.append([_message(seq) for seq in range(log.head + 1, log.head + 1 + BATCH)])
    log.close()


def _message(seq: int) -> Entry:
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
