"""The processes of the load generator: ``receive`` holds the subscribers, ``send`` the senders.

Each reads JSON commands from standard input, one per line, and answers each with one JSON line. They
share a few numbers in a mapped file, so that the sender keeps within its window.
"""

from __future__ import annotations

import gc
import json
import mmap
import os
import selectors
import struct
import sys
import time
from pathlib import Path
from typing import Any

from tests.bench.dialects import DIALECTS, MARK, STAMP, Dialect, body
from tests.bench.machine import allow_descriptors
from tests.bench.wire_client import Connection

# Slots of the shared file.
DELIVERED, SENT = 0, 1
SHARED_BYTES = 64
# Undelivered messages of all senders when sending flat out: what ngircd's buffers hold.
WINDOW = 256
SENDERS = 4
# A phase ends after this time without a delivery; missing messages are then lost.
STALL_SECONDS = 10.0
# Connections whose messages' numbers and ages are recorded.
SAMPLED = 10


class Shared:
    """Integers in a mapped file; each slot has one writer."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), SHARED_BYTES)

    def get(self, slot: int) -> int:
        value: int = struct.unpack_from("=q", self._map, slot * 8)[0]
        return value

    def set(self, slot: int, value: int) -> None:
        struct.pack_into("=q", self._map, slot * 8, value)


class Receiver:
    """Counts deliveries on all of its connections."""

    def __init__(self, dialect: Dialect, shared: Shared) -> None:
        self._dialect = dialect
        self._shared = shared
        self._connections: list[Connection] = []
        self._selector = selectors.DefaultSelector()
        self._ages: list[float] = []
        self._seen: dict[Connection, list[int]] = {}
        self._sampled: set[Connection] = set()

    def login(self, port: int, first: int, count: int, rooms: int) -> Any:
        start = time.monotonic()
        for number in range(first, first + count):
            room = number % rooms + (1 if rooms > 1 else 0)
            self._connections.append(self._dialect.connect(("127.0.0.1", port), number, room))
        for connection in self._connections[-count:]:
            self._dialect.await_welcome(connection)
        return {"seconds": time.monotonic() - start}

    def subscribe(self, rooms: int) -> Any:
        for number, connection in enumerate(self._connections):
            room = number % rooms + (1 if rooms > 1 else 0)
            self._dialect.subscribe(connection, room)
        for connection in self._connections:
            connection.sock.setblocking(False)
            self._selector.register(connection, selectors.EVENT_READ, connection)
        step = max(1, len(self._connections) // SAMPLED)
        self._sampled = set(self._connections[::step][:SAMPLED])
        self._discard(1.0)
        return {}

    def _discard(self, seconds: float) -> None:
        """Read and drop what joining caused."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                self._read(key.data)
        for connection in self._connections:
            connection.count, connection.tail = 0, b""

    def _read(self, connection: Connection) -> int:
        try:
            data = connection.read()
        except BlockingIOError:
            return 0
        found = data.count(MARK)
        connection.count += found
        if connection in self._sampled:
            self._sample(connection, data)
        return found

    def _sample(self, connection: Connection, data: bytes) -> None:
        now = time.monotonic_ns()
        data = connection.tail + data
        end = 0
        for match in STAMP.finditer(data):
            self._seen.setdefault(connection, []).append(int(match[1]))
            self._ages.append((now - int(match[2])) / 1e6)
            end = match.end()
        connection.tail = data[max(end, len(data) - 64) :]

    def run(self, per_message: int) -> Any:
        """Count deliveries until ``per_message`` have arrived for each message that was sent."""
        total, before, first, last = 0, -1, 0.0, time.monotonic()
        self._ages, self._seen = [], {}
        cpu = time.process_time()
        while True:
            for key, _ in self._selector.select(0.1):
                total += self._read(key.data)
            self._shared.set(DELIVERED, total)
            now = time.monotonic()
            if total and not first:
                first = now
            sent = self._shared.get(SENT)
            if sent and total >= sent * per_message:
                return self._result(total, first, now, sent * per_message, cpu)
            if total != before:
                before, last = total, now
            elif now - last > STALL_SECONDS:
                return self._result(total, first, last, sent * per_message, cpu)

    def _result(self, total: int, first: float, end: float, expected: int, cpu: float) -> Any:
        ages = sorted(self._ages) or [0.0]
        numbers = list(self._seen.values())
        for connection in self._connections:
            connection.count = 0
        return {
            "deliveries": total,
            "lost": max(0, expected - total),
            "doubled": max(0, total - expected) + sum(len(n) - len(set(n)) for n in numbers),
            "seconds": end - first,
            "cpu": time.process_time() - cpu,
            "ages": [round(ages[int(q * (len(ages) - 1) / 1000)], 3) for q in QUANTILES],
        }


# In thousandths; enough for a histogram.
QUANTILES = (0, 100, 250, 500, 750, 900, 950, 990, 995, 999, 1000)


class Sender:
    """Sends on a few connections, at a fixed rate or as fast as the window allows."""

    def __init__(self, dialect: Dialect, shared: Shared) -> None:
        self._dialect = dialect
        self._shared = shared
        self._connections: list[Connection] = []
        self._number = 0

    def login(self, port: int, first: int, rooms: int) -> Any:
        count = SENDERS if rooms == 1 else rooms
        for number in range(count):
            room = number + 1 if rooms > 1 else 0
            connection = self._dialect.connect(("127.0.0.1", port), first + number, room)
            self._dialect.await_welcome(connection)
            self._dialect.prepare_sender(connection, room)
            self._connections.append(connection)
        return {}

    def rate(self, gap: float, count: int, rooms: int) -> Any:
        """Send ``count`` messages, one every ``gap`` seconds."""
        start, cpu, late = time.monotonic(), time.process_time(), 0.0
        for number in range(count):
            wait = start + number * gap - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            late = max(late, -wait)
            self._say(rooms)
        self._shared.set(SENT, count)
        return {"sent": count, "cpu": time.process_time() - cpu, "late": late}

    def flat_out(self, seconds: float, per_message: int, window: int = WINDOW) -> Any:
        """Send as fast as a window of so many undelivered messages allows for ``seconds``."""
        until, cpu, sent = time.monotonic() + seconds, time.process_time(), 0
        while time.monotonic() < until:
            done = self._shared.get(DELIVERED) // per_message
            free = window - (sent - done)
            if free < window // 4:
                time.sleep(0.0005)
                continue
            for _ in range(free):
                self._say(1)
            sent += free
        self._shared.set(SENT, sent)
        return {"sent": sent, "cpu": time.process_time() - cpu}

    def _say(self, rooms: int) -> None:
        number = self._number
        self._number += 1
        connection = self._connections[number % len(self._connections)]
        room = number % rooms + 1 if rooms > 1 else 0
        connection.send(self._dialect.message(room, body(number), number))
        self._discard_replies(connection)

    def _discard_replies(self, connection: Connection) -> None:
        connection.sock.setblocking(False)
        try:
            connection.read_raw()
        except BlockingIOError:
            pass
        finally:
            connection.sock.settimeout(60)


def main(receiver: type[Receiver] = Receiver) -> None:
    """Serve commands until the end of standard input. ``receiver`` may add commands."""
    allow_descriptors()
    role, dialect_name, shared, *identities = sys.argv[1:]
    dialect = DIALECTS[dialect_name]([Path(path) for path in identities])
    handler = {"receive": receiver, "send": Sender}[role](dialect, Shared(Path(shared)))
    gc.disable()
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(handler, command.pop("do"))(**command)
        except (OSError, ValueError, ConnectionError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    os._exit(0)  # skip closing a thousand connections one by one


if __name__ == "__main__":
    main()
