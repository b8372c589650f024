"""Load a real hub process over its socket, as a worker does."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509

from chatd.child.unix_socket import connect_unix
from chatd.config.loading import load_settings
from chatd.link.wire import LINK_VERSION, LinkBuffer, pack
from chatd.logs.logfiles import LogFiles
from chatd.proto.frames import HEADER_SIZE, encode
from chatd.supervisor.launch import PYTHON
from chatd.supervisor.listeners import HUB_SOCKET, OPERATOR_SOCKET, listen_hub, make_run_directory
from chatd.supervisor.process import ChildProcess, ChildSpec
from tests.bench.hubload import request
from tests.support.daemon import Daemon, wait_until

SID = 1
RECEIVE_BYTES = 1 << 20
# Messages prepared per second of load; a faster hub runs out of them before the time is up.
MAX_PER_SECOND = 20_000
# The start of a reply's header; nothing else that the hub sends here contains it.
REPLY_PREFIX = b'["reply",'


class SupervisedHub:
    """A hub process of a home that is not running; this process is its supervisor and its only worker."""

    def __init__(self, daemon: Daemon) -> None:
        home = daemon.home
        make_run_directory(home)
        settings = load_settings(home, daemon.environ)
        self._files = LogFiles(home, settings.logging)
        with listen_hub(home) as workers, listen_hub(home, OPERATOR_SOCKET) as operators:
            fds = {"hub_listener": workers.fileno(), "operator_listener": operators.fileno()}
            spec = ChildSpec("hub", "hub", (*PYTHON, "chatd.hub"))
            self._run = ChildProcess(spec, fds, self._files, lambda fd, read: None, lambda fd: None)
        first: dict[str, object] = {"type": "settings", "name": "hub", "home": str(home)}
        first |= {"supervisor": os.getpid(), "workers": {"bench": os.getpid()}}
        self._run.send(first | {"settings": settings.model_dump(mode="json")})

    def stop(self) -> None:
        """Let the hub drain and wait for its end."""
        self._run.send({"type": "drain"})
        wait_until(lambda: self._run.poll() is not None, what="the hub to end")
        self._run.close()
        self._files.close()


class HubFlow:
    """One session with a fixed number of unacknowledged messages. It receives its own messages."""

    def __init__(self, daemon: Daemon) -> None:
        self._hub = SupervisedHub(daemon)
        self._link = connect_unix(daemon.home / HUB_SOCKET)
        self._buffer = LinkBuffer()
        self._number = 0
        certificate = x509.load_pem_x509_certificate(daemon.identity("alice", "console").read_bytes())
        self._send(pack(["hello", LINK_VERSION]))
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

    def stop(self) -> None:
        """Stop the hub."""
        self._hub.stop()

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
    """A hub load on a hub of its own."""
    daemon = Daemon(folder / "home")
    daemon.init()
    flow = HubFlow(daemon)
    try:
        yield flow
    finally:
        flow.stop()
        flow.close()
