"""The hub's end of its AF_UNIX connections: bytes in, bytes out, never waiting."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator

from chatd.link.wire import LINK_VERSION, Header, LinkBuffer, LinkClosedError, pack
from chatd.logs.logger import get_log

log = get_log("server")

RECEIVE_BYTES = 256 * 1024
# What may wait for one worker. A worker that is stopped (SIGSTOP) is replaced after the heartbeat
# time-out; until then the hub must not run out of memory for it. At 400 bytes an event this is
# 80,000 events; past it the link is cut and the worker's clients resume.
BACKLOG_BYTES = 32 * 1024 * 1024

_numbers = itertools.count(1)


class Link:
    """One connection. ``name`` is the worker's; ``operator`` marks the box's own command; nothing of a
    ``foreign`` one, of another version, is carried out."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.number = next(_numbers)
        self.name = ""
        self.operator = False
        self.foreign = False
        self.counts: dict[str, int] = {}
        self._sock = sock
        self._incoming = LinkBuffer()
        self._outgoing: list[bytes] = []
        self._held: list[bytes] = []
        self._unsent = bytearray()
        # Bytes that wait to be written.
        self.backlog = 0

    def hello(self, name: str, *version: str) -> None:
        """The worker says who it is."""
        self.name = name
        if version != (LINK_VERSION,):
            # Kept open: cut, it would be back at once, again and again, and be no less foreign.
            self.foreign = True
            log.error(
                "link_of_another_version",
                worker=name,
                its=", ".join(map(str, version)),
                ours=LINK_VERSION,
                fix="run chatd restart: an update has replaced one of the two only",
            )

    def fileno(self) -> int:
        """For the selector."""
        return self._sock.fileno()

    def receive(self) -> Iterator[tuple[Header, bytes]]:
        """Frames that have arrived. Raises LinkClosedError at the end of the stream or a bad frame."""
        try:
            data = self._sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            raise LinkClosedError from None
        if not data:
            raise LinkClosedError
        try:
            yield from self._incoming.feed(data)
        except ValueError:
            raise LinkClosedError from None

    def send(self, header: Header, payload: bytes = b"") -> None:
        """Put one frame in the queue."""
        self.send_packed(pack(header, payload))

    def send_packed(self, data: bytes) -> None:
        """The same for a frame that was packed once for many links."""
        self._outgoing.append(data)
        self.backlog += len(data)

    def hold(self) -> None:
        """What is queued so far goes out with the next `release`, what comes from now on with a later one."""
        self._held += self._outgoing
        self._outgoing.clear()

    def release(self) -> None:
        """Let go what was held: it is durable."""
        self._unsent += b"".join(self._held)
        self._held.clear()

    def write(self) -> bool:
        """Write of what was let go what the socket takes; whether some is left. Raises LinkClosedError."""
        if self._unsent:
            try:
                sent = self._sock.send(self._unsent)
            except BlockingIOError:
                sent = 0
            except OSError:
                raise LinkClosedError from None
            del self._unsent[:sent]
            self.backlog -= sent
        if self.backlog > BACKLOG_BYTES:
            raise LinkClosedError
        return bool(self._unsent)

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()
