"""What every process of a trial writes down: one JSON object a line, as it happens.

``k`` tells the kind of a line, ``t`` is CLOCK_MONOTONIC, which all processes of the box share.

Clients (one file for each run of the process):
    start  who, run, cursor, durable     the process begins; cursor as kept on disk, or null
    open   head                          welcomed, when the log had reached head
    live   at                            everything up to seq ``at`` was delivered, from here on live
    lagged / gone                        not live any more / no connection
    try    b, r                          about to send body b to room r: from here on it may be in the log
    kept   b                             the client library has taken it (into its outbox on disk)
    ack    b, s, id                      acknowledged as seq s under msg_id id
    no     b, c                          refused with code c
    see    s, e, r, b, f                 event s of kind e in room r; body and sender of messages
    ended  c, why                        ended by itself for good with code c
    gave up                              waited in vain for answers or for the end
    end                                  closed after everything was answered and seen
The admin:
    do     n, op, user, arg              about to ask
    did    n                             acknowledged
    failed n, c                          refused, or the outcome is not known
The harness:
    kill / stop / cont   name, pid, wall  a signal was sent to a process of the server
    back   name, after                   it serves again, so many seconds after the signal
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
    """Appends lines; each is in the kernel when `write` returns, so that kill -9 of the writer loses none."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(self, kind: str, **fields: Any) -> None:
        """One line. Threads may write at the same time."""
        line = {"k": kind, "t": round(time.monotonic(), 4), **fields}
        os.write(self._fd, json.dumps(line, separators=(",", ":")).encode() + b"\n")

    def close(self) -> None:
        os.close(self._fd)


def read_journal(path: Path) -> Iterator[Line]:
    """The lines of a file; a last one that the killed writer did not finish is left out."""
    with path.open("rb") as file:
        for raw in file:
            if raw.endswith(b"\n"):
                yield json.loads(raw)
