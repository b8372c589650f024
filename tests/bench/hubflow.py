"""A real hub process under a real supervisor, loaded over its socket as a worker would load it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509

from chatd.child.unix import connect_unix
from chatd.hub.wire import LinkBuffer, pack
from chatd.proto.frames import HEADER_SIZE, encode
from tests.bench.hubload import request
from tests.support.daemon import Daemon, running

SID = 1
RECEIVE_BYTES = 1 << 20


class HubFlow:
    """One session that always has so many messages under way. It hears what it says itself."""

    def __init__(self, daemon: Daemon) -> None:
        self._link = connect_unix(daemon.home / "run" / "hub.sock")
        self._buffer = LinkBuffer()
        self._number = 0
        self._pid: int = daemon.child("hub")["pid"]
        certificate = x509.load_pem_x509_certificate(daemon.identity("alice", "console").read_bytes())
        self._send(pack(["hello", "bench"]))
        serial = f"{certificate.serial_number:x}"
        self._send(pack(["open", SID, "alice", "console", serial, "127.0.0.1", False]))
        self._send(pack(["request", SID], encode({"type": "resume", "id": 1})[HEADER_SIZE:]))
        while not self.replies():
            pass

    def run(self, window: int, seconds: float) -> float:
        """Messages acknowledged a second, with ``window`` of them under way."""
        until = time.perf_counter() + seconds
        self.say(window)
        done, start = 0, time.perf_counter()
        while (now := time.perf_counter()) < until:
            replies = len(self.replies())
            done += replies
            self.say(replies)
        rate = done / (now - start)
        left = window
        while left:
            left -= len(self.replies())
        return rate

    def close(self) -> None:
        self._link.close()

    def say(self, count: int) -> None:
        """Send so many messages more; their msg_ids and labels count up."""
        first, self._number = self._number, self._number + count
        frames = [pack(["request", SID], request(first + n)[HEADER_SIZE:]) for n in range(count)]
        self._send(b"".join(frames))

    def _send(self, data: bytes) -> None:
        self._link.sendall(data)

    def replies(self) -> list[bytes]:
        """The next replies that arrive, as JSON, without the events. EOFError when the hub has gone."""
        data = self._link.recv(RECEIVE_BYTES)
        if not data:
            raise EOFError
        return [payload[HEADER_SIZE:] for header, payload in self._buffer.feed(data) if header[0] == "reply"]


@contextmanager
def hub_flow(folder: Path) -> Iterator[HubFlow]:
    """A daemon for one benchmark; its own workers stay idle."""
    with running(folder / "home") as daemon:
        flow = HubFlow(daemon)
        try:
            yield flow
        finally:
            flow.close()
