"""Session timers: admission, idle sessions, and certificate expiry by the wall clock."""

from __future__ import annotations

import json
import math
import socket
from typing import Any, cast

import pytest

from chatd.child.tls import TlsChannel
from chatd.pki.profiles import DeviceName
from chatd.proto.frames import HEADER_SIZE
from chatd.proto.unsealed import PlainOpener, PlainSealer
from chatd.worker.delivery import LINGER_SECONDS, Delivery
from chatd.worker.session import SessionPhase, WorkerSession
from chatd.worker.timers import ADMISSION_SECONDS, CLOSING_CHECK_SECONDS, Timers

IDLE = 30.0
NAME = DeviceName("lab", "bob", "laptop")
# 2026-11-25 20:00Z
WALL = 1_795_636_800.0


class Bench:
    """One session; ``now`` is the monotonic clock, ``wall`` the wall clock."""

    def __init__(self, valid: float = math.inf, phase: SessionPhase = SessionPhase.OPEN) -> None:
        self.now = 1000.0
        self.wall = WALL
        self.closed: list[WorkerSession] = []
        self.delivery = Delivery(1 << 20, clock=lambda: self.now)
        sessions: dict[int, WorkerSession] = {}
        self.timers = Timers(
            sessions, self.delivery, self.closed.append, IDLE, lambda: self.now, lambda: self.wall
        )
        no_connection = cast(socket.socket, None), cast(TlsChannel, None)
        self.session = WorkerSession(
            7,
            *no_connection,
            PlainSealer(),
            PlainOpener(),
            NAME,
            "1",
            WALL + valid,
            "",
            "127.0.0.1",
            lambda: self.now,
        )
        sessions[7] = self.session
        self.timers.start(self.session)
        self.session.phase = phase

    def wait(self, seconds: float, *, wall: float | None = None) -> None:
        self.now += seconds
        self.wall += seconds if wall is None else wall
        self.timers.run()

    @property
    def frames(self) -> list[dict[str, Any]]:
        return [json.loads(frame[HEADER_SIZE:]) for frame in self.session.outbox]


def test_a_session_ends_when_its_certificate_expires(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(valid=5.0)
    assert bench.timers.until_next(60.0) == 5.0
    bench.wait(4.9)
    assert not bench.frames
    bench.wait(0.1)
    (bye,) = bench.frames
    assert (bye["type"], bye["code"], bye["retry"]) == ("bye", "E202", True)
    assert bye["reason"] == "your certificate expired on 2026-11-25 20:00Z"
    assert bench.session.phase is SessionPhase.CLOSING
    assert "certificate_expired" in caplog.text
    bench.wait(LINGER_SECONDS + CLOSING_CHECK_SECONDS)
    assert bench.closed == [bench.session]


def test_a_busy_session_ends_when_its_certificate_expires() -> None:
    bench = Bench(valid=3 * IDLE)
    for _ in range(29):
        bench.wait(3.0)
        bench.session.last_heard = bench.now
        assert not bench.frames
    bench.wait(3.0)
    assert [frame["code"] for frame in bench.frames] == ["E202"]


def test_a_session_awaiting_admission_ends_when_its_certificate_expires() -> None:
    bench = Bench(valid=1.0, phase=SessionPhase.OPENING)
    bench.wait(1.0)
    assert [frame["code"] for frame in bench.frames] == ["E202"]


def test_expiry_follows_the_wall_clock_when_it_is_set() -> None:
    bench = Bench(valid=10.0)
    bench.wait(10.0, wall=-60.0)
    assert not bench.frames
    # A jump forward is noticed when the timer runs next.
    bench.wait(1.0, wall=3600.0)
    bench.wait(bench.timers.until_next(60.0))
    assert [frame["code"] for frame in bench.frames] == ["E202"]


def test_a_jump_forward_is_noticed_within_the_idle_time() -> None:
    bench = Bench(valid=86_400.0)
    bench.wait(0.0, wall=86_401.0)
    waited = 0.0
    while not bench.frames:
        step = bench.timers.until_next(60.0)
        waited += step
        bench.wait(step)
        bench.session.last_heard = bench.now
    assert waited <= IDLE
    assert bench.frames[0]["code"] == "E202"


def test_a_login_not_admitted_in_time_ends_with_e502() -> None:
    bench = Bench(phase=SessionPhase.OPENING)
    bench.wait(ADMISSION_SECONDS - 0.1)
    assert not bench.frames
    bench.wait(0.1)
    assert [(frame["code"], frame["retry"]) for frame in bench.frames] == [("E502", True)]


def test_an_idle_session_is_pinged_and_then_ended() -> None:
    bench = Bench()
    bench.wait(bench.timers.until_next(60.0))
    while not bench.frames:
        bench.wait(bench.timers.until_next(60.0))
    assert bench.now - 1000.0 == pytest.approx(IDLE / 2)
    assert bench.frames[0]["type"] == "ping"
    bench.wait(bench.timers.until_next(60.0))
    assert bench.now - 1000.0 == pytest.approx(IDLE)
    assert bench.frames[1]["code"] == "E106"


def test_a_session_has_one_timer_entry() -> None:
    bench = Bench()
    for _ in range(100):
        bench.wait(bench.timers.until_next(60.0))
        bench.session.last_heard = bench.now
        bench.session.outbox.clear()
    assert len(bench.timers._heap) == 1


def test_the_next_timer_is_no_later_than_deferred_events() -> None:
    bench = Bench()
    bench.delivery.deferred_due = bench.now + 0.2
    assert bench.timers.until_next(60.0) == pytest.approx(0.2)
    bench.now += 1.0
    assert bench.timers.until_next(60.0) == 0.0
