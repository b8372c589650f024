"""CPU of a message's way in by stage: ``python -m tests.bench.way_in SIZE [--cold]``.

This process is worker and hub, one after the other: TLS, envelope, dispatch, link, decision, commit, write
to the worker. ``SIZE`` messages go together. ``--cold`` overwrites the caches and sleeps before worker and
hub, as on a quiet server. Compare two versions in turns.
"""

from __future__ import annotations

import argparse
import math
import socket
import statistics
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from chatd.hub.hub import Hub
from chatd.hub.links import Link
from chatd.policy.ratelimit import TokenBucket
from chatd.worker.hub_link import HubLink
from chatd.worker.session_reader import SessionReader
from chatd.worker.worker import Worker
from tests.bench.hubload import hub_load, request
from tests.bench.micro import connected, contexts

ROUNDS = 300
# A user may not have many more.
SESSIONS = 5
# More than the caches of a core.
COLD_BYTES = 16 * 1024 * 1024
COLD_SECONDS = 0.003
STAGES = ("worker", "decide", "commit", "write", "all")


def main() -> None:
    """Print the medians of the stages."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.way_in")
    parser.add_argument("size", type=int)
    parser.add_argument("--cold", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="way-in-", dir="/dev/shm") as name:
        folder = Path(name)
        with hub_load(folder) as load:
            rows = _rounds(load.hub, folder, options.size, cold=options.cold)
    medians = (statistics.median(column) for column in zip(*rows, strict=True))
    print(", ".join(f"{stage} {micros:.1f}" for stage, micros in zip(STAGES, medians, strict=True)))


def _rounds(hub: Hub, folder: Path, size: int, *, cold: bool) -> list[list[float]]:
    """Return microseconds of CPU a message for each round and stage."""
    path = folder / "hub.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        hub_link = HubLink(path)
        hub_link.connect([])
        link = Link(listener.accept()[0], "worker-1")
    hub.links.clear()
    hub.links[link.number] = link
    hub.take(link, link.receive())
    server, client = contexts(folder)
    # Never connected: the bytes that it would return are passed to the reader.
    sock = socket.socket()
    peers = [connected(sid, sock, server, client) for sid in range(1, min(size, SESSIONS) + 1)]
    for session, _send in peers:
        session.bucket = TokenBucket(rate=math.inf, burst=math.inf)
        hub.take(link, [(["open", session.sid, "bob", "b", "1", "127.0.0.1", False], b"")])
    hub.recorder.commit()
    link.write()
    list(hub_link.receive())
    # The part of a worker that a reader thread uses.
    reader = SessionReader(cast(Worker, SimpleNamespace(hub=hub_link)))
    rows, number, waste = [], 0, bytearray(COLD_BYTES)
    for _ in range(ROUNDS):
        arrived = []
        for index in range(size):
            session, protected = peers[index % len(peers)]
            arrived.append((session, protected(request(number))))
            number += 1

        def cool() -> None:
            if cold:
                waste[:] = bytes(COLD_BYTES)
                time.sleep(COLD_SECONDS)

        cool()
        times = [time.thread_time()]
        for session, data in arrived:
            reader._take(session, data)
        times.append(time.thread_time())
        cool()
        times.append(time.thread_time())
        hub.take(link, link.receive())
        times.append(time.thread_time())
        hub.before_commit()
        hub.recorder.commit()
        times.append(time.thread_time())
        link.write()
        times.append(time.thread_time())
        for header, _payload in hub_link.receive():
            if header[0] == "reply":
                hub_link.answered(peers[header[1] - 1][0], header[2])
        start, read, began, decided, committed, written = times
        stages = [read - start, decided - began, committed - decided, written - committed]
        rows.append([1e6 * seconds / size for seconds in (*stages, sum(stages))])
    return rows


if __name__ == "__main__":
    main()
