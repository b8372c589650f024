"""The rules of supervision: states, restarts, heartbeats and operations, with a fake clock and processes."""

from __future__ import annotations

import os
import signal
from collections import deque
from typing import ClassVar

import pytest

from chatd.errors import ChatdError
from chatd.supervisor import operations
from chatd.supervisor.child import DRAIN_SECONDS, TERM_SECONDS, Child, ChildHooks
from chatd.supervisor.health import (
    BOOT_SECONDS,
    DUMP_SECONDS,
    LONGEST_DELAY,
    MAX_BOOT_FAILURES,
    Heartbeat,
    RestartPolicy,
    Verdict,
    describe_exit,
    given_up,
)
from chatd.supervisor.process import ChildRun, ChildSpec
from chatd.supervisor.states import TRANSITIONS, ChildEvent, ChildState, next_state


def test_every_state_can_be_entered_and_left_and_unexpected_events_raise() -> None:
    assert {state for state, _ in TRANSITIONS} == set(ChildState) == set(TRANSITIONS.values())
    assert {event for _, event in TRANSITIONS} == set(ChildEvent)
    for state in ChildState:
        for event in ChildEvent:
            if (state, event) not in TRANSITIONS:
                with pytest.raises(KeyError):
                    next_state(state, event)


@pytest.mark.parametrize(("random", "factor"), [(0.0, 0.5), (1.0, 1.0)])
def test_the_restart_delay_doubles_to_its_limit_and_recovers(random: float, factor: float) -> None:
    policy = RestartPolicy(lambda: random)
    delays = [policy.delay(0.0) for _ in range(12)]
    assert delays[:4] == [pytest.approx(factor * seconds) for seconds in (0.05, 0.1, 0.2, 0.4)]
    assert delays[-1] == factor * LONGEST_DELAY
    assert policy.delay(60.0) == 0.0
    assert policy.delay(0.9) == pytest.approx(factor * 0.1)
    assert policy.delay(2.0) == pytest.approx(factor * 0.05)
    assert policy.delay(4.9) == pytest.approx(factor * 0.05)
    assert policy.delay(5.0) == 0.0


def test_a_silent_child_is_judged_for_abort_then_kill() -> None:
    heartbeat = Heartbeat(100.0)
    assert [heartbeat.ping_due(at, 5.0) for at in (100.9, 101.0, 101.5, 102.1)] == [False, True, False, True]
    assert [heartbeat.ping_due(at, 0.5) for at in (102.2, 102.3)] == [False, True]
    assert heartbeat.judge(104.9, 5.0) is Verdict.FINE
    heartbeat.heard(104.9)
    heartbeat.extend(10.0)
    assert heartbeat.judge(119.8, 5.0) is Verdict.FINE
    assert heartbeat.judge(119.9, 5.0) is Verdict.ABORT
    assert heartbeat.judge(119.9 + DUMP_SECONDS / 2, 5.0) is Verdict.FINE
    assert heartbeat.judge(119.9 + DUMP_SECONDS, 5.0) is Verdict.KILL


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "exit code 0"),
        (65, "exit code 65: no restart"),
        (78, "exit code 78: it cannot run"),
        (-9, "killed by SIGKILL"),
        (-99, "killed by signal 99"),
    ],
)
def test_an_exit_is_described_by_code_or_signal(code: int, words: str) -> None:
    assert describe_exit(code).startswith(words)


def test_a_child_that_was_given_up_has_one_code_and_one_fix() -> None:
    words = "exit code 65: no restart, to avoid damage; there is no event log (E610). mount the disk"
    error = given_up("hub", 65, words)
    assert (error.code, error.fix) == ("E610", "mount the disk")
    assert error.reason == "hub: exit code 65: no restart, to avoid damage; there is no event log"
    other = given_up("hub", 1, "exit code 1")
    assert (other.code, other.reason) == ("E609", "hub: exit code 1") and other.fix


class FakeProcess:
    pid = 4711
    last_stderr: ClassVar = ["Traceback", "ImportError: no module"]

    def __init__(self) -> None:
        self.code: int | None = None
        self.sent: list[dict[str, object]] = []
        self.signals: list[signal.Signals] = []
        self.arrived: deque[dict[str, object]] = deque()

    def send(self, message: dict[str, object]) -> None:
        self.sent.append(message)

    def receive(self) -> list[dict[str, object]]:
        arrived = list(self.arrived)
        self.arrived.clear()
        return arrived

    def flush(self) -> None: ...

    def signal(self, number: signal.Signals) -> None:
        self.signals.append(number)

    def poll(self) -> int | None:
        return self.code

    def close(self) -> None: ...


class Bench:
    """A child with fake processes and a fake clock."""

    def __init__(self, kind: str = "worker", name: str = "worker-1") -> None:
        self.runs: list[FakeProcess] = []
        self.warnings: list[str] = []
        self.now = 1000.0
        self.spawn_fails = False
        hooks = ChildHooks(
            self.spawn, lambda: {"a": 1}, lambda: 5.0, self.warnings.append, "/home", random=lambda: 1.0
        )
        self.child = Child(ChildSpec(name, kind, ("true",)), hooks)

    def spawn(self, spec: ChildSpec) -> ChildRun:
        if self.spawn_fails:
            raise OSError(2, "No such file")
        self.runs.append(FakeProcess())
        return self.runs[-1]

    @property
    def run(self) -> FakeProcess:
        return self.runs[-1]

    def tick(self, seconds: float = 0.0) -> ChildState:
        self.now += seconds
        self.child.update(self.now)
        return self.child.state

    def bring_up(self) -> None:
        self.child.wanted = True
        self.tick()
        self.run.arrived.append({"type": "ready"})
        assert self.tick() is ChildState.RUNNING

    def end_run(self, code: int) -> ChildState:
        self.run.code = code
        return self.tick()


def test_the_first_message_to_a_child_has_its_settings() -> None:
    bench = Bench()
    bench.bring_up()
    assert bench.run.sent[0] == {
        "type": "settings",
        "name": "worker-1",
        "home": "/home",
        "supervisor": os.getpid(),
        "workers": {},
        "settings": {"a": 1},
    }


def test_a_killed_child_is_restarted_after_the_shortest_delay() -> None:
    bench = Bench()
    bench.bring_up()
    assert bench.end_run(-9) is ChildState.BACKOFF
    assert bench.child.restart_due() == pytest.approx(bench.now + 0.05)
    assert bench.tick(0.04) is ChildState.BACKOFF
    assert bench.tick(0.02) is ChildState.STARTING
    assert (len(bench.runs), bench.child.restarts) == (2, 1)


def fail_boots(bench: Bench, code: int, times: int) -> None:
    bench.child.wanted = True
    bench.tick()
    for _ in range(times):
        bench.end_run(code)
        bench.tick(LONGEST_DELAY)


@pytest.mark.parametrize(
    ("code", "times", "state"),
    [
        (1, MAX_BOOT_FAILURES - 1, ChildState.STARTING),
        (1, MAX_BOOT_FAILURES, ChildState.FATAL),
        (0, MAX_BOOT_FAILURES, ChildState.FATAL),
        (-11, MAX_BOOT_FAILURES, ChildState.FATAL),
        (-9, 2 * MAX_BOOT_FAILURES, ChildState.STARTING),
        (65, 1, ChildState.FATAL),
        (78, 1, ChildState.FATAL),
    ],
)
def test_a_child_that_cannot_boot_is_given_up(code: int, times: int, state: ChildState) -> None:
    bench = Bench()
    fail_boots(bench, code, times)
    assert bench.child.state is state
    if state is ChildState.FATAL:
        assert "ImportError" in bench.child.reason or code == 0
        assert "worker-1" in bench.warnings[0]
        with pytest.raises(ChatdError) as caught:
            bench.child.raise_if_fatal()
        assert caught.value.code == ("E610" if code == 65 else "E609")
        bench.child.reset()
        assert bench.tick() is ChildState.STARTING


def test_a_missing_program_is_given_up() -> None:
    bench = Bench()
    bench.spawn_fails = True
    bench.child.wanted = True
    for _ in range(MAX_BOOT_FAILURES):
        bench.tick(LONGEST_DELAY)
    assert bench.child.state is ChildState.FATAL
    assert "No such file" in bench.child.reason


def test_becoming_ready_clears_the_boot_failures() -> None:
    bench = Bench()
    fail_boots(bench, 1, MAX_BOOT_FAILURES - 1)
    bench.run.arrived.append({"type": "ready"})
    bench.tick()
    fail_boots(bench, 1, 2)
    assert bench.child.state is ChildState.STARTING


@pytest.mark.parametrize(("ready", "timeout"), [(True, 5.0), (False, BOOT_SECONDS)])
def test_a_silent_child_is_aborted_then_killed(ready: bool, timeout: float) -> None:
    bench = Bench()
    bench.child.wanted = True
    bench.tick()
    if ready:
        bench.bring_up()
    bench.tick(timeout - 0.1)
    assert {"type": "ping", "n": int(bench.now)} in bench.run.sent
    assert bench.run.signals == []
    bench.tick(0.2)
    bench.tick(DUMP_SECONDS)
    assert bench.run.signals == [signal.SIGABRT, signal.SIGKILL]
    bench.end_run(-9)
    assert bench.child.reason.startswith(f"no answer for {timeout:g} s; killed by SIGKILL")


def test_a_child_that_answers_is_left_alone() -> None:
    bench = Bench()
    bench.bring_up()
    for _ in range(20):
        bench.run.arrived.append({"type": "pong"})
        bench.tick(1.0)
    bench.child.extend_heartbeat(60.0)
    bench.tick(60.0)
    assert bench.run.signals == []


def test_a_stopping_child_is_drained_then_terminated_then_killed() -> None:
    bench = Bench()
    bench.bring_up()
    bench.child.wanted = False
    assert bench.tick() is ChildState.STOPPING
    assert bench.run.sent[-1] == {"type": "drain"}
    bench.tick(DRAIN_SECONDS - 0.1)
    assert bench.run.signals == []
    bench.tick(0.1)
    assert bench.run.signals == [signal.SIGTERM]
    bench.tick(TERM_SECONDS)
    assert bench.run.signals == [signal.SIGTERM, signal.SIGKILL]
    assert bench.end_run(-9) is ChildState.STOPPED


@pytest.mark.parametrize(
    ("code", "state"), [(0, ChildState.STOPPED), (1, ChildState.STOPPED), (65, ChildState.FATAL)]
)
def test_the_exit_code_after_a_stop_decides_the_state(code: int, state: ChildState) -> None:
    bench = Bench()
    bench.bring_up()
    bench.child.wanted = False
    bench.tick()
    assert bench.end_run(code) is state
    assert bench.tick(60.0) is state


def test_a_starting_child_is_stopped_at_once() -> None:
    bench = Bench()
    bench.child.wanted = True
    bench.tick()
    bench.child.wanted = False
    bench.tick()
    bench.tick()
    assert bench.run.signals == [signal.SIGTERM]


def test_a_child_in_backoff_is_not_restarted_after_a_stop() -> None:
    bench = Bench()
    bench.bring_up()
    bench.end_run(1)
    bench.child.wanted = False
    assert bench.tick(60.0) is ChildState.STOPPED
    assert bench.child.restart_due() is None


def test_start_and_restart_bring_the_hub_up_before_the_workers() -> None:
    benches = [Bench("hub", "hub"), Bench(), Bench(name="worker-2")]
    children = [bench.child for bench in benches]
    log: list[str] = []

    def drive(operation: operations.Operation) -> None:
        for _ in range(100):
            try:
                next(operation)
            except StopIteration:
                return
            for bench in benches:
                before = bench.child.state
                if bench.tick(0.01) is not before:
                    log.append(f"{bench.child.spec.name} {bench.child.state.value}")
                if bench.child.state is ChildState.STARTING:
                    bench.run.arrived.append({"type": "ready"})
                elif bench.child.state is ChildState.STOPPING:
                    bench.run.code = 0
        raise AssertionError("the operation does not end")

    drive(operations.start(children))
    assert log[:3] == ["hub starting", "hub running", "worker-1 starting"]
    assert all(child.is_up for child in children)
    log.clear()
    drive(operations.rolling_restart(children))
    steps = ("stopping", "stopped", "starting", "running")
    assert log == [f"{name} {step}" for name in ("worker-1", "hub", "worker-2") for step in steps]
    log.clear()
    drive(operations.restart(children))
    assert log[4:6] == ["hub stopping", "hub stopped"]
    assert log[6:9] == ["hub starting", "hub running", "worker-1 starting"]
    drive(operations.stop(children))
    assert all(child.is_down for child in children)


def test_a_failed_start_names_the_child_that_ended() -> None:
    bench = Bench("hub", "hub")
    operation = operations.start([bench.child])
    next(operation)
    bench.tick()
    bench.end_run(65)
    with pytest.raises(ChatdError, match="hub: exit code 65"):
        next(operation)
