"""The journal that each process of a trial writes: one JSON object per line, as things happen.

``k`` is the kind of line; ``t`` is CLOCK_MONOTONIC, which all processes of the machine share.

Clients (one file for each run of the process):
    start  who, run, cursor, durable     the process starts; cursor from disk, or null
    open   head, at                      logged in at address ``at`` when the log had reached head
    live   at                            caught up to seq ``at``, live from here on
    lagged / gone                        no longer live / disconnected
    try    b, r                          about to send body b to room r; it may be in the log from here on
    kept   b                             the client library has it, in its outbox on disk if durable
    ack    b, s, id                      acknowledged as seq s under msg_id id
    no     b, c                          refused with code c
    see    s, e, r, b, f                 event s of kind e in room r; body and sender of messages
    ended  c, why                        the client gave up for good with code c
    gave up why, unsent, connected, ...  timed out waiting for answers or for the end
    end                                  closed after it had seen every answer and event
The admin:
    do     n, op, user, arg              about to send the request
    did    n                             acknowledged
    failed n, c                          refused, or of unknown outcome
The harness:
    kill / stop / cont   name, pid, wall  a signal was sent to a process of the server
    back   name, after                   it serves again, ``after`` seconds after the signal
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Line = dict[str, Any]


class Journal:
    """Append lines. `write` returns once the kernel has the line, so a kill -9 of the writer loses none."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(self, kind: str, **fields: Any) -> None:
        """Write one line; safe to call from several threads."""
        line = {"k": kind, "t": round(time.monotonic(), 4), **fields}
        os.write(self._fd, json.dumps(line, separators=(",", ":")).encode() + b"\n")

    def close(self) -> None:
        os.close(self._fd)


def read_journal(path: Path) -> Iterator[Line]:
    """Yield the lines of a file, except an unfinished last one of a killed writer."""
    with path.open("rb") as file:
        for raw in file:
            if raw.endswith(b"\n"):
                yield json.loads(raw)
