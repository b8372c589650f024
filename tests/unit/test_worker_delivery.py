"""What waits in a worker, and until when: messages for the end of the turn, comings and goings longer."""

from __future__ import annotations

import math
import socket
import ssl
from collections.abc import Iterator

import pytest

from chatd.crypto.records import CLIENT_TO_SERVER, SERVER_TO_CLIENT, Opener, Sealer
from chatd.net.channel import TlsChannel
from chatd.pki.profiles import DeviceName
from chatd.worker.delivery import LATER_TURNS, Delivery
from chatd.worker.session import Session

GATHER_MS = 10.0
WAIT = LATER_TURNS * GATHER_MS / 1e3
ROOM = "#den"


class Worker:
    """A delivery with sessions in one room and a clock that is told what time it is."""

    def __init__(self, gather_ms: float = GATHER_MS) -> None:
        self.now = 100.0
        self.delivery = Delivery(1 << 20, gather_ms, clock=lambda: self.now)
        self._sockets: list[socket.socket] = []

    def session(self, sid: int) -> Session:
        ours, theirs = socket.socketpair()
        self._sockets += [ours, theirs]
        channel = TlsChannel(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), server_side=True)
        name = DeviceName("lab", "bob", f"d{sid}")
        secret, number = bytes(32), bytes(16)
        sealer, opener = Sealer(secret, SERVER_TO_CLIENT, number), Opener(secret, CLIENT_TO_SERVER, number)
        session = Session(sid, ours, channel, sealer, opener, name, "1", math.inf, "127.0.0.1")
        self.delivery.enter(ROOM, session)
        return session

    def sent_now(self) -> dict[int, list[bytes]]:
        """What a turn of the loop sends to whom."""
        found = {}
        for session in self.delivery.take_dirty():
            assert session.sid not in found
            found[session.sid], session.outbox, session.outbox_bytes = session.outbox, [], 0
        return {sid: frames for sid, frames in found.items() if frames}

    def close(self) -> None:
        for sock in self._sockets:
            sock.close()


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


def test_a_message_goes_at_once_and_one_that_may_wait_does(worker: Worker) -> None:
    worker.session(1)
    worker.session(2)
    worker.delivery.to_room(ROOM, b"message")
    assert worker.sent_now() == {1: [b"message"], 2: [b"message"]}
    assert worker.delivery.later_due == float("inf")
    worker.delivery.to_room_later(ROOM, b"joined")
    worker.now += WAIT / 2
    worker.delivery.to_room_later(ROOM, b"parted")
    assert worker.sent_now() == {}
    assert worker.delivery.later_due == pytest.approx(100.0 + WAIT)
    worker.now = 100.0 + WAIT
    assert worker.sent_now() == {1: [b"joined", b"parted"], 2: [b"joined", b"parted"]}
    assert worker.delivery.later_due == float("inf")
    worker.now += WAIT
    assert worker.sent_now() == {}


def test_what_waits_goes_before_what_comes_after_it(worker: Worker) -> None:
    """The order is the log's: a cursor that passed a message has passed what came before it."""
    bob, _ = worker.session(1), worker.session(2)
    worker.delivery.to_room_later(ROOM, b"joined")
    worker.delivery.to_session(bob, b"reply")
    worker.delivery.to_room(ROOM, b"message")
    assert worker.sent_now() == {1: [b"joined", b"reply", b"message"], 2: [b"joined", b"message"]}


def test_the_last_frame_takes_along_what_waits(worker: Worker) -> None:
    bob = worker.session(1)
    worker.delivery.to_room_later(ROOM, b"joined")
    worker.delivery.goodbye(bob, b"bye")
    worker.delivery.to_room_later(ROOM, b"parted")
    assert worker.sent_now() == {1: [b"joined", b"bye"]}


def test_sent_meanwhile_and_queued_again_goes_once(worker: Worker) -> None:
    worker.session(1)
    worker.delivery.to_room_later(ROOM, b"one")
    worker.delivery.to_room(ROOM, b"two")
    assert worker.sent_now() == {1: [b"one", b"two"]}
    worker.delivery.to_room_later(ROOM, b"three")
    worker.now += WAIT
    assert worker.sent_now() == {1: [b"three"]}
    worker.delivery.to_room_later(ROOM, b"four")
    worker.now += WAIT
    assert worker.sent_now() == {1: [b"four"]}


def test_emptied_by_somebody_else_it_is_waited_for_again(worker: Worker) -> None:
    """A full outbox is flushed on the spot; after that its session must not be forgotten."""
    bob = worker.session(1)
    worker.delivery.to_room_later(ROOM, b"one")
    bob.outbox, bob.outbox_bytes = [], 0
    worker.now += WAIT
    assert worker.sent_now() == {}
    worker.delivery.to_room_later(ROOM, b"two")
    worker.now += WAIT
    assert worker.sent_now() == {1: [b"two"]}


def test_without_gathering_nothing_waits() -> None:
    worker = Worker(gather_ms=0)
    worker.session(1)
    worker.delivery.to_room_later(ROOM, b"joined")
    assert worker.sent_now() == {1: [b"joined"]}
    worker.close()


def test_nobody_there_nothing_waits(worker: Worker) -> None:
    worker.delivery.to_room_later(ROOM, b"joined")
    assert worker.delivery.later_due == float("inf")
    assert worker.delivery.delivered == 0


def test_presence_waits_too_and_only_for_those_who_may_read_it(worker: Worker) -> None:
    may, _ = worker.session(1), worker.session(2)
    may.sees_presence = True
    worker.delivery.presence(ROOM, b"offline")
    assert worker.sent_now() == {}
    worker.now += WAIT
    assert worker.sent_now() == {1: [b"offline"]}
