"""The load generator's processes: `receive` holds the connections that hear, `send` those that speak.

Each takes one JSON command a line on its standard input and answers with one JSON line. They share a few
numbers in a mapped file, so that the sender never has more than a window of messages under way.
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
# Messages under way when sending flat out, over all senders: what ngircd's buffers hold.
WINDOW = 256
SENDERS = 4
# A phase without a delivery for so long is over; what is missing then is lost.
STALL_SECONDS = 10.0
# Connections on which every message's number and age are looked at.
SAMPLED = 10


class Shared:
    """Numbers that one process writes and another reads."""

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
            self._dialect.welcomed(connection)
        return {"seconds": time.monotonic() - start}

    def hear(self, rooms: int) -> Any:
        for number, connection in enumerate(self._connections):
            room = number % rooms + (1 if rooms > 1 else 0)
            self._dialect.hear(connection, room)
        for connection in self._connections:
            connection.sock.setblocking(False)
            self._selector.register(connection, selectors.EVENT_READ, connection)
        step = max(1, len(self._connections) // SAMPLED)
        self._sampled = set(self._connections[::step][:SAMPLED])
        self._quiet(1.0)
        return {}

    def _quiet(self, seconds: float) -> None:
        """Read away what joining has caused."""
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
            self._look(connection, data)
        return found

    def _look(self, connection: Connection, data: bytes) -> None:
        now = time.monotonic_ns()
        data = connection.tail + data
        end = 0
        for match in STAMP.finditer(data):
            self._seen.setdefault(connection, []).append(int(match[1]))
            self._ages.append((now - int(match[2])) / 1e6)
            end = match.end()
        connection.tail = data[max(end, len(data) - 64) :]

    def run(self, per_message: int) -> Any:
        """Count until all that was sent is here; ``per_message`` deliveries each."""
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


# In thousandths: enough for a histogram.
QUANTILES = (0, 100, 250, 500, 750, 900, 950, 990, 995, 999, 1000)


class Sender:
    """Speaks on a few connections, at a rate or as fast as the window allows."""

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
            self._dialect.welcomed(connection)
            self._dialect.may_send(connection, room)
            self._connections.append(connection)
        return {}

    def rate(self, gap: float, count: int, rooms: int) -> Any:
        """``count`` messages, one each ``gap`` seconds."""
        start, cpu, late = time.monotonic(), time.process_time(), 0.0
        for number in range(count):
            wait = start + number * gap - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            late = max(late, -wait)
            self._say(rooms)
        self._shared.set(SENT, count)
        return {"sent": count, "cpu": time.process_time() - cpu, "late": late}

    def flat_out(self, seconds: float, per_message: int) -> Any:
        """As fast as the window allows."""
        until, cpu, sent = time.monotonic() + seconds, time.process_time(), 0
        while time.monotonic() < until:
            done = self._shared.get(DELIVERED) // per_message
            free = WINDOW - (sent - done)
            if free < WINDOW // 4:
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
        self._forget_replies(connection)

    def _forget_replies(self, connection: Connection) -> None:
        connection.sock.setblocking(False)
        try:
            connection.read_raw()
        except BlockingIOError:
            pass
        finally:
            connection.sock.settimeout(60)


def main(receiver: type[Receiver] = Receiver) -> None:
    """Serve commands until the standard input ends. ``receiver`` may know more of them."""
    allow_descriptors()
    role, dialect_name, shared, *identities = sys.argv[1:]
    dialect = DIALECTS[dialect_name]([Path(path) for path in identities])
    worker = {"receive": receiver, "send": Sender}[role](dialect, Shared(Path(shared)))
    gc.disable()
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(worker, command.pop("do"))(**command)
        except (OSError, ValueError, ConnectionError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    os._exit(0)  # a thousand connections need not be taken apart one by one


if __name__ == "__main__":
    main()
