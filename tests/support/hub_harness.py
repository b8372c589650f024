"""Run a hub in this process with its real log; decode what it sends on its links."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from chatd.config.schema import Settings
from chatd.hub.backend import Backend
from chatd.hub.hub import Hub
from chatd.hub.links import Link
from chatd.hub.query_threads import QueryThreads
from chatd.hub.recovery import recover
from chatd.hub.state.context import OPERATOR
from chatd.link.wire import LinkBuffer
from chatd.proto.frames import JsonObject, decode, split
from chatd.store.event_log import EventLog
from chatd.store.log_reader import LogReader

START = 1_700_000_000_000


class WorkerEnd:
    """The worker's end of a link, as chatd.link.wire describes it: tracks which session is in which room."""

    def __init__(self) -> None:
        ours, self._sock = socket.socketpair()
        self._sock.setblocking(False)
        self.link, self._buffer = Link(ours), LinkBuffer()
        self.sessions: set[int] = set()
        # Session -> rate, burst and the tokens left, as told last; how often the hub said that a user owes.
        self.terms: dict[int, JsonObject] = {}
        self.debts_told = 0
        self.surplus = 0
        # Session -> rooms it receives events of.
        self.live: dict[int, set[str]] = {}
        self.reply: JsonObject | None = None
        self.replies: dict[int, JsonObject] = {}
        # (session, event) in the order of delivery.
        self.delivered: list[tuple[int, JsonObject]] = []
        # (session, frame) for one session only.
        self.notices: list[tuple[int, JsonObject]] = []

    def receive(self) -> None:
        """Apply every link frame that the hub has sent."""
        self.link.write()
        try:
            data = self._sock.recv(4_000_000)
        except BlockingIOError:
            return
        for header, payload in self._buffer.feed(data):
            getattr(self, f"_on_{header[0]}")(*header[1:], payload=payload)

    def close(self) -> None:
        self.link.close()
        self._sock.close()

    def _on_admit(self, sid: int, terms: JsonObject, payload: bytes) -> None:
        self.sessions.add(sid)
        self.terms[sid] = terms

    def _on_refuse(self, sid: int, _: bool, payload: bytes) -> None:
        self.sessions.discard(sid)

    def _on_terms(self, sid: int, terms: JsonObject, payload: bytes) -> None:
        self.terms[sid] = terms
        self.notices += [(sid, decode(frame)) for frame in split(payload)]

    def _on_rate(self, sid: int, terms: JsonObject, payload: bytes) -> None:
        self.terms[sid] = terms
        self.debts_told += 1

    def _on_cut(self, sid: int, _: bool, payload: bytes) -> None:
        self.sessions.discard(sid)
        self.live.pop(sid, None)

    def _on_live(self, sid: int, rooms: list[str], payload: bytes) -> None:
        self.live[sid] = set(rooms)

    def _on_enter(self, room: str, sids: list[int], payload: bytes) -> None:
        for sid in sids:
            assert room not in self.live[sid]
            self.live[sid].add(room)

    def _on_leave(self, room: str, sids: list[int], payload: bytes) -> None:
        for sid in sids:
            self.live[sid].remove(room)

    def _on_surplus(self, surplus: int, payload: bytes) -> None:
        self.surplus = surplus

    def _on_reply(self, _: int, request_id: int, payload: bytes) -> None:
        (self.reply,) = (decode(frame) for frame in split(payload))
        self.replies[request_id] = self.reply

    def _on_room(self, room: str, payload: bytes) -> None:
        (event,) = (decode(frame) for frame in split(payload))
        receivers = [sid for sid, rooms in self.live.items() if room in rooms]
        assert receivers, "the hub sent an event to a worker without a session in the room"
        self.delivered += [(sid, event) for sid in receivers]

    # A deferred event differs only in when it is sent, and every session here may read presence.
    _on_later = _on_presence = _on_room


def commit_alternating(hub: Hub, iteration: int, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Commit as the hub's loop does, overlapping in odd iterations only.

    ``meanwhile`` runs while an overlapping commit is under way.
    """
    if iteration % 2 and hub.recorder.uncommitted and hub.recorder.can_overlap:
        finish_commit = hub.recorder.begin_commit()
        meanwhile()
        finish_commit()
        hub.recorder.end_commit()
    else:
        hub.recorder.commit()


class HubHarness:
    """A hub with its log in a folder, two workers and the operator's link."""

    def __init__(self, data: Path, settings: Settings) -> None:
        self.now, self._data = START, data
        self.log = EventLog.open(data, now=START)
        self.reader = QueryThreads(data)
        backend = self.make_backend()
        self.hub = Hub(self.log, recover(self.log), settings, self.reader, lambda: self.now, backend=backend)
        self.workers = [WorkerEnd(), WorkerEnd()]
        self.operator = WorkerEnd()
        self.operator.link.operator = OPERATOR
        self.hub.links |= {worker.link.number: worker.link for worker in (*self.workers, self.operator)}
        self._iterations = 0
        self.run_iteration()

    def make_backend(self) -> Backend | None:
        """Return what commits the batches; None for the log itself."""
        return None

    def run_iteration(self) -> None:
        """Commit and send, as one iteration of the hub's loop does."""
        self._iterations += 1
        commit_alternating(self.hub, self._iterations)
        for worker in (*self.workers, self.operator):
            worker.receive()

    def open_session(self, worker: WorkerEnd, sid: int, user: str, device: str, serial: str) -> bool:
        """Log a device in; return whether the hub admitted it."""
        self.hub.take(worker.link, [(["open", sid, user, device, serial, "127.0.0.1", False], b"")])
        self.run_iteration()
        return sid in worker.sessions

    def close_session(self, worker: WorkerEnd, sid: int) -> None:
        """Tell the hub that the client hung up."""
        worker.sessions.discard(sid)
        worker.live.pop(sid, None)
        self.hub.take(worker.link, [(["close", sid], b"")])
        self.run_iteration()

    def ask(self, worker: WorkerEnd, sid: int, kind: str, /, **fields: Any) -> JsonObject | None:
        """Send a request; return its reply, or None if there was none."""
        worker.reply = None
        self.hub.take(
            worker.link, [(["request", sid], json.dumps({"type": kind, "id": 1} | fields).encode())]
        )
        self.run_iteration()
        return worker.reply

    def deliver_read(self) -> None:
        """Wait until a reading thread has a result and deliver it."""
        select.select([self.reader], [], [], 30)
        self.reader.deliver()

    def logged_events(self) -> Iterator[JsonObject]:
        """Yield the events of the log in order; of a redacted message only type and seq."""
        reader = LogReader(self._data)
        for seq in range(1, self.log.head + 1):
            entry = reader.entry(seq)
            assert entry is not None and entry.body is not None
            yield json.loads(entry.body) if entry.body else {"type": entry.kind, "seq": seq}

    def close(self) -> None:
        self.reader.close()
        self.log.close()
        for worker in (*self.workers, self.operator):
            worker.close()
