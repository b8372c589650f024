"""The hub's end of its links: non-blocking AF_UNIX connections to workers and to the operator's command."""

from __future__ import annotations

import fcntl
import itertools
import socket
import sys
import termios
from collections.abc import Iterator

from chatd.hub.state.context import Principal
from chatd.link.wire import (
    ENROL_NAME,
    GATEWAY_NAME,
    LINK_VERSION,
    Header,
    LinkBuffer,
    LinkClosedError,
    pack,
    receive_frames,
)
from chatd.logs.logger import get_log

log = get_log("server")

# Bytes that may wait for one worker. A stopped worker is replaced after the heartbeat time-out; until then
# the hub must not run out of memory for it. This is 80,000 events of 400 bytes. Past it the link is cut,
# and the worker's clients resume.
BACKLOG_BYTES = 32 * 1024 * 1024


class UnknownOperationError(Exception):
    """A link has sent an operation that is not its own to send."""


_NO_INT = bytes(4)
_numbers = itertools.count(1)


class Link:
    """One connection: of the worker ``name``, or of the ``operator`` on the box.

    Frames of a ``foreign`` link, whose peer has another version, are ignored. A frame that is sent passes
    three steps: queued, staged with the batch it belongs to, released when that batch is durable.
    """

    def __init__(self, sock: socket.socket, name: str = "", operator: Principal | None = None) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._incoming = LinkBuffer()
        self._begin(name, operator)

    def _begin(self, name: str, operator: Principal | None = None) -> None:
        self.number = next(_numbers)
        self.name = name
        self.operator = operator
        self.foreign = False
        # Sessions above the mean, as the worker was told last.
        self.surplus = 0
        self._queued: list[bytes] = []
        self._staged: list[bytes] = []
        self._released = bytearray()
        # Bytes in all three steps.
        self.backlog = 0

    @property
    def is_worker(self) -> bool:
        """Whether it is one of the workers that share the sessions."""
        return not self.operator and self.name not in (ENROL_NAME, GATEWAY_NAME)

    def hello(self, *version: str) -> None:
        """Take the link version that the worker speaks."""
        if version != (LINK_VERSION,):
            # Keep the link open: the worker would reconnect at once, again and again.
            self.foreign = True
            log.error(
                "link_of_another_version",
                worker=self.name,
                its=", ".join(map(str, version)),
                ours=LINK_VERSION,
                fix="run chatd restart: an update has replaced one of the two only",
            )

    def fileno(self) -> int:
        return self._sock.fileno()

    @property
    def unread(self) -> int:
        """Bytes that have arrived and were not received yet."""
        answer = fcntl.ioctl(self._sock.fileno(), termios.FIONREAD, _NO_INT)
        return int.from_bytes(answer, sys.byteorder)

    def receive(self) -> Iterator[tuple[Header, bytes]]:
        """Yield the frames that have arrived. Raises LinkClosedError at the end or for a bad frame."""
        try:
            yield from receive_frames(self._sock, self._incoming)
        except ValueError:
            raise LinkClosedError from None

    def send(self, header: Header, payload: bytes = b"") -> None:
        """Queue one frame."""
        self.send_packed(pack(header, payload))

    def send_packed(self, data: bytes) -> None:
        """Queue a packed frame; packing it once serves many links."""
        self._queued.append(data)
        self.backlog += len(data)

    def send_at_once(self, header: Header, payload: bytes = b"") -> None:
        """Release one frame before all that wait for a later commit, for what the durable log tells."""
        data = pack(header, payload)
        self._released += data
        self.backlog += len(data)

    def stage(self) -> None:
        """Tie the frames queued so far to the commit that begins now."""
        self._staged += self._queued
        self._queued.clear()

    def release(self) -> None:
        """Allow `write` to send the staged frames; their batch is durable."""
        self._released += b"".join(self._staged)
        self._staged.clear()

    def write(self) -> bool:
        """Send released bytes without blocking; return whether some are left. Raises LinkClosedError."""
        if self._released:
            try:
                sent = self._sock.send(self._released)
            except BlockingIOError:
                sent = 0
            except OSError:
                raise LinkClosedError from None
            del self._released[:sent]
            self.backlog -= sent
        if self.backlog > BACKLOG_BYTES:
            raise LinkClosedError
        return bool(self._released)

    def close(self) -> None:
        self._sock.close()
