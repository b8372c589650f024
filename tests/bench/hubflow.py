"""Load a real hub process over its socket, as a worker does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509

from chatd.child.unix_socket import connect_unix
from chatd.link.wire import LINK_VERSION, LinkBuffer, pack
from chatd.proto.frames import HEADER_SIZE, encode
from tests.bench.hubload import request
from tests.support.daemon import Daemon, running

SID = 1
RECEIVE_BYTES = 1 << 20
# Messages prepared per second of load; a faster hub runs out of them before the time is up.
MAX_PER_SECOND = 20_000
# The start of a reply's header; nothing else that the hub sends here contains it.
REPLY_PREFIX = b'["reply",'


class HubFlow:
    """One session with a fixed number of unacknowledged messages. It receives its own messages."""

    def __init__(self, daemon: Daemon) -> None:
        self._link = connect_unix(daemon.home / "run" / "hub.sock")
        self._buffer = LinkBuffer()
        self._number = 0
        self._pid: int = daemon.child("hub")["pid"]
        certificate = x509.load_pem_x509_certificate(daemon.identity("alice", "console").read_bytes())
        self._send(pack(["hello", "bench", LINK_VERSION]))
        serial = f"{certificate.serial_number:x}"
        self._send(pack(["open", SID, "alice", "console", serial, "127.0.0.1", False]))
        self._send(pack(["request", SID], encode({"type": "resume", "id": 1})[HEADER_SIZE:]))
        while not self.replies():
            pass

    def run(self, window: int, seconds: float) -> float:
        """Return acknowledged messages per second, with ``window`` messages unacknowledged at any time.

        Messages are prepared beforehand and replies only counted, because on hyper-threads of one core
        the hub loses the time that this process uses.
        """
        frames = self._frames(window + round(seconds * MAX_PER_SECOND))
        chunks: list[bytes] = []
        done, sent, tail, start = 0, window, b"", time.perf_counter()
        self._send(b"".join(frames[:window]))
        while time.perf_counter() - start < seconds and sent < len(frames):
            replies, tail = self._count(chunks, tail)
            done += replies
            self._send(b"".join(frames[sent : sent + replies]))
            sent += replies
        rate = done / (time.perf_counter() - start)
        while done < min(sent, len(frames)):
            replies, tail = self._count(chunks, tail)
            done += replies
        # Keep the buffer in step for the next call of `replies`.
        for _ in self._buffer.feed(b"".join(chunks)):
            pass
        return rate

    def _count(self, chunks: list[bytes], tail: bytes) -> tuple[int, bytes]:
        data = self._receive()
        chunks.append(data)
        return (tail + data).count(REPLY_PREFIX), data[1 - len(REPLY_PREFIX) :]

    def close(self) -> None:
        self._link.close()

    def say(self, count: int) -> None:
        """Send ``count`` more messages; msg_ids and request ids count up."""
        self._send(b"".join(self._frames(count)))

    def _frames(self, count: int) -> list[bytes]:
        first, self._number = self._number, self._number + count
        return [pack(["request", SID], request(first + n)[HEADER_SIZE:]) for n in range(count)]

    def _send(self, data: bytes) -> None:
        self._link.sendall(data)

    def replies(self) -> list[bytes]:
        """Wait for data and return the replies in it as JSON. Raises EOFError when the hub is gone."""
        found = self._buffer.feed(self._receive())
        return [payload[HEADER_SIZE:] for header, payload in found if header[0] == "reply"]

    def _receive(self) -> bytes:
        data = self._link.recv(RECEIVE_BYTES)
        if not data:
            raise EOFError
        return data


@contextmanager
def hub_flow(folder: Path) -> Iterator[HubFlow]:
    """A hub load on a new daemon, whose own workers stay idle."""
    with running(folder / "home") as daemon:
        flow = HubFlow(daemon)
        try:
            yield flow
        finally:
            flow.close()
