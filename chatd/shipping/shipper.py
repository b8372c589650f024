"""The thread that ships: reads lines, sends them, and notes how far it has got."""

from __future__ import annotations

import json
import random
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import orjson

from chatd.durable_files import PRIVATE, replace_file
from chatd.errors import ChatdError
from chatd.logs.logger import get_log
from chatd.proto.frames import JsonObject
from chatd.shipping.collector_link import CollectorLink
from chatd.shipping.log_follower import LogFollower, LogPosition
from chatd.shipping.syslog_message import syslog_message

log = get_log("server")
log_errors = get_log("errors")

# Pause when there is nothing to read.
POLL_SECONDS = 0.2
# The position is saved at most so often; after a crash the lines since then are sent again.
SAVE_SECONDS = 1.0
BACKOFF_BASE, BACKOFF_LIMIT = 0.5, 60.0
# Processes whose record numbers are remembered.
_MOST_PROCESSES = 200


class Numbers:
    """The records' numbers, which each process counts from 1: they tell how many are missing."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self.missing = 0

    def note(self, line: bytes) -> None:
        """Note a line's number. A process that begins again with 1 misses none."""
        try:
            record = orjson.loads(line)
            process, number = str(record["proc"]), int(record["n"])
        except (ValueError, TypeError, LookupError):
            return
        last = self._last.get(process)
        if last is not None and number > last + 1:
            self.missing += number - last - 1
        if last is not None or len(self._last) < _MOST_PROCESSES:
            self._last[process] = number


class Shipper(threading.Thread):
    """Sends the lines of ``follower`` to the collector, to which ``connect`` opens a link.

    It starts again at the saved position, so that a lost connection loses nothing and may repeat a little:
    `at`, `proc` and `n` tell a repeated record.
    """

    def __init__(
        self, follower: LogFollower, connect: Callable[[], CollectorLink], host: str, state: Path
    ) -> None:
        super().__init__(name="shipper", daemon=True)
        self._follower = follower
        self._connect = connect
        self._host = host
        self._state = state
        self._stopping = threading.Event()
        self._saved: LogPosition | None = follower.position
        self._next_save = 0.0
        self._numbers = Numbers()
        self._skipped = 0
        self._sent = 0
        self._problem = ""
        self._connected = False

    def report(self) -> dict[str, object]:
        """Return what the status shows."""
        return {
            "connected": self._connected,
            "sent": self._sent,
            "missing": self._numbers.missing,
            "problem": self._problem,
        }

    def stop(self, seconds: float) -> None:
        """End after the lines that are there, or after ``seconds``."""
        self._stopping.set()
        self.join(seconds)

    def run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                link = self._connect()
                try:
                    self._note_connected()
                    self._ship(link)
                finally:
                    link.close()
            except (OSError, ChatdError) as error:
                self._note_lost(error)
                self._go_back()
            failures = 0 if time.monotonic() - began > BACKOFF_LIMIT else failures + 1
            limit = min(BACKOFF_LIMIT, BACKOFF_BASE * 2 ** min(failures, 10))
            self._stopping.wait(limit * random.uniform(0.5, 1.0))  # noqa: S311 - spreads reconnects only

    def _go_back(self) -> None:
        """Continue at the saved position: what was sent since may not have arrived."""
        self._follower.close()
        self._follower, self._skipped = LogFollower(self._follower.path, self._saved), 0

    def _ship(self, link: CollectorLink) -> None:
        while True:
            lines = self._follower.read()
            if lines:
                self._note_missing(lines)
                link.send(b"".join(syslog_message(line, self._host) for line in lines))
                self._sent += len(lines)
            elif self._stopping.is_set() and not link.unacknowledged():
                self._save(self._follower.position)
                return
            else:
                link.wait(POLL_SECONDS)
            if time.monotonic() >= self._next_save and not link.unacknowledged():
                self._save(self._follower.position)

    def _note_missing(self, lines: list[bytes]) -> None:
        before = self._numbers.missing
        for line in lines:
            self._numbers.note(line)
        missing = self._numbers.missing - before
        if self._follower.skipped > self._skipped:
            self._skipped = self._follower.skipped
            log_errors.error(
                "log_records_not_shipped",
                at_least=missing,
                why="they were rotated away before the collector took them",
                fix="raise logging.max_bytes or logging.backups, or repair the collector sooner",
            )

    def _note_connected(self) -> None:
        self._connected = True
        self._problem = ""
        log.info("collector_connected")

    def _note_lost(self, error: Exception) -> None:
        why = _why(error)
        if self._connected or why != self._problem:
            log_errors.error("collector_lost", why=why, fix="see docs/monitoring.md, A log collector")
        self._connected, self._problem = False, why

    def _save(self, position: LogPosition | None) -> None:
        self._next_save = time.monotonic() + SAVE_SECONDS
        if position is None or position == self._saved:
            return
        try:
            replace_file(self._state, json.dumps(position.to_json()).encode(), PRIVATE)
        except ChatdError as error:
            self._problem = error.reason
            return  # tried again; at worst lines are sent twice
        self._saved = position


def load_position(state: Path) -> LogPosition | None:
    """Return the saved position; None if there is none or it is damaged."""
    try:
        plain: JsonObject = json.loads(state.read_bytes())
        return LogPosition.from_json(plain)
    except (OSError, ValueError, TypeError, LookupError):
        return None


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the collector's certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {(error.reason or 'the connection was cut').replace('_', ' ').lower()}"
    if isinstance(error, ChatdError):
        return error.reason
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
