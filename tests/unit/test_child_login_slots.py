"""Login slots: which logins get one, and which login is dropped for a newcomer."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from chatd.child import login_slots
from chatd.child.address_blocks import block_of
from chatd.child.login_slots import KNOWN_SECONDS, STALLED_SECONDS, LoginSlots

LIMIT = 8
OPEN_TO_ALL = 6
PER_BLOCK = 4


class Bench:
    """Login slots with connections to them; the test sets the clock, ``now``."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slots = LoginSlots(LIMIT, PER_BLOCK, clock=lambda: self.now)
        self._pairs: list[tuple[socket.socket, socket.socket]] = []

    def connect(self, address: str, *, sends: bool = False) -> socket.socket | None:
        """Open a connection; return its socket, or None if it was refused."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._pairs.append((ours, theirs))
        if not self.slots.take(ours, address):
            return None
        slot = self.slots.find(ours)
        assert slot
        slot.wait_begins(self.now)
        if sends:
            slot.wait_ends()
            slot.wait_begins(self.now)
        return ours

    def is_dropped(self, sock: socket.socket | None) -> bool:
        """Return whether the slots have ended this connection."""
        assert sock
        try:
            ended = sock.recv(1) == b""
        except BlockingIOError:
            ended = False
        assert ended == (self.slots.find(sock) is None)
        return ended

    def close(self) -> None:
        for pair in self._pairs:
            for sock in pair:
                sock.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


@pytest.mark.parametrize(
    ("address", "block"),
    [
        ("192.0.2.7", "192.0.2.0/24"),
        ("192.0.2.255", "192.0.2.0/24"),
        ("::ffff:192.0.2.7", "192.0.2.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("x" * 100, "x" * 64),
    ],
)
def test_an_address_belongs_to_its_block(address: str, block: str) -> None:
    assert block_of(address) == block


def test_the_oldest_silent_login_of_a_full_block_is_dropped(bench: Bench) -> None:
    first, second, *_ = [bench.connect(f"192.0.2.{n}") for n in range(PER_BLOCK)]
    other = bench.connect("198.51.100.1")
    assert bench.connect("192.0.2.99")
    assert bench.is_dropped(first)
    assert not bench.is_dropped(second)
    assert not bench.is_dropped(other)


def test_the_oldest_silent_login_is_dropped_when_all_slots_are_taken(bench: Bench) -> None:
    talking = bench.connect("192.0.2.1", sends=True)
    silent = [bench.connect(f"198.51.100.{n}") for n in range(3)]
    silent += [bench.connect(f"203.0.113.{n}") for n in range(2)]
    assert bench.connect("192.0.2.2")
    assert not bench.is_dropped(talking)
    assert [bench.is_dropped(sock) for sock in silent] == [True, False, False, False, False]


def test_a_newcomer_is_refused_while_every_login_makes_progress(bench: Bench) -> None:
    logins = [bench.connect(f"192.0.{n}.1", sends=True) for n in range(OPEN_TO_ALL)]
    assert bench.connect("192.0.99.1") is None
    bench.now += STALLED_SECONDS / 2
    assert bench.connect("192.0.99.1") is None
    bench.now += STALLED_SECONDS / 2
    assert bench.connect("192.0.99.1")
    assert bench.is_dropped(logins[0])


def test_a_login_that_waits_for_the_server_is_never_dropped(bench: Bench) -> None:
    for n in range(OPEN_TO_ALL):
        sock = bench.connect(f"192.0.{n}.1")
        slot = sock and bench.slots.find(sock)
        assert slot
        slot.wait_ends()
    bench.now += 100 * STALLED_SECONDS
    assert bench.connect("192.0.99.1") is None


def test_slots_are_reserved_for_addresses_that_logged_in_recently(bench: Bench) -> None:
    bench.slots.logged_in("192.0.0.7")
    for n in range(OPEN_TO_ALL):
        assert bench.connect(f"192.0.{n // PER_BLOCK}.1", sends=True)
    assert bench.connect("192.0.9.1") is None
    # Its block is full, too: a known address counts by itself.
    known = [bench.connect("192.0.0.7") for _ in range(LIMIT - OPEN_TO_ALL)]
    assert all(known)
    assert bench.connect("192.0.9.1") is None
    assert bench.connect("192.0.0.7")
    assert bench.is_dropped(known[0])
    assert not bench.is_dropped(known[1])


def test_an_address_is_forgotten_after_a_day(bench: Bench) -> None:
    bench.slots.logged_in("198.51.100.1")
    bench.now += KNOWN_SECONDS
    for n in range(OPEN_TO_ALL):
        assert bench.connect(f"192.0.{n}.1", sends=True)
    assert bench.connect("198.51.100.1") is None


def test_an_address_is_forgotten_when_many_others_log_in(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_slots, "KNOWN_ADDRESSES", 3)
    for n in range(OPEN_TO_ALL):
        assert bench.connect(f"192.0.{n}.1", sends=True)
    for n in range(3):
        bench.slots.logged_in(f"198.51.100.{n}")
    bench.slots.logged_in("198.51.100.0")
    bench.slots.logged_in("198.51.100.3")
    assert bench.connect("198.51.100.1") is None
    assert bench.connect("198.51.100.0")


def test_slots_are_free_again_when_logins_end(bench: Bench) -> None:
    for _ in range(3):
        logins = [bench.connect(f"192.0.{n}.1", sends=True) for n in range(OPEN_TO_ALL)]
        assert bench.connect("192.0.99.1") is None
        for sock in logins:
            assert sock
            bench.slots.release(sock)


def test_dropped_logins_whose_threads_have_not_ended_are_bounded(bench: Bench) -> None:
    taken = [bench.connect("192.0.2.1") for _ in range(PER_BLOCK + 2 * LIMIT)]
    accepted = [sock for sock in taken if sock]
    assert len(accepted) == PER_BLOCK + LIMIT
    assert taken[: len(accepted)] == accepted
    bench.slots.release(accepted[0])
    assert bench.connect("192.0.2.1")
