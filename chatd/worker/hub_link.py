"""The worker's connection to the hub: requests out from any thread, everything in on the loop.

While the hub is away (it restarts within two seconds) requests wait in their sessions' ``pending``; on
the new link every session is opened again and what may be sent twice is sent again.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from chatd.child.unix_socket import connect_unix
from chatd.link.wire import LINK_VERSION, Header, LinkBuffer, LinkClosedError, pack
from chatd.proto.requests import RequestKind, Spec
from chatd.worker.session import Phase, Session

RECEIVE_BYTES = 256 * 1024


class HubLink:
    """``request``, ``opened`` and ``closed`` may be called from any thread; the rest belongs to the loop."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        self._sock: socket.socket | None = None
        self._incoming = LinkBuffer()
        # Protects _queue, _sock's being set, and every session's pending.
        self._lock = threading.Lock()
        self._queue: list[bytes] = []
        self._unsent = b""
        # Who holds this writes, and owns _unsent. A thread that finds it taken leaves its request in
        # the queue: the holder looks again after letting go. Only the loop ever waits for it, for the
        # length of one non-blocking send, so that a descriptor is not closed under a writer.
        self._duty = threading.Lock()
        # Called when the hub does not take what a reader thread has queued: the loop goes on with it.
        self.on_blocked: Callable[[], None] = lambda: None

    @property
    def connected(self) -> bool:
        """Whether there is a link."""
        return self._sock is not None

    def fileno(self) -> int:
        """For the selector; only while connected."""
        return self._sock.fileno() if self._sock else -1

    def connect(self, sessions: Iterable[Session]) -> bool:
        """Open the link and every session on it; whether that worked.

        The supervisor holds the listening socket, so this succeeds at once even while no hub runs.
        """
        try:
            sock = connect_unix(self._path)
        except OSError:
            return False
        sock.setblocking(False)
        self._incoming = LinkBuffer()
        with self._duty, self._lock:
            self._queue = [pack(["hello", self._name, LINK_VERSION])]
            for session in sessions:
                if session.phase in (Phase.OPENING, Phase.OPEN):
                    self._queue.append(_open_frame(session))
                    for payload, _ in session.pending.values():
                        self._queue.append(pack(["request", session.sid], payload))
            self._unsent = b""
            self._sock = sock
        self.pump()
        return True

    def lost(self, sessions: Iterable[Session]) -> list[tuple[Session, int]]:
        """Close the link; the (session, label) of requests whose outcome nobody knows."""
        unknown: list[tuple[Session, int]] = []
        with self._duty, self._lock:
            if self._sock is not None:
                self._sock.close()
            self._sock = None
            self._queue.clear()
            for session in sessions:
                once = [label for label, (_, again) in session.pending.items() if not again]
                for label in once:
                    self._settle(session, label)
                unknown += [(session, label) for label in once]
        return unknown

    def opened(self, session: Session) -> None:
        """Ask the hub to admit a session."""
        self._put(_open_frame(session))

    def closed(self, session: Session) -> None:
        """Tell the hub that a session has ended."""
        self._put(pack(["close", session.sid]))

    def report_stats(self, stats: dict[str, int]) -> None:
        """Report this worker's counters since its start."""
        self._put(pack(["stats", stats]))

    def request(self, session: Session, label: int, payload: bytes, spec: Spec) -> bool:
        """Queue a request for `send`; False when the label is in use by a request still under way."""
        with self._lock:
            if label in session.pending:
                return False
            session.pending[label] = (payload, spec.repeatable)
            session.pending_bytes += len(payload)
            if spec.kind is RequestKind.READ:
                session.reading = label
            if self._sock is not None:
                self._queue.append(pack(["request", session.sid], payload))
        return True

    def send(self) -> None:
        """Write the requests that are queued: those that were read together leave together."""
        if self._queue and self.pump():
            self.on_blocked()

    def answered(self, session: Session, label: int) -> bool:
        """A reply has come; whether the request was still waiting for it."""
        with self._lock:
            return self._settle(session, label)

    def _settle(self, session: Session, label: int) -> bool:
        known = session.pending.pop(label, None)
        if known is None:
            return False
        session.pending_bytes -= len(known[0])
        if session.reading == label:
            session.reading = 0
        return True

    def receive(self) -> Iterable[tuple[Header, bytes]]:
        """Frames that have arrived. Raises LinkClosedError when the hub is gone."""
        if self._sock is None:
            return []
        try:
            data = self._sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            raise LinkClosedError from None
        if not data:
            raise LinkClosedError
        return self._incoming.feed(data)

    def pump(self) -> bool:
        """Write what is queued, unless another thread is at it; whether something had to be left.

        Many threads' requests leave in one `send` when they arrive while one is written.
        """
        while self._duty.acquire(blocking=False):
            try:
                left = self._write()
            finally:
                self._duty.release()
            # Somebody may have queued between our last look and the release.
            if left or not self._queue:
                return left
        return False

    def _write(self) -> bool:
        while True:
            with self._lock:
                sock = self._sock
                if sock is None:
                    self._unsent = b""
                    return False
                data = self._unsent
                if not data:
                    data = b"".join(self._queue)
                    self._queue.clear()
            if not data:
                return False
            try:
                sent = sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:  # the loop sees the end of the stream too, and reconnects
                return False
            self._unsent = data[sent:]
            if self._unsent:
                return True

    def _put(self, frame: bytes) -> None:
        with self._lock:
            if self._sock is None:
                return  # sessions are opened anew on the next link; closed ones are not
            self._queue.append(frame)
        self.pump()


def _open_frame(session: Session) -> bytes:
    resumed = session.phase is Phase.OPEN
    return pack(
        [
            "open",
            session.sid,
            session.name.user,
            session.name.device,
            session.serial,
            session.address,
            resumed,
        ]
    )
