"""The worker's end of its link: any thread queues requests, the loop receives replies and events.

While the hub restarts (within two seconds), requests wait in their sessions' ``pending``. On the new link
every session is opened again, and repeatable requests are sent again, once.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from chatd.child.unix_socket import connect_unix
from chatd.link.wire import LINK_VERSION, Header, LinkBuffer, pack, receive_frames
from chatd.proto.requests import RequestKind, Spec
from chatd.worker.session import ForwardedRequest, SessionPhase, WorkerSession

# A repeatable request is sent again once: if the hub dies under it twice, it may be the cause.
REPEATABLE_SENDS = 2


class HubLink:
    """Any thread may call `request`, `send`, `charge`, `ask`, `opened`, `closed`; the loop calls the rest."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sock: socket.socket | None = None
        self._incoming = LinkBuffer()
        # Protects _queue, assignments of _sock, and every session's pending requests.
        self._lock = threading.Lock()
        self._queue: list[bytes] = []
        self._unsent = b""
        # Protects _unsent and the right to write. A thread that finds it taken leaves its request in the
        # queue, which the holder checks again after releasing. Only the loop ever waits for it, for one
        # non-blocking send, so that it does not close a descriptor that is being written to.
        self._writing = threading.Lock()
        # Called when the hub's socket is full; the loop then goes on writing.
        self.on_write_blocked: Callable[[], None] = lambda: None

    @property
    def connected(self) -> bool:
        return self._sock is not None

    def fileno(self) -> int:
        return self._sock.fileno() if self._sock else -1

    def connect(self, sessions: Iterable[WorkerSession]) -> bool:
        """Open the link and every session on it; return whether that worked.

        The supervisor owns the listening socket, so this succeeds even while no hub runs.
        """
        try:
            sock = connect_unix(self._path)
        except OSError:
            return False
        sock.setblocking(False)
        self._incoming = LinkBuffer()
        with self._writing, self._lock:
            self._queue = [pack(["hello", LINK_VERSION])]
            for session in sessions:
                if session.phase in (SessionPhase.OPENING, SessionPhase.OPEN):
                    self._queue.append(_open_frame(session))
                    for pending in session.pending.values():
                        pending.sends_left -= 1
                        self._queue.append(pack(["request", session.sid], pending.payload))
            self._unsent = b""
            self._sock = sock
        self.write_queued()
        return True

    def disconnect(self, sessions: Iterable[WorkerSession]) -> list[tuple[WorkerSession, int, RequestKind]]:
        """Close the link; return session, request_id and kind of every request with an unknown outcome."""
        unknown: list[tuple[WorkerSession, int, RequestKind]] = []
        with self._writing, self._lock:
            if self._sock is not None:
                self._sock.close()
            self._sock = None
            self._queue.clear()
            for session in sessions:
                spent = [
                    (key, pending.kind) for key, pending in session.pending.items() if not pending.sends_left
                ]
                for request_id, kind in spent:
                    self._take_pending(session, request_id)
                    unknown.append((session, request_id, kind))
        return unknown

    def opened(self, session: WorkerSession) -> None:
        """Ask the hub to admit a session."""
        self._put(_open_frame(session))

    def closed(self, session: WorkerSession) -> None:
        """Tell the hub that a session has ended."""
        self._put(pack(["close", session.sid]))

    def charge(self, session: WorkerSession, tokens: float) -> None:
        """Tell the hub of tokens taken for what it never sees: pings, and frames that are no requests."""
        self._put(pack(["charge", session.sid, tokens]))

    def ask(self, question: Header) -> bool:
        """Send a question, for any thread; return whether there was a hub to send it to."""
        connected = self._sock is not None
        self._put(pack(question))
        return connected

    def report_stats(self, stats: dict[str, int]) -> None:
        """Report this worker's counters since its start."""
        self._put(pack(["stats", stats]))

    def request(self, session: WorkerSession, request_id: int, payload: bytes, spec: Spec) -> bool:
        """Queue a request for `send`; return False if a request under way has its id."""
        with self._lock:
            if request_id in session.pending:
                return False
            sends_left = REPEATABLE_SENDS if spec.repeatable else 1
            sends_left -= self._sock is not None
            session.pending[request_id] = ForwardedRequest(payload, spec.kind, sends_left)
            session.pending_bytes += len(payload)
            if spec.kind is RequestKind.READ:
                session.read_request_id = request_id
            if self._sock is not None:
                self._queue.append(pack(["request", session.sid], payload))
        return True

    def send(self) -> None:
        """Write the queued requests; those that were read together leave together."""
        if self._queue and self.write_queued():
            self.on_write_blocked()

    def answered(self, session: WorkerSession, request_id: int) -> bool:
        """Note a reply; return whether its request was still waiting."""
        with self._lock:
            return self._take_pending(session, request_id)

    def _take_pending(self, session: WorkerSession, request_id: int) -> bool:
        pending = session.pending.pop(request_id, None)
        if pending is None:
            return False
        session.pending_bytes -= len(pending.payload)
        if session.read_request_id == request_id:
            session.read_request_id = 0
        return True

    def receive(self) -> Iterable[tuple[Header, bytes]]:
        """Return the frames that have arrived. Raises LinkClosedError, ValueError."""
        return receive_frames(self._sock, self._incoming) if self._sock else []

    def write_queued(self) -> bool:
        """Write the queue unless another thread does; return whether the socket left some unsent.

        Requests that arrive during one write leave together in the next.
        """
        while self._writing.acquire(blocking=False):
            try:
                left = self._write()
            finally:
                self._writing.release()
            # A thread may have queued between the last check and the release.
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
            except OSError:  # the loop notices too, and reconnects
                return False
            self._unsent = data[sent:]
            if self._unsent:
                return True

    def _put(self, frame: bytes) -> None:
        with self._lock:
            if self._sock is None:
                return  # the next link opens the live sessions anew
            self._queue.append(frame)
        self.write_queued()


def _open_frame(session: WorkerSession) -> bytes:
    resumed = session.phase is SessionPhase.OPEN
    return pack(
        [
            "open",
            session.sid,
            session.who.user,
            session.who.device,
            session.serial,
            session.address,
            resumed,
            session.key,
            round(session.valid_until * 1000),
        ]
    )
