"""Watch whether nats-server keeps its store: after an error of the disk it does not, until it starts again.

A full disk is enough for that, and space that comes back is not noticed. Two nodes whose disks were full one
after the other would leave the cluster without a majority.
"""

from __future__ import annotations

import json
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from chatd.cluster.nats_address import STREAM_FOLDER, NatsAddress, read_address
from chatd.logs.logger import get_log

EVERY_SECONDS: Final = 2.0
# Between two starts for this reason: a disk that is broken lets each one fail.
AGAIN_SECONDS: Final = 20.0
# Less than what a hub leaves when it takes its reserve (`chatd.store.reserve`).
NEEDED_BYTES: Final = 2 * 1024 * 1024
_ANSWER_SECONDS: Final = 1.0
_INFO_LIMIT: Final = 64 * 1024

log = get_log("server")
log_errors = get_log("errors")


class StoreWatch:
    """Asks the server of one home from time to time. ``keeps_store`` tells what it says: see the function."""

    def __init__(
        self,
        home: Path,
        clock: Callable[[], float] = time.monotonic,
        keeps_store: Callable[[NatsAddress], bool | None] | None = None,
    ) -> None:
        self._home = home
        self._clock = clock
        self._keeps_store = keeps_store or server_keeps_store
        self._next = clock()
        self._may_end = clock()
        self._told = False

    def wants_restart(self) -> bool:
        """Whether the server is to be started again: it has given up its store, and the disk has space."""
        now = self._clock()
        if now < self._next:
            return False
        self._next = now + EVERY_SECONDS
        try:
            kept = self._keeps_store(read_address(self._home))
        except OSError:
            return False
        if kept is not False:
            self._told = False
            return False
        if not self._told:
            self._told = True
            what = "nats-server has given up the stream's store: the disk is full or broken"
            fix = "free disk space; nats-server is then started again"
            log_errors.error("stream_store_lost", code="E504", what=what, fix=fix)
        if now < self._may_end or not has_space(self._home):
            return False
        self._may_end = now + AGAIN_SECONDS
        log.info("stream_store_again", what="nats-server starts again, so that it keeps the stream")
        return True


def has_space(home: Path) -> bool:
    """Whether the disk of the stream has space for nats-server to start in."""
    try:
        return shutil.disk_usage(home / STREAM_FOLDER).free >= NEEDED_BYTES
    except OSError:
        return False


def server_keeps_store(address: NatsAddress) -> bool | None:
    """Return whether a server says so when somebody connects; None if it says nothing of the kind."""
    try:
        with socket.create_connection((address.host, address.port), _ANSWER_SECONDS) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            with connection.makefile("rb") as lines:
                line = lines.readline(_INFO_LIMIT)
        word, _, told = line.partition(b" ")
        fields: Any = json.loads(told) if word == b"INFO" else None
    except (OSError, ValueError):
        return None
    return bool(fields.get("jetstream")) if isinstance(fields, dict) else None
