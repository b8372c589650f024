"""The one place that writes to sockets: what waits in outboxes is sealed, protected and sent.

Everything here runs on the worker's loop. One flush seals all that waits for a connection as one
envelope record, writes it once to TLS and sends it once: the cost is per connection and turn of the
loop, not per message. `flush_all` takes each of these steps for many connections before the next.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Sequence

from chatd.crashpoints import crash_point
from chatd.errors import ChatdError
from chatd.proto.frames import FRAME_LIMIT
from chatd.worker.session import Phase, Session

# Connections that are sealed together before the first of them is sent: enough for the steps to stay in
# the processor's caches, few enough for the sealed copies of full outboxes (at most 8 MiB).
TOGETHER = 64
_NO_BYTES = b""


def flush_all(sessions: Sequence[Session], failed: Callable[[Session], None]) -> list[Session]:
    """Send what waits for many open sessions; those that `flush` has to look at besides.

    One step for all, then the next: the interpreter, OpenSSL and the kernel's TCP together do not fit
    the caches of a core, and taking turns connection by connection costs half as much again
    (docs/lab/performance-journal.md). ``failed`` is called for a session that has to be closed.
    """
    left: list[Session] = []
    for start in range(0, len(sessions), TOGETHER):
        payloads = _payloads(sessions[start : start + TOGETHER], left)
        sealed = _each(payloads, _sealed, failed)
        crash_point("worker.flush.sealed")
        for session, data in _each(sealed, _protected, failed):
            session.unsent = data
            try:
                if not _send(session):
                    left.append(session)
            except OSError:
                failed(session)
    return left


def flush(session: Session) -> bool:
    """Send what waits; whether the socket took everything. Raises OSError, ssl.SSLError."""
    while True:
        if session.unsent and not _send(session):
            return False
        data = _seal(session)
        if not data:
            return True
        session.unsent = data


def _seal(session: Session) -> bytes:
    waiting = session.outbox
    if not waiting:
        if session.channel.wants_to_send:
            return session.channel.take_outgoing()
        return _NO_BYTES
    if session.outbox_bytes <= FRAME_LIMIT:
        payload = waiting[0] if len(waiting) == 1 else b"".join(waiting)
        session.outbox = []
        session.outbox_bytes = 0
    else:
        payload = _first_record(session)
    return session.channel.protect(session.sealer.seal(payload))


_Lot = list[tuple[Session, bytes]]


def _payloads(sessions: Sequence[Session], left: list[Session]) -> _Lot:
    """What waits for each, joined, its outbox emptied; who needs more than one record is ``left``."""
    lot: _Lot = []
    joined, payload = [_NO_BYTES], _NO_BYTES
    for session in sessions:
        waiting = session.outbox
        if session.phase is not Phase.OPEN or session.unsent or not 0 < session.outbox_bytes <= FRAME_LIMIT:
            left.append(session)
            continue
        # The members of a room mostly wait for the very same frames: joined once for all of them.
        if waiting != joined:
            joined, payload = waiting, waiting[0] if len(waiting) == 1 else b"".join(waiting)
        session.outbox = []
        session.outbox_bytes = 0
        lot.append((session, payload))
    return lot


def _each(lot: _Lot, step: Callable[[Session, bytes], bytes], failed: Callable[[Session], None]) -> _Lot:
    done: _Lot = []
    for session, data in lot:
        try:
            done.append((session, step(session, data)))
        except (ssl.SSLError, ChatdError):
            failed(session)
    return done


def _sealed(session: Session, payload: bytes) -> bytes:
    return session.sealer.seal(payload)


def _protected(session: Session, record: bytes) -> bytes:
    return session.channel.protect(record)


def _first_record(session: Session) -> bytes:
    """As many frames from the front of the outbox as fit one record."""
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


def _send(session: Session) -> bool:
    try:
        sent = session.sock.send(session.unsent, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    crash_point("worker.flush.sent")
    session.unsent = session.unsent[sent:] if sent < len(session.unsent) else _NO_BYTES
    return not session.unsent


def farewell(session: Session) -> None:
    """The authenticated close of the envelope and of TLS, if the socket takes them at once."""
    try:
        data = session.channel.protect(session.sealer.close()) + session.channel.farewell()
        if not session.unsent:
            session.sock.send(data, socket.MSG_DONTWAIT)
    except (OSError, ssl.SSLError, ValueError, ChatdError):
        pass
