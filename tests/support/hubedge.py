"""A hub in this process with its real log, and what its workers make of what it tells them."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from chatd.config.schema import Settings
from chatd.hub.hub import Hub
from chatd.hub.links import Link
from chatd.hub.reads import QueryThread
from chatd.hub.recovery import recover
from chatd.link.wire import LinkBuffer
from chatd.proto.frames import JsonObject, decode, split
from chatd.store.event_log import EventLog
from chatd.store.log_reader import LogReader

START = 1_700_000_000_000


class Edge:
    """A worker as chatd.link.wire describes it: knows which sessions hear which rooms."""

    def __init__(self) -> None:
        ours, self._sock = socket.socketpair()
        self._sock.setblocking(False)
        self.link, self._buffer = Link(ours), LinkBuffer()
        self.open: set[int] = set()
        self.live: dict[int, set[str]] = {}
        self.reply: JsonObject | None = None
        self.replies: dict[int, JsonObject] = {}
        # (session, event) in the order of delivery.
        self.delivered: list[tuple[int, JsonObject]] = []

    def take(self) -> None:
        """Carry out what the hub has sent."""
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

    def _on_admit(self, sid: int, _: JsonObject, payload: bytes) -> None:
        self.open.add(sid)

    def _on_refuse(self, sid: int, _: bool, payload: bytes) -> None:
        self.open.discard(sid)

    def _on_terms(self, *_: Any, payload: bytes) -> None:
        pass

    def _on_cut(self, sid: int, _: bool, payload: bytes) -> None:
        self.open.discard(sid)
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

    def _on_reply(self, _: int, label: int, payload: bytes) -> None:
        (self.reply,) = (decode(each) for each in split(payload))
        self.replies[label] = self.reply

    def _on_room(self, room: str, payload: bytes) -> None:
        (event,) = (decode(each) for each in split(payload))
        hearing = [sid for sid, rooms in self.live.items() if room in rooms]
        assert hearing, "an event for a worker with nobody to hear it"
        self.delivered += [(sid, event) for sid in hearing]

    # Only the time differs; and the sessions here may all read presence.
    _on_later = _on_presence = _on_room


def commit_in_turns(hub: Hub, turn: int, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Commit in the loop's two ways, in turns; ``meanwhile`` is called where the disk has it."""
    if turn % 2 and hub.uncommitted and hub.can_overlap:
        wait = hub.begin_commit()
        meanwhile()
        wait()
        hub.end_commit()
    else:
        hub.commit()


class HubBox:
    """A hub, its log in a folder, two workers and the operator's link."""

    def __init__(self, data: Path, settings: Settings) -> None:
        self.now, self._data = START, data
        self.log = EventLog.open(data, now=START)
        self.reader = QueryThread(data)
        self.hub = Hub(self.log, recover(self.log), settings, self.reader, lambda: self.now)
        self.edges = [Edge(), Edge()]
        self.operator = Edge()
        self.operator.link.operator = True
        self.hub.links = {edge.link.number: edge.link for edge in (*self.edges, self.operator)}
        self._turns = 0
        self.settle()

    def settle(self) -> None:
        """What the loop does after each round."""
        self._turns += 1
        commit_in_turns(self.hub, self._turns)
        for edge in (*self.edges, self.operator):
            edge.take()

    def open(self, edge: Edge, sid: int, user: str, device: str, serial: str) -> bool:
        """Log a device in; whether it was let in."""
        self.hub.take(edge.link, [(["open", sid, user, device, serial, "127.0.0.1", False], b"")])
        self.settle()
        return sid in edge.open

    def end(self, edge: Edge, sid: int) -> None:
        """The client hung up."""
        edge.open.discard(sid)
        edge.live.pop(sid, None)
        self.hub.take(edge.link, [(["close", sid], b"")])
        self.settle()

    def ask(self, edge: Edge, sid: int, kind: str, /, **fields: Any) -> JsonObject | None:
        """The reply to a request, None if there was none."""
        edge.reply = None
        self.hub.take(edge.link, [(["request", sid], json.dumps({"type": kind, "id": 1} | fields).encode())])
        self.settle()
        return edge.reply

    def reads(self) -> None:
        """Wait for a read and hand over its result."""
        select.select([self.reader], [], [], 30)
        self.reader.deliver()

    def entries(self) -> Iterator[JsonObject]:
        """The events of the log in order."""
        reader = LogReader(self._data)
        for seq in range(1, self.log.head + 1):
            entry = reader.entry(seq)
            assert entry is not None and entry.body is not None
            yield json.loads(entry.body)

    def close(self) -> None:
        self.reader.close()
        self.log.close()
        for edge in (*self.edges, self.operator):
            edge.close()
