"""Delivery: messages leave in the same iteration; joins, parts and presence are deferred a few intervals."""

from __future__ import annotations

import math
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd.child.tls import TlsChannel
from chatd.crypto.records import CLIENT_TO_SERVER, SERVER_TO_CLIENT, RecordOpener, RecordSealer
from chatd.pki.profiles import DeviceName
from chatd.proto.frames import FRAME_LIMIT
from chatd.worker.delivery import DEFER_INTERVALS, DEFERRED_PAUSE_SECONDS, Delivery
from chatd.worker.session import SessionPhase, WorkerSession

GATHER_MS = 10.0
DEFER_SECONDS = DEFER_INTERVALS * GATHER_MS / 1e3
ROOM = "#den"


class Worker:
    """A delivery with sessions in one room; the test sets its clock, ``now``."""

    def __init__(self, gather_ms: float = GATHER_MS) -> None:
        self.now = 100.0
        self.delivery = Delivery(1 << 20, gather_ms, clock=lambda: self.now)
        self._sockets: list[socket.socket] = []

    def session(self, sid: int) -> WorkerSession:
        ours, theirs = socket.socketpair()
        self._sockets += [ours, theirs]
        channel = TlsChannel(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), server_side=True)
        name = DeviceName("lab", "bob", f"d{sid}")
        secret, number = bytes(32), bytes(16)
        sealer, opener = (
            RecordSealer(secret, SERVER_TO_CLIENT, number),
            RecordOpener(secret, CLIENT_TO_SERVER, number),
        )
        session = WorkerSession(sid, ours, channel, sealer, opener, name, "1", math.inf, "", "127.0.0.1")
        self.delivery.enter(ROOM, session)
        session.phase = SessionPhase.OPEN
        return session

    def flush(self) -> dict[int, list[bytes]]:
        """Return the frames that one iteration of the loop sends, by session."""
        frames_by_session = {}
        for session in self.delivery.take_dirty():
            assert session.sid not in frames_by_session
            frames_by_session[session.sid], session.outbox, session.outbox_bytes = session.outbox, [], 0
        return {sid: frames for sid, frames in frames_by_session.items() if frames}

    def close(self) -> None:
        for sock in self._sockets:
            sock.close()


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


def test_a_message_is_sent_at_once_and_a_deferrable_event_later(worker: Worker) -> None:
    worker.session(1)
    worker.session(2)
    worker.delivery.to_room(ROOM, b"message")
    assert worker.flush() == {1: [b"message"], 2: [b"message"]}
    assert worker.delivery.deferred_due == float("inf")
    worker.delivery.to_room_deferred(ROOM, b"joined")
    worker.now += DEFER_SECONDS / 2
    worker.delivery.to_room_deferred(ROOM, b"parted")
    assert worker.flush() == {}
    assert worker.delivery.deferred_due == pytest.approx(100.0 + DEFER_SECONDS)
    worker.now = 100.0 + DEFER_SECONDS
    assert worker.flush() == {1: [b"joined", b"parted"], 2: [b"joined", b"parted"]}
    assert worker.delivery.deferred_due == float("inf")
    worker.now += DEFER_SECONDS
    assert worker.flush() == {}


def test_deferred_events_are_sent_before_later_frames(worker: Worker) -> None:
    """Frames keep the order of the log; a client moves its cursor past everything before a message."""
    bob, _ = worker.session(1), worker.session(2)
    worker.delivery.to_room_deferred(ROOM, b"joined")
    worker.delivery.to_session(bob, b"reply")
    worker.delivery.to_room(ROOM, b"message")
    assert worker.flush() == {1: [b"joined", b"reply", b"message"], 2: [b"joined", b"message"]}


def test_deferred_events_are_sent_before_the_bye(worker: Worker) -> None:
    bob = worker.session(1)
    worker.delivery.to_room_deferred(ROOM, b"joined")
    worker.delivery.queue_bye(bob, b"bye")
    worker.delivery.to_room_deferred(ROOM, b"parted")
    assert worker.flush() == {1: [b"joined", b"bye"]}


def test_an_event_deferred_again_after_a_flush_is_sent_once(worker: Worker) -> None:
    worker.session(1)
    worker.delivery.to_room_deferred(ROOM, b"one")
    worker.delivery.to_room(ROOM, b"two")
    assert worker.flush() == {1: [b"one", b"two"]}
    worker.delivery.to_room_deferred(ROOM, b"three")
    worker.now += DEFER_SECONDS
    assert worker.flush() == {1: [b"three"]}
    worker.delivery.to_room_deferred(ROOM, b"four")
    worker.now += DEFER_SECONDS
    assert worker.flush() == {1: [b"four"]}


def test_a_session_with_an_emptied_outbox_still_receives_deferred_events(worker: Worker) -> None:
    """Flushing a full outbox must not unregister its session from later bursts."""
    bob = worker.session(1)
    worker.delivery.to_room_deferred(ROOM, b"one")
    bob.outbox, bob.outbox_bytes = [], 0
    worker.now += DEFER_SECONDS
    assert worker.flush() == {}
    worker.delivery.to_room_deferred(ROOM, b"two")
    worker.now += DEFER_SECONDS
    assert worker.flush() == {1: [b"two"]}


def test_deferred_events_are_sent_early_when_no_more_follow_those_of_a_rush(worker: Worker) -> None:
    worker.session(1)
    for _ in range(100):
        worker.now += 0.001
        worker.delivery.to_room_deferred(ROOM, b"joined")
        worker.flush()
    worker.delivery.to_room_deferred(ROOM, b"last")
    assert worker.delivery.deferred_due == pytest.approx(worker.now + DEFERRED_PAUSE_SECONDS)
    worker.now += DEFERRED_PAUSE_SECONDS
    assert worker.flush()[1][-1] == b"last"


def test_nothing_is_deferred_without_gathering() -> None:
    worker = Worker(gather_ms=0)
    worker.session(1)
    worker.delivery.to_room_deferred(ROOM, b"joined")
    assert worker.flush() == {1: [b"joined"]}
    worker.close()


def test_nothing_is_deferred_for_an_empty_room(worker: Worker) -> None:
    worker.delivery.to_room_deferred(ROOM, b"joined")
    assert worker.delivery.deferred_due == float("inf")
    assert worker.delivery.delivered == 0


def test_presence_is_deferred_and_sent_only_to_sessions_that_may_read_it(worker: Worker) -> None:
    bob, _ = worker.session(1), worker.session(2)
    bob.sees_presence = True
    worker.delivery.presence(ROOM, b"offline")
    assert worker.flush() == {}
    worker.now += DEFER_SECONDS
    assert worker.flush() == {1: [b"offline"]}


class ImmediateDelivery:
    """The reference: put every frame into every outbox at once."""

    def __init__(self) -> None:
        self.rooms: dict[str, list[int]] = {room: [] for room in ROOMS}
        self.outboxes: dict[int, list[bytes]] = {sid: [] for sid in SIDS}

    def enter(self, room: str, sid: int) -> None:
        if sid not in self.rooms[room]:
            self.rooms[room].append(sid)

    def leave(self, room: str, sid: int) -> None:
        if sid in self.rooms[room]:
            self.rooms[room].remove(sid)

    def to_room(self, room: str, frame: bytes) -> None:
        for sid in self.rooms[room]:
            self.outboxes[sid].append(frame)

    def to_session(self, sid: int, frame: bytes) -> None:
        self.outboxes[sid].append(frame)

    def queue_bye(self, sid: int, frame: bytes) -> None:
        self.to_session(sid, frame)
        for room in ROOMS:
            self.leave(room, sid)


ROOMS, SIDS = ("#one", "#two"), (1, 2, 3)
OPERATIONS = st.one_of(
    st.tuples(st.sampled_from(("enter", "leave")), st.sampled_from(ROOMS), st.sampled_from(SIDS)),
    st.tuples(st.sampled_from(("to_room", "to_room_deferred")), st.sampled_from(ROOMS)),
    st.tuples(st.just("to_session"), st.sampled_from(SIDS)),
    st.tuples(st.just("queue_bye"), st.sampled_from(SIDS)),
)


@given(st.lists(OPERATIONS, max_size=30))
def test_collected_bursts_fill_the_outboxes_as_immediate_delivery_does(
    operations: list[tuple[Any, ...]],
) -> None:
    worker, reference = Worker(), ImmediateDelivery()
    sessions = {sid: worker.session(sid) for sid in SIDS}
    for session in sessions.values():
        worker.delivery.leave_all(session)
    for number, (operation, *where) in enumerate(operations):
        frame = b"%d " % number
        if operation in ("enter", "leave"):
            room, sid = where
            if sessions[sid].phase is SessionPhase.OPEN:
                getattr(worker.delivery, operation)(room, sessions[sid])
                getattr(reference, operation)(room, sid)
        elif operation in ("to_room", "to_room_deferred"):
            getattr(worker.delivery, operation)(where[0], frame)
            reference.to_room(where[0], frame)
        elif sessions[where[0]].phase is SessionPhase.OPEN:
            getattr(worker.delivery, operation)(sessions[where[0]], frame)
            getattr(reference, operation)(where[0], frame)
    worker.delivery.take_dirty()
    assert {sid: session.outbox for sid, session in sessions.items()} == reference.outboxes
    assert all(s.outbox_bytes == sum(map(len, s.outbox)) for s in sessions.values())
    worker.close()


def test_a_burst_over_the_frame_limit_is_moved_to_the_outboxes(worker: Worker) -> None:
    """Frames of a burst count against an outbox's limit only once they are in it."""
    bob = worker.session(1)
    for _ in range(3):
        worker.delivery.to_room(ROOM, bytes(FRAME_LIMIT // 2))
    assert bob.outbox_bytes == FRAME_LIMIT


def test_a_burst_counts_each_delivery(worker: Worker) -> None:
    bob, _ = worker.session(1), worker.session(2)
    worker.delivery.to_room(ROOM, b"one")
    worker.delivery.to_session(bob, b"reply")
    worker.delivery.to_room(ROOM, b"two")
    assert worker.flush() == {1: [b"one", b"reply", b"two"], 2: [b"one", b"two"]}
    assert worker.delivery.delivered == 4


def test_a_session_that_left_the_room_gets_no_more_of_a_burst(worker: Worker) -> None:
    bob, _ = worker.session(1), worker.session(2)
    worker.delivery.to_room(ROOM, b"one")
    worker.delivery.to_session(bob, b"reply")
    worker.delivery.leave(ROOM, bob)
    worker.delivery.to_room(ROOM, b"two")
    assert worker.flush() == {1: [b"one", b"reply"], 2: [b"one", b"two"]}
