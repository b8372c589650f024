"""A supervised child over all its runs: what state it is in, and why."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from chatd.child import EXIT_INTEGRITY, EXIT_STORAGE
from chatd.crashpoints import crash_point
from chatd.errors import ChatdError
from chatd.logs import get_log
from chatd.supervisor.health import (
    BOOT_SECONDS,
    FINAL_EXITS,
    MAX_BOOT_FAILURES,
    Backoff,
    Heartbeat,
    Verdict,
    describe_exit,
)
from chatd.supervisor.process import ChildSpec, Process
from chatd.supervisor.states import DOWN, Event, State, follow

DRAIN_SECONDS: Final = 10.0
TERM_SECONDS: Final = 2.0
WHY_LINES: Final = 5

log = get_log("server")
errors = get_log("errors")


@dataclass
class Tools:
    """What a child needs from outside. ``spawn`` starts one run and raises OSError when it cannot;
    ``settings`` gives the settings in force as a message's content; ``patience`` is
    workers.heartbeat_timeout in seconds; ``alarm`` is told in words when a child is given up; until
    ``may_spawn`` a start is put off, for what makes it quicker is nearly there."""

    spawn: Callable[[ChildSpec], Process]
    settings: Callable[[], dict[str, object]]
    patience: Callable[[], float]
    alarm: Callable[[str], None]
    home: str = ""
    may_spawn: Callable[[], bool] = lambda: True
    random: Callable[[], float] = random.random


class Child:
    """One child. The supervisor sets ``wanted`` and calls `tick`; the child converges to it."""

    def __init__(self, spec: ChildSpec, tools: Tools) -> None:
        self.spec = spec
        self.state = State.STOPPED
        self.wanted = False
        self.why = ""
        self.starts = 0
        self.exit_code: int | None = None
        self.last_report: dict[str, object] = {}
        self._tools = tools
        self._process: Process | None = None
        self._backoff = Backoff(tools.random)
        self._heartbeat = Heartbeat(0.0)
        self._boot_failures = 0
        self._started = 0.0
        self._ready: float | None = None
        self._start_at = 0.0
        self._deadlines: list[tuple[float, signal.Signals]] = []
        self._complaint = ""

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def is_up(self) -> bool:
        return self.state is State.RUNNING

    @property
    def is_down(self) -> bool:
        return self.state in DOWN

    @property
    def restarts(self) -> int:
        return max(0, self.starts - 1)

    def uptime(self, now: float) -> float:
        """Seconds since this run was spawned; 0 without a process."""
        return now - self._started if self._process else 0.0

    def start_due(self) -> float | None:
        """When the next start is due, for a child that waits for it."""
        return self._start_at if self.state is State.BACKOFF and self.wanted else None

    def require_up(self) -> None:
        """Raise ChatdError when this child will not come up by itself: E610 integrity, E609 else."""
        if self.state is State.FATAL:
            code = "E610" if self.exit_code == EXIT_INTEGRITY else "E609"
            raise ChatdError(code, f"{self.spec.name}: {self.why}")

    def send(self, message: dict[str, object]) -> None:
        """Send to a child that has a process; others get the settings when they are spawned."""
        if self._process:
            self._process.send(message)

    def forgive(self, seconds: float) -> None:
        """See Heartbeat.forgive."""
        self._heartbeat.forgive(seconds)

    def tick(self, now: float) -> None:
        """Take in what happened, then do what is due."""
        if self._process:
            self._read_messages(now)
            self._process.flush()
            self._reap(now)
        if self._process:
            self._check_pulse(now)
            self._enforce_deadlines(now)
        self._converge(now)

    def _converge(self, now: float) -> None:
        if self.wanted:
            due = self.state is State.BACKOFF and now >= self._start_at
            if (due or self.state is State.STOPPED) and self._tools.may_spawn():
                self._spawn(now)
        elif self.state not in (State.STOPPED, State.STOPPING, State.FATAL):
            self._stop(now)

    def reset(self) -> None:
        """Forget FATAL, because somebody asked for another try."""
        if self.state is State.FATAL:
            self._follow(Event.STOP)
        self._boot_failures = 0

    def _spawn(self, now: float) -> None:
        self._follow(Event.SPAWNED)
        self._started, self._ready = now, None
        self._heartbeat = Heartbeat(now)
        self._deadlines, self._complaint = [], ""
        self.starts += 1
        try:
            self._process = self._tools.spawn(self.spec)
            crash_point("supervisor.child.spawned")
        except OSError as error:
            self._after_failure(now, None, f"cannot be started: {error.strerror}", counts=True)
            return
        first = {"type": "settings", "name": self.spec.name, "home": self._tools.home}
        self._process.send({**first, "settings": self._tools.settings()})
        log.info("child_started", child=self.spec.name, pid=self._process.pid, start=self.starts)

    def _stop(self, now: float) -> None:
        was_ready = self._ready is not None
        self._follow(Event.STOP)
        if not self._process:
            return
        self._process.send({"type": "drain"})
        # One that is still starting has nothing to drain and may not read its channel yet.
        term = now + (DRAIN_SECONDS if was_ready else 0.0)
        self._deadlines = [(term, signal.SIGTERM), (term + TERM_SECONDS, signal.SIGKILL)]

    def _read_messages(self, now: float) -> None:
        assert self._process is not None  # noqa: S101 - for the type checker; tick() has looked
        for message in self._process.receive():
            self._heartbeat.heard(now)
            if message["type"] == "ready" and self.state is State.STARTING:
                self._become_ready(now)
            elif message["type"] == "report" and isinstance(message.get("stats"), dict):
                self.last_report = message["stats"]  # type: ignore[assignment] # checked just before

    def _become_ready(self, now: float) -> None:
        crash_point("supervisor.child.ready")
        self._follow(Event.READY)
        self._ready = now
        self._boot_failures = 0
        self.why = ""
        log.info("child_ready", child=self.spec.name, pid=self.pid, seconds=round(now - self._started, 3))

    def _check_pulse(self, now: float) -> None:
        assert self._process is not None  # noqa: S101
        if self.state is State.STOPPING:
            return  # its deadlines see to it
        patience = self._tools.patience() if self._ready is not None else BOOT_SECONDS
        if self._heartbeat.ping_due(now, patience):
            self._process.send({"type": "ping", "n": int(now)})
        verdict = self._heartbeat.judge(now, patience)
        if verdict is Verdict.ABORT:
            self._complaint = f"no answer for {patience:g} s"
            errors.error("child_hung", child=self.spec.name, pid=self.pid, why=self._complaint)
            self._process.signal(signal.SIGABRT)
        elif verdict is Verdict.KILL:
            self._process.signal(signal.SIGKILL)

    def _enforce_deadlines(self, now: float) -> None:
        assert self._process is not None  # noqa: S101
        while self._deadlines and now >= self._deadlines[0][0]:
            number = self._deadlines.pop(0)[1]
            self._complaint = f"did not stop in time, sent {number.name}"
            log.warning("child_slow_to_stop", child=self.spec.name, pid=self.pid, signal=number.name)
            self._process.signal(number)

    def _reap(self, now: float) -> None:
        assert self._process is not None  # noqa: S101
        code = self._process.poll()
        if code is None:
            return
        self._read_messages(now)
        process, self._process = self._process, None
        parts = [self._complaint, describe_exit(code)]
        if code != 0 and self.state is not State.STOPPING:
            parts += process.last_stderr[-WHY_LINES:]
        why = "; ".join(part for part in parts if part)
        pid = process.pid
        process.close()
        crash_point("supervisor.child.reaped")
        if self.state is State.STOPPING and code not in FINAL_EXITS:
            self._follow(Event.ENDED)
            self.exit_code, self.why = code, why if code or self._complaint else ""
            log.info("child_stopped", child=self.spec.name, pid=pid, why=why)
            return
        # A SIGKILL from elsewhere (a person, the kernel short of memory) does not show that it cannot boot.
        foreign = code == -signal.SIGKILL and not self._complaint
        counts = self._ready is None and not foreign and code != EXIT_STORAGE
        self._after_failure(now, code, why, counts)

    def _after_failure(self, now: float, code: int | None, why: str, counts: bool) -> None:
        self.exit_code, self.why = code, why
        healthy = now - self._ready if self._ready is not None else 0.0
        delay = self._backoff.delay(healthy)
        self._boot_failures += counts
        if code in FINAL_EXITS or self._boot_failures >= MAX_BOOT_FAILURES:
            if code not in FINAL_EXITS:
                self.why = f"did not become ready {self._boot_failures} times in a row; {why}"
            self._follow(Event.GAVE_UP)
            errors.error("child_fatal", child=self.spec.name, why=self.why)
            self._tools.alarm(f"{self.spec.name} is not started again: {self.why}")
            return
        self._follow(Event.CRASHED)
        self._start_at = now + delay
        errors.error("child_crashed", child=self.spec.name, why=why, again_in=round(delay, 3))

    def _follow(self, event: Event) -> None:
        self.state = follow(self.state, event)
