"""A supervised child across all its runs: its state and the reason for it."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from chatd.child.supervised import EXIT_STORAGE
from chatd.crashpoints import crash_point
from chatd.logs import get_log
from chatd.supervisor.health import (
    BOOT_SECONDS,
    FINAL_EXITS,
    Heartbeat,
    RestartPolicy,
    Verdict,
    describe_exit,
    given_up,
)
from chatd.supervisor.process import ChildRun, ChildSpec
from chatd.supervisor.states import DOWN, ChildEvent, ChildState, next_state

DRAIN_SECONDS: Final = 10.0
TERM_SECONDS: Final = 2.0
STDERR_LINES_IN_REASON: Final = 5

log = get_log("server")
errors = get_log("errors")


@dataclass
class ChildHooks:
    """Callbacks into the supervisor that every child uses.

    ``spawn`` starts one run or raises OSError; ``settings`` returns the settings in force as JSON;
    ``heartbeat_timeout`` is in seconds; ``warn`` takes a message for the operator when a child is given
    up; while ``may_spawn`` is False, starts wait; ``workers`` returns the pids of the workers by name;
    ``renewed`` takes the server's certificates, by file name, from the enrol process; ``shared`` takes what
    the hub tells of the settings that the nodes of a cluster share.
    """

    spawn: Callable[[ChildSpec], ChildRun]
    settings: Callable[[], dict[str, object]]
    heartbeat_timeout: Callable[[], float]
    warn: Callable[[str], None]
    home: str = ""
    may_spawn: Callable[[], bool] = lambda: True
    workers: Callable[[], dict[str, int]] = dict
    renewed: Callable[[dict[str, object]], None] = lambda _: None
    shared: Callable[[dict[str, object]], None] = lambda _: None
    random: Callable[[], float] = random.random


class Child:
    """One child. The supervisor sets ``wanted`` and calls `update`, which moves the child towards it."""

    def __init__(self, spec: ChildSpec, hooks: ChildHooks) -> None:
        self.spec = spec
        self.state = ChildState.STOPPED
        self.wanted = False
        self.reason = ""
        self.starts = 0
        self.exit_code: int | None = None
        self.last_report: dict[str, object] = {}
        # What this run says of itself: the sandbox in force, and its open descriptors.
        self.sandbox: dict[str, object] = {}
        self.descriptors: int | None = None
        self._hooks = hooks
        self._run: ChildRun | None = None
        self._restart_policy = RestartPolicy(hooks.random)
        self._heartbeat = Heartbeat(0.0)
        self._started_at = 0.0
        self._ready_at: float | None = None
        self._restart_at = 0.0
        self._deadlines: list[tuple[float, signal.Signals]] = []
        self._kill_reason = ""

    @property
    def pid(self) -> int | None:
        return self._run.pid if self._run else None

    @property
    def is_up(self) -> bool:
        return self.state is ChildState.RUNNING

    @property
    def is_down(self) -> bool:
        return self.state in DOWN

    @property
    def restarts(self) -> int:
        return max(0, self.starts - 1)

    def uptime(self, now: float) -> float:
        """Seconds since this run was spawned; 0 without a process."""
        return now - self._started_at if self._run else 0.0

    def restart_due(self) -> float | None:
        """When the pending restart is due; None if none is pending."""
        return self._restart_at if self.state is ChildState.BACKOFF and self.wanted else None

    def raise_if_fatal(self) -> None:
        """Raise ChatdError if this child was given up: E610 for a damaged log, else E609."""
        if self.state is ChildState.FATAL:
            raise given_up(self.spec.name, self.exit_code, self.reason)

    def send(self, message: dict[str, object]) -> None:
        """Send to the child's process, if it has one."""
        if self._run:
            self._run.send(message)

    def extend_heartbeat(self, seconds: float) -> None:
        self._heartbeat.extend(seconds)

    def update(self, now: float) -> None:
        """Take in what happened, then do what is due."""
        if self._run:
            self._read_messages(self._run, now)
            self._run.flush()
            self._reap(self._run, now)
        if self._run:
            self._check_heartbeat(self._run, now)
            self._enforce_deadlines(self._run, now)
        if self.wanted:
            due = self.state is ChildState.BACKOFF and now >= self._restart_at
            if (due or self.state is ChildState.STOPPED) and self._hooks.may_spawn():
                self._spawn(now)
        elif self.state not in (ChildState.STOPPED, ChildState.STOPPING, ChildState.FATAL):
            self._stop(now)

    def reset(self) -> None:
        """Leave FATAL and clear the boot failures: an operator asked for another try."""
        if self.state is ChildState.FATAL:
            self._follow(ChildEvent.STOP)
        self._restart_policy.boot_failures = 0

    def _spawn(self, now: float) -> None:
        self._follow(ChildEvent.SPAWNED)
        self._started_at, self._ready_at = now, None
        self._heartbeat = Heartbeat(now)
        self._deadlines, self._kill_reason = [], ""
        self.sandbox, self.descriptors = {}, None
        self.starts += 1
        try:
            self._run = self._hooks.spawn(self.spec)
            crash_point("supervisor.child.spawned")
        except OSError as error:
            self._after_failure(now, None, f"cannot be started: {error.strerror}", boot_failed=True)
            return
        first: dict[str, object] = {"type": "settings", "name": self.spec.name, "home": self._hooks.home}
        first |= {"supervisor": os.getpid(), "workers": self._hooks.workers()}
        self._run.send({**first, "settings": self._hooks.settings()})
        log.info("child_started", child=self.spec.name, pid=self._run.pid, start=self.starts)

    def _stop(self, now: float) -> None:
        self._follow(ChildEvent.STOP)
        if not self._run:
            return
        self._run.send({"type": "drain"})
        # A child that is still starting has nothing to drain and may not read its channel yet.
        term = now + (DRAIN_SECONDS if self._ready_at is not None else 0.0)
        self._deadlines = [(term, signal.SIGTERM), (term + TERM_SECONDS, signal.SIGKILL)]

    def _read_messages(self, run: ChildRun, now: float) -> None:
        for message in run.receive():
            self._heartbeat.heard(now)
            if message["type"] == "ready" and self.state is ChildState.STARTING:
                self._become_ready(now)
                sandbox = message.get("sandbox")
                self.sandbox = sandbox if isinstance(sandbox, dict) else {}
            elif message["type"] == "pong" and isinstance(message.get("fds"), int):
                self.descriptors = message["fds"]  # type: ignore[assignment] # checked just before
            elif message["type"] == "report" and isinstance(message.get("stats"), dict):
                self.last_report = message["stats"]  # type: ignore[assignment] # checked just before
            elif message["type"] == "renewed" and self.spec.kind == "enrol":
                certificates = message.get("certificates")
                self._hooks.renewed(certificates if isinstance(certificates, dict) else {})
            elif message["type"] in ("shared", "shared_outcome") and self.spec.kind == "hub":
                self._hooks.shared(message)

    def _become_ready(self, now: float) -> None:
        crash_point("supervisor.child.ready")
        self._follow(ChildEvent.READY)
        self._ready_at = now
        self._restart_policy.boot_failures = 0
        self.reason = ""
        seconds = round(now - self._started_at, 3)
        log.info("child_ready", child=self.spec.name, pid=self.pid, seconds=seconds)

    def _check_heartbeat(self, run: ChildRun, now: float) -> None:
        if self.state is ChildState.STOPPING:
            return  # it has deadlines instead
        timeout = self._hooks.heartbeat_timeout() if self._ready_at is not None else BOOT_SECONDS
        if self._heartbeat.ping_due(now, timeout):
            run.send({"type": "ping", "n": int(now)})
        verdict = self._heartbeat.judge(now, timeout)
        if verdict is Verdict.ABORT:
            self._kill_reason = f"no answer for {timeout:g} s"
            errors.error("child_hung", child=self.spec.name, pid=run.pid, why=self._kill_reason)
            run.signal(signal.SIGABRT)
        elif verdict is Verdict.KILL:
            run.signal(signal.SIGKILL)

    def _enforce_deadlines(self, run: ChildRun, now: float) -> None:
        while self._deadlines and now >= self._deadlines[0][0]:
            number = self._deadlines.pop(0)[1]
            self._kill_reason = f"did not stop in time, sent {number.name}"
            log.warning("child_slow_to_stop", child=self.spec.name, pid=run.pid, signal=number.name)
            run.signal(number)

    def _reap(self, run: ChildRun, now: float) -> None:
        code = run.poll()
        if code is None:
            return
        self._read_messages(run, now)
        self._run = None
        parts = [self._kill_reason, describe_exit(code)]
        if code != 0 and self.state is not ChildState.STOPPING:
            parts += _last_words(run.last_stderr[-STDERR_LINES_IN_REASON:])
        reason = "; ".join(part for part in parts if part)
        run.close()
        crash_point("supervisor.child.reaped")
        if self.state is ChildState.STOPPING and code not in FINAL_EXITS:
            self._follow(ChildEvent.ENDED)
            self.exit_code, self.reason = code, reason if code or self._kill_reason else ""
            log.info("child_stopped", child=self.spec.name, pid=run.pid, why=reason)
            return
        # A SIGKILL from elsewhere (a person, the OOM killer) does not show that the child cannot boot.
        killed_by_others = code == -signal.SIGKILL and not self._kill_reason
        boot_failed = self._ready_at is None and not killed_by_others and code != EXIT_STORAGE
        self._after_failure(now, code, reason, boot_failed)

    def _after_failure(self, now: float, code: int | None, reason: str, boot_failed: bool) -> None:
        self.exit_code, self.reason = code, reason
        delay = self._restart_policy.delay(now - self._ready_at if self._ready_at is not None else 0.0)
        self._restart_policy.boot_failures += boot_failed
        if final_reason := self._restart_policy.reason_to_give_up(code, reason):
            self.reason = final_reason
            self._follow(ChildEvent.GAVE_UP)
            errors.error("child_fatal", child=self.spec.name, why=self.reason)
            self._hooks.warn(f"{self.spec.name} will not be restarted: {self.reason}")
            return
        self._follow(ChildEvent.CRASHED)
        self._restart_at = now + delay
        errors.error("child_crashed", child=self.spec.name, why=reason, again_in=round(delay, 3))

    def _follow(self, event: ChildEvent) -> None:
        self.state = next_state(self.state, event)


def _last_words(lines: list[str]) -> list[str]:
    """Lines of stderr for a reason; of a traceback, only what it ends with."""
    words = [line for line in lines if not line.startswith((" ", "Traceback (most recent"))]
    return words if len(words) == len(lines) else [*words, "the traceback is in logs/errors.log"]
