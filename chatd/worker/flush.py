"""The only place that writes to client sockets after login: seal, encrypt and send the outboxes.

Everything here runs in the worker's loop. One flush seals all that waits for a connection as one envelope
record, with one TLS write and one `send`, so the cost is per connection and iteration, not per message.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Sequence

from chatd.crashpoints import crash_point
from chatd.errors import ChatdError
from chatd.proto.frames import FRAME_LIMIT
from chatd.worker.session import SessionPhase, WorkerSession

# Connections sealed before the first of them is sent: enough to keep each step in the processor's caches,
# few enough to bound the sealed copies of full outboxes (8 MiB).
GROUP_SIZE = 64
_NO_BYTES = b""

# Bytes for each session.
_Payloads = list[tuple[WorkerSession, bytes]]
_Fail = Callable[[WorkerSession], None]


def flush_all(sessions: Sequence[WorkerSession], fail: _Fail) -> list[WorkerSession]:
    """Flush open sessions; return those that need `flush` as well.

    Takes each step for a whole group before the next step: interpreter, OpenSSL and the kernel's TCP do
    not fit a core's caches together, and alternating costs half as much again
    (docs/lab/performance-journal.md). Calls ``fail`` for a session that must be closed.
    """
    left: list[WorkerSession] = []
    for start in range(0, len(sessions), GROUP_SIZE):
        payloads = _take_payloads(sessions[start : start + GROUP_SIZE], left)
        records = _map(payloads, _seal, fail)
        crash_point("worker.flush.sealed")
        for session, data in _map(records, _protect, fail):
            session.unsent = data
            try:
                if not _send(session):
                    left.append(session)
            except OSError:
                fail(session)
    return left


def flush(session: WorkerSession) -> bool:
    """Send the whole outbox; return whether the socket took it. Raises OSError, ssl.SSLError, ChatdError."""
    while True:
        if session.unsent and not _send(session):
            return False
        data = _next_data(session)
        if not data:
            return True
        session.unsent = data


def _next_data(session: WorkerSession) -> bytes:
    waiting = session.outbox
    if not waiting:
        if session.channel.outgoing_bytes:
            return session.channel.take_outgoing()
        return _NO_BYTES
    payload = _take_outbox(session) if session.outbox_bytes <= FRAME_LIMIT else _take_first_record(session)
    return session.channel.protect(session.sealer.seal(payload))


def _take_outbox(session: WorkerSession) -> bytes:
    payload = _join(session.outbox)
    session.outbox = []
    session.outbox_bytes = 0
    return payload


def _join(frames: list[bytes]) -> bytes:
    return frames[0] if len(frames) == 1 else b"".join(frames)


def _take_payloads(sessions: Sequence[WorkerSession], left: list[WorkerSession]) -> _Payloads:
    """Empty the outboxes into payloads; add sessions that need more than one record to ``left``."""
    payloads: _Payloads = []
    joined, payload = [_NO_BYTES], _NO_BYTES
    for session in sessions:
        waiting = session.outbox
        fits = 0 < session.outbox_bytes <= FRAME_LIMIT
        if session.phase is not SessionPhase.OPEN or session.unsent or not fits:
            left.append(session)
            continue
        # Members of a room mostly wait for the same frames: join them once.
        if waiting != joined:
            joined, payload = waiting, _join(waiting)
        session.outbox = []
        session.outbox_bytes = 0
        payloads.append((session, payload))
    return payloads


def _map(payloads: _Payloads, step: Callable[[WorkerSession, bytes], bytes], fail: _Fail) -> _Payloads:
    results: _Payloads = []
    for session, data in payloads:
        try:
            results.append((session, step(session, data)))
        except (ssl.SSLError, ChatdError):
            fail(session)
    return results


def _seal(session: WorkerSession, payload: bytes) -> bytes:
    return session.sealer.seal(payload)


def _protect(session: WorkerSession, record: bytes) -> bytes:
    return session.channel.protect(record)


def _take_first_record(session: WorkerSession) -> bytes:
    """Take as many frames from the front of the outbox as fit one record."""
    size = count = 0
    for frame in session.outbox:
        if size + len(frame) > FRAME_LIMIT:
            break
        size += len(frame)
        count += 1
    payload = b"".join(session.outbox[:count])
    del session.outbox[:count]
    session.outbox_bytes -= size
    return payload


def _send(session: WorkerSession) -> bool:
    try:
        sent = session.sock.send(session.unsent, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    crash_point("worker.flush.sent")
    session.unsent = session.unsent[sent:] if sent < len(session.unsent) else _NO_BYTES
    return not session.unsent


def send_close(session: WorkerSession) -> None:
    """Send the envelope's close record and TLS's close_notify, if the socket takes them at once."""
    try:
        data = session.channel.protect(session.sealer.close()) + session.channel.close_notify()
        if not session.unsent:
            session.sock.send(data, socket.MSG_DONTWAIT)
    except (OSError, ssl.SSLError, ValueError, ChatdError):
        pass


def send_last(session: WorkerSession) -> None:
    """Send OpenSSL's last answers, if the socket takes them at once.

    Among them is the answer to a WebSocket's closing frame (RFC 6455, 5.5.1).
    """
    try:
        if session.channel.outgoing_bytes and not session.unsent:
            session.sock.send(session.channel.take_outgoing(), socket.MSG_DONTWAIT)
    except OSError:
        pass
