"""The worker's loop: frames from the hub in, everything to clients out, timers, the heartbeat.

Only this thread writes to client sockets after their login. Connection threads hand it their work with
`start`, `post`, `flush_soon`, `close_gracefully` and `finish`.
"""

from __future__ import annotations

import os
import selectors
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar

from chatd.child.busyness import Busyness
from chatd.child.memory import MemoryReturn
from chatd.child.supervised import Supervised
from chatd.config.schema import Settings
from chatd.crashpoints import crash_point
from chatd.errors import ChatdError
from chatd.link.wire import LinkClosedError
from chatd.logs.logger import get_log
from chatd.logs.repeats import Repeats
from chatd.proto.events import bye_frame, error_frame
from chatd.proto.frames import encode
from chatd.proto.requests import RequestKind
from chatd.worker.delivery import Delivery
from chatd.worker.flush import flush, flush_all, send_close, send_last
from chatd.worker.hooks import WorkerHooks
from chatd.worker.hub_link import HubLink
from chatd.worker.session import SessionPhase, WorkerSession
from chatd.worker.session_authorities import AUTHORITY_CHANGED, AUTHORITY_RETIRED, CaStanding
from chatd.worker.timers import Timers

log = get_log("connections")
log_errors = get_log("errors")

TICK_SECONDS = 1.0
# Pause between two attempts to reach the hub.
RECONNECT_SECONDS = 0.05
# Pause after a defect in the link, which would only happen again.
DEFECT_SECONDS = 5.0
# Time for clients to read their bye frame during a drain.
DRAIN_SECONDS = 3.0


class Worker:
    """Owns the sessions, their delivery and the link to the hub."""

    def __init__(self, settings: Settings, hub: HubLink, child: Supervised) -> None:
        self.hub = hub
        self.crypto_errors = 0
        # Events that peers can cause at will.
        self.repeats = Repeats()
        self._memory = MemoryReturn()
        self._busyness = Busyness()
        self._child = child
        self._sessions: dict[int, WorkerSession] = {}
        self._delivery = Delivery(settings.limits.outbox_bytes, settings.workers.gather_ms)
        self._inbox: deque[tuple[Callable[..., None], WorkerSession, bytes]] = deque()
        self._timers = Timers(self._sessions, self._delivery, self._shut_down, float(settings.server.timeout))
        self._next_connect = 0.0
        self._next_report = 0.0
        self._draining_until: float | None = None
        self._selector = selectors.DefaultSelector()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._awake = False
        self._selector.register(self._wake, selectors.EVENT_READ, self._clear_wake)
        self._selector.register(child, selectors.EVENT_READ, self._supervisor)
        hub.on_write_blocked = self._wake_up
        self._link_events = 0
        self.hooks = WorkerHooks()

    # --- called by connection threads ----------------------------------------------------------

    def start(self, session: WorkerSession) -> None:
        """Take over a session that has logged in."""
        self._put(self._start, session)

    def post(self, session: WorkerSession, frame: bytes) -> None:
        """Send a frame to a session."""
        self._put(self._delivery.to_session, session, frame)

    def flush_soon(self, session: WorkerSession) -> None:
        """Send the answers that OpenSSL has put in the outgoing BIO."""
        self._put(self._flush_soon, session)

    def close_gracefully(self, session: WorkerSession, bye: bytes) -> None:
        """Send the bye frame, then close the connection."""
        self._put(self._delivery.queue_bye, session, bye)

    def finish(self, session: WorkerSession) -> None:
        """Forget a session; the last call of its reader thread."""
        self._put(self._finish, session)

    def _put(self, action: Callable[..., None], session: WorkerSession, data: bytes = b"") -> None:
        self._inbox.append((action, session, data))
        # One wake-up serves many entries: the loop clears the flag before it empties the inbox.
        if not self._awake:
            self._awake = True
            self._wake_up()

    def _wake_up(self) -> None:
        os.eventfd_write(self._wake, 1)

    # --- the loop ------------------------------------------------------------------------------

    def run(self) -> None:
        """Return when a drain is complete."""
        while self._draining_until is None or not self._drained():
            self._connect_hub()
            timeout = TICK_SECONDS if self.hub.connected else RECONNECT_SECONDS
            for key, mask in self._selector.select(self._until_due(timeout)):
                self._handle(key.data, mask)
            self._empty_inbox()
            self._timers.run()
            self._flush_all()
            self._report_stats()
            self.repeats.flush()
            self._memory.run()
        self.repeats.flush(now=True)
        crash_point("worker.drain.done")

    def _handle(self, source: Any, mask: int) -> None:
        if isinstance(source, WorkerSession):
            self._flush(source)
        elif source == "hub":
            if mask & selectors.EVENT_WRITE:
                self._write_hub()
            if mask & selectors.EVENT_READ:
                self._receive_hub()
        else:
            source()

    def _clear_wake(self) -> None:
        try:
            os.eventfd_read(self._wake)
        except BlockingIOError:
            pass

    def _empty_inbox(self) -> None:
        self._awake = False
        inbox = self._inbox
        while inbox:
            action, session, data = inbox.popleft()
            action(session, data)

    def _supervisor(self) -> None:
        for message in self._child.receive():
            if message["type"] == "drain":
                self._drain()
            elif message["type"] == "reload":
                settings = self._child.settings
                self._delivery.outbox_bytes = settings.limits.outbox_bytes
                self._delivery.gather_ms = settings.workers.gather_ms
                self._timers.idle = float(settings.server.timeout)
                self.hooks.reload(settings)
                for session in self._sessions.values():
                    self._tell_of_new_ca(session, reloaded=True)

    # --- sessions ------------------------------------------------------------------------------

    def _start(self, session: WorkerSession, _: bytes) -> None:
        self._sessions[session.sid] = session
        self._memory.note()
        self._timers.start(session)
        if self._draining_until is not None:
            self._send_away(session)
        else:
            self.hub.opened(session)

    def _flush_soon(self, session: WorkerSession, _: bytes) -> None:
        self._delivery.note_tls_output(session)

    def _finish(self, session: WorkerSession, _: bytes) -> None:
        if self._sessions.pop(session.sid, None) is None:
            return
        self._memory.note()
        session.phase = SessionPhase.GONE
        session.ended.set()
        self._delivery.closing.discard(session)
        self._delivery.leave_all(session)
        self._unwatch(session)
        session.outbox = []
        send_last(session)
        session.unsent = b""
        session.sock.close()
        self.hub.closed(session)

    def _shut_down(self, session: WorkerSession) -> None:
        """Shut the socket down, which wakes the reader; the reader then calls `finish`."""
        session.ended.set()
        try:
            session.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def _flush(self, session: WorkerSession) -> None:
        if session.phase is SessionPhase.GONE:
            return
        try:
            done = flush(session)
        except (OSError, ssl.SSLError, ChatdError):
            self._abort(session)
            return
        if not done:
            self._watch(session)
            return
        self._unwatch(session)
        if session.phase is SessionPhase.CLOSING:
            send_close(session)
            self._shut_down(session)

    def _flush_all(self) -> None:
        ready = [session for session in self._delivery.take_dirty() if not session.blocked]
        for session in flush_all(ready, self._abort):
            self._flush(session)

    def _abort(self, session: WorkerSession) -> None:
        self._unwatch(session)
        self._shut_down(session)

    def _watch(self, session: WorkerSession) -> None:
        if not session.blocked:
            session.blocked = True
            self._selector.register(session.sock, selectors.EVENT_WRITE, session)

    def _unwatch(self, session: WorkerSession) -> None:
        if session.blocked:
            session.blocked = False
            self._selector.unregister(session.sock)

    def _until_due(self, limit: float) -> float:
        return 0 if self._inbox else self._timers.until_next(limit)

    # --- the hub -------------------------------------------------------------------------------

    def _connect_hub(self) -> None:
        now = time.monotonic()
        if self.hub.connected:
            self._write_hub()
        elif now >= self._next_connect and self._draining_until is None:
            self._next_connect = now + RECONNECT_SECONDS
            if self.hub.connect(self._sessions.values()):
                crash_point("worker.hub.connected")
                self._link_events = selectors.EVENT_READ
                self._selector.register(self.hub, self._link_events, "hub")

    def _write_hub(self) -> None:
        """Write queued frames; watch for writability while some are left."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.hub.write_queued() else 0)
        if events != self._link_events:
            self._link_events = events
            self._selector.modify(self.hub, events, "hub")

    def _receive_hub(self) -> None:
        try:
            for header, payload in self.hub.receive():
                self._FROM_HUB[header[0]](self, payload, *header[1:])
        except LinkClosedError:
            self._hub_lost(RECONNECT_SECONDS)
        except (ValueError, KeyError, TypeError):
            log_errors.exception("link_protocol")
            self._hub_lost(DEFECT_SECONDS)

    def _hub_lost(self, pause: float) -> None:
        crash_point("worker.hub.lost")
        self.hooks.surplus(0)
        self.hooks.hub_lost()
        self._selector.unregister(self.hub)
        self._next_connect = time.monotonic() + pause
        error = ChatdError("E503")
        for session, request_id, kind in self.hub.disconnect(list(self._sessions.values())):
            if kind is RequestKind.SEND:
                # Messages behind it may still be accepted. The client must send it again before them.
                self._delivery.queue_bye(session, encode(bye_frame(error, retry=True)))
            else:
                self._delivery.to_session(session, encode(error_frame(request_id, error)))
        for session in self._sessions.values():
            self._delivery.leave_all(session)

    def _admit(self, payload: bytes, sid: int, terms: dict[str, Any]) -> None:
        session = self._sessions.get(sid)
        if session is None or session.phase not in (SessionPhase.OPENING, SessionPhase.OPEN):
            return
        self._terms(b"", sid, terms)
        if session.phase is SessionPhase.OPENING:
            session.phase = SessionPhase.OPEN
            self.hooks.admitted(session.address)
        crash_point("worker.session.admitted")
        self._delivery.to_session(session, payload)
        self._tell_of_new_ca(session)

    def _tell_of_new_ca(self, session: WorkerSession, *, reloaded: bool = False) -> None:
        standing = self.hooks.authorities.standing_of(session.serial)
        if session.phase is SessionPhase.OPEN and standing is CaStanding.OLD:
            self._delivery.to_session(session, AUTHORITY_CHANGED)
        elif reloaded and standing is CaStanding.RETIRED:
            self._delivery.queue_bye(session, AUTHORITY_RETIRED)

    def _cut(self, payload: bytes, sid: int, retry: bool) -> None:
        session = self._sessions.get(sid)
        if session is not None:
            self._delivery.queue_bye(session, payload)

    def _terms(self, notice: bytes, sid: int, terms: dict[str, Any]) -> None:
        session = self._sessions.get(sid)
        if session is not None:
            self._rate(b"", sid, terms)
            session.sees_presence = terms["presence"]
            if notice:
                self._delivery.to_session(session, notice)

    def _rate(self, _: bytes, sid: int, terms: dict[str, Any]) -> None:
        session = self._sessions.get(sid)
        if session is not None:
            session.bucket.change(time.monotonic(), terms["rate"], terms["burst"], terms["tokens"])

    def _reply(self, payload: bytes, sid: int, request_id: int) -> None:
        session = self._sessions.get(sid)
        if session is not None and self.hub.answered(session, request_id):
            self._delivery.to_session(session, payload)
            crash_point("worker.reply.queued")

    def _room(self, payload: bytes, room: str) -> None:
        self._delivery.to_room(room, payload)

    def _later(self, payload: bytes, room: str) -> None:
        self._delivery.to_room_deferred(room, payload)

    def _presence(self, payload: bytes, room: str) -> None:
        self._delivery.presence(room, payload)

    def _live(self, _: bytes, sid: int, rooms: list[str]) -> None:
        session = self._sessions.get(sid)
        if session is not None and session.phase is SessionPhase.OPEN:
            for room in rooms:
                self._delivery.enter(room, session)

    def _enter(self, _: bytes, room: str, sids: list[int]) -> None:
        for sid in sids:
            session = self._sessions.get(sid)
            if session is not None and session.phase is SessionPhase.OPEN:
                self._delivery.enter(room, session)

    def _leave(self, _: bytes, room: str, sids: list[int]) -> None:
        for sid in sids:
            session = self._sessions.get(sid)
            if session is not None:
                self._delivery.leave(room, session)

    _FROM_HUB: ClassVar[dict[str, Callable[..., None]]] = {
        "admit": _admit,
        "refuse": _cut,
        "cut": _cut,
        "terms": _terms,
        "rate": _rate,
        "reply": _reply,
        "room": _room,
        "later": _later,
        "presence": _presence,
        "live": _live,
        "enter": _enter,
        "leave": _leave,
        "surplus": lambda self, _, surplus: self.hooks.surplus(surplus),
        "answer": lambda self, payload, number: self.hooks.answer(number, payload),
    }

    def _report_stats(self) -> None:
        now = time.monotonic()
        if now >= self._next_report:
            self._next_report = now + TICK_SECONDS
            self._busyness.measure()
            stats = {
                "delivered": self._delivery.delivered,
                "slow_consumers": self._delivery.slow_consumers,
                "crypto_errors": self.crypto_errors,
                "outbox_bytes": sum(session.outbox_bytes for session in self._sessions.values()),
                "busy_permille": round(self._busyness.share * 1000),
            }
            self.hub.report_stats(stats)

    # --- drain ---------------------------------------------------------------------------------

    def _drain(self) -> None:
        self._draining_until = time.monotonic() + DRAIN_SECONDS
        self.hooks.drain()
        for session in list(self._sessions.values()):
            self._send_away(session)
        crash_point("worker.drain.begun")

    def _send_away(self, session: WorkerSession) -> None:
        self._delivery.queue_bye(session, encode(bye_frame(ChatdError("E502"), retry=True)))

    def _drained(self) -> bool:
        return not self._sessions or time.monotonic() >= (self._draining_until or 0.0)
