"""The supervisor's loop: collect what happened, then bring everything to where it is wanted."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from chatd import __version__
from chatd.config.loading import load_settings
from chatd.config.reloading import compare, in_force
from chatd.config.schema import Settings
from chatd.crashpoints import crash_point
from chatd.errors import ChatdError
from chatd.logs import get_log, set_level
from chatd.logs.logfiles import LogFiles
from chatd.supervisor import operations
from chatd.supervisor.child import Child, Tools
from chatd.supervisor.control import SOCKET, ControlServer, Reply, answer, refusal
from chatd.supervisor.launch import Launched
from chatd.supervisor.monitor import Every, Monitor, describe
from chatd.supervisor.pid_lock import remember_children
from chatd.supervisor.process import ChildSpec, Process, RealProcess
from chatd.supervisor.signal_selector import Loop
from chatd.supervisor.states import State
from chatd.supervisor.systemd import notify, notify_reloading, watchdog_seconds
from chatd.supervisor.template_process import Template

TURN_SECONDS: Final = 0.25
WORK_TURN_SECONDS: Final = 0.02
"""An operation under way looks this often whether it can go on."""
STALL_SECONDS: Final = 1.0
"""A turn that took longer than this was the supervisor's own standstill, not its children's."""

log = get_log("server")
errors = get_log("errors")


@dataclass
class Work:
    """The one operation under way, and whom to tell how it ended."""

    name: str
    operation: operations.Operation
    replies: list[Reply] = field(default_factory=list)


class Arbiter:
    """Owns the children of one home. ``fds`` are the listeners that children inherit, by name."""

    def __init__(
        self,
        home: Path,
        settings: Settings,
        specs: Sequence[ChildSpec],
        fds: dict[str, int],
        files: LogFiles,
        address: str,
        foreground: bool,
        launched: Launched | None = None,
    ) -> None:
        self._home = home
        self._settings = settings
        self._fds = fds
        self._files = files
        self._address = address
        self._foreground = foreground
        self._loop = Loop()
        self._started = self._now = time.monotonic()
        self._template = Template(home, specs, self._loop.watch, self._loop.unwatch, launched)
        tools = Tools(self._spawn, self._dump_settings, self._patience, _alarm, str(home), self._may_spawn)
        self._children = [Child(spec, tools) for spec in specs]
        self._control = ControlServer(home / SOCKET, self._handle, self._loop.watch, self._loop.unwatch)
        self._monitor = Monitor()
        self._timers = {name: Every(self._now) for name in ("sample", "stats", "console", "watchdog")}
        self._watchdog = watchdog_seconds()
        self._pids: dict[str, int] = {}
        self._was_up = False
        self._stopping = False
        self._farewells: list[Reply] | None = None
        self._work: Work | None = Work("start", operations.start(self._children))
        self._requests = {
            "ping": lambda request: answer(pid=os.getpid()),
            "status": lambda request: answer(**self.status()),
            "reload": lambda request: self._reload(),
            "reopen": lambda request: self._reopen(),
        }

    def run(self) -> None:
        """Until somebody asks to stop and all children have ended."""
        while self._farewells is None:
            self._turn()
        self._template.close()

    def close(self) -> None:
        """Answer those who asked for the stop; call once `chatd start` would work again."""
        self._control.refuse_more()
        for reply in self._farewells or []:
            reply(answer(state="stopped"))
        self._control.tick(time.monotonic())
        self._control.close()
        self._loop.close()

    def status(self) -> dict[str, object]:
        """The whole of it, as `chatd status --json` shows it."""
        now = time.monotonic()
        return {
            "schema": 1,
            "state": self._state(),
            "pid": os.getpid(),
            "version": __version__,
            "uptime": round(now - self._started, 1),
            "address": self._address,
            "log_lines_dropped": self._files.dropped,
            "children": [self._child_status(child, now) for child in self._children],
            "box": self._monitor.box,
        }

    def _turn(self) -> None:
        for number in self._loop.wait(self._timeout()):
            self._signalled(number)
        before, self._now = self._now, time.monotonic()
        if self._now - before > STALL_SECONDS:
            for child in self._children:
                child.forgive(self._now - before)
        self._step_work()
        self._template.tick(
            self._now,
            wanted=self._settings.workers.template and not self._stopping,
            children=[child.pid for child in self._children],
        )
        for child in self._children:
            child.tick(self._now)
        self._note_pids()
        self._observe()
        self._control.tick(self._now)

    def _timeout(self) -> float:
        due = [] if self._template.loading else [child.start_due() for child in self._children]
        longest = WORK_TURN_SECONDS if self._work else TURN_SECONDS
        return min([longest, *(at - time.monotonic() for at in due if at is not None)])

    def _signalled(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._begin_stop(None)
        elif number == signal.SIGUSR1:
            self._reopen()
        elif number == signal.SIGHUP:
            try:
                self._reload()
            except (ChatdError, ValueError, OSError) as error:
                _alarm(f"reload refused: {error}")

    def _handle(self, request: dict[str, object], reply: Reply) -> None:
        kind = request["type"]
        try:
            if kind == "stop":
                self._begin_stop(reply)
            elif kind == "restart":
                self._begin_restart(reply, rolling=request.get("rolling") is True)
            elif isinstance(kind, str) and kind in self._requests:
                reply(self._requests[kind](request))
            else:
                raise ChatdError("E103", f"the supervisor does not know the request {str(kind)[:40]!r}")
        except ChatdError as error:
            reply(refusal(error))
        except Exception:  # noqa: BLE001 - no request may end the supervisor
            errors.exception("control_failed", request=kind)
            reply(refusal(ChatdError("E500")))

    def _begin_restart(self, reply: Reply, rolling: bool) -> None:
        if self._work:
            raise ChatdError(
                "E409", f"chatd is busy: {self._work.name} is under way", "try again in a moment"
            )
        self._template.drop()  # whoever restarts may have installed something newer
        operation = operations.rolling_restart if rolling else operations.restart
        self._work = Work("restart", operation(self._children), [reply])
        log.info("restart", rolling=rolling)

    def _begin_stop(self, reply: Reply | None) -> None:
        if not self._stopping:
            self._stopping = True
            crash_point("supervisor.stop.begun")
            if self._work:
                self._finish_work(self._work, ChatdError("E502", "chatd is stopping"))
            self._work = Work("stop", operations.stop(self._children))
            log.info("stopping")
            notify("STOPPING=1")
        if self._work and reply:
            self._work.replies.append(reply)

    def _step_work(self) -> None:
        work = self._work
        if work is None:
            return
        try:
            next(work.operation)
        except StopIteration:
            self._finish_work(work, None)
        except ChatdError as error:
            self._finish_work(work, error)

    def _finish_work(self, work: Work, error: ChatdError | None) -> None:
        self._work = None
        work.operation.close()
        if work.name == "stop":
            self._farewells = work.replies
            log.info("stopped")
            return
        if error is None:
            self._come_up(work.name)
        else:
            errors.error("work_failed", work=work.name, code=error.code, why=error.reason)
        for reply in work.replies:
            reply(answer(**self.status()) if error is None else refusal(error))

    def _come_up(self, name: str) -> None:
        crash_point("supervisor.start.before_up")
        self._was_up = True
        self._sample()  # so that nobody who asks now has to wait for the first period
        log.info("up", after=name, address=self._address, version=__version__)
        notify(f"READY=1\nSTATUS=listening on {self._address}")
        if self._foreground:
            _say(f"chatd {__version__} listens on {self._address}, pid {os.getpid()}")

    def _reload(self) -> dict[str, object]:
        """Raises ChatdError E600 when the file is not valid; the old settings then stay in force."""
        notify_reloading()
        try:
            settings = load_settings(self._home, os.environ)
            changes = compare(self._settings, settings)
            settings = in_force(self._settings, settings)
            self._files.configure(settings.logging)
        except ChatdError as error:
            errors.error("reload_refused", code=error.code, why=error.reason)
            raise
        finally:
            notify("READY=1")
        self._settings = settings
        set_level(settings.logging.level)
        for child in self._children:
            child.send({"type": "reload", "settings": self._dump_settings()})
            crash_point("supervisor.reload.half")
        log.info("reloaded", applied=changes.applied, needs_restart=changes.needs_restart)
        return answer(applied=list(changes.applied), needs_restart=list(changes.needs_restart))

    def _reopen(self) -> dict[str, object]:
        self._files.reopen()
        log.info("logs_reopened")
        return answer()

    def _note_pids(self) -> None:
        pids = {child.spec.name: child.pid for child in self._children if child.pid is not None}
        pids |= self._template.pids()
        if pids != self._pids:
            self._pids = pids
            remember_children(self._home / "run", pids)

    def _observe(self) -> None:
        periods = self._settings.monitor
        if self._timers["sample"].due(self._now, periods.sample_seconds):
            self._sample()
        if self._timers["stats"].due(self._now, periods.stats_seconds):
            message = self._monitor.message()
            log.info("STATS", state=self._state(), processes=message["processes"], box=message["box"])
        if self._timers["console"].due(self._now, periods.console_seconds) and self._foreground:
            _say(self._monitor.console_line(self._state()))
        if self._watchdog and self._timers["watchdog"].due(self._now, self._watchdog):
            notify("WATCHDOG=1")

    def _sample(self) -> None:
        self._monitor.sample(self._children, self._now)
        for child in self._children:
            if child.spec.kind == "hub" and child.is_up:
                child.send(self._monitor.message())

    def _state(self) -> str:
        if self._stopping:
            return "stopping"
        if all(child.is_up for child in self._children):
            return "running"
        failed = any(child.state is State.FATAL for child in self._children)
        return "degraded" if failed or self._was_up else "starting"

    def _child_status(self, child: Child, now: float) -> dict[str, object]:
        usage = self._monitor.usage(child.spec.name, child.pid)
        measured = {name: usage.get(name) for name in ("cpu", "rss", "threads", "fds")}
        known = {"why": child.why, "exit_code": child.exit_code, "report": child.last_report}
        return describe(child, now) | measured | known

    def _may_spawn(self) -> bool:
        return not self._template.loading

    def _spawn(self, spec: ChildSpec) -> Process:
        fds = {name: self._fds[name] for name in spec.fds}
        watch, unwatch = self._loop.watch, self._loop.unwatch
        started = partial(RealProcess, spec, self._home, fds, self._files, watch, unwatch)
        if start := self._template.starter(spec):
            try:
                return started(start)
            except OSError:
                pass  # the template is given up, and has said why
        return started()

    def _dump_settings(self) -> dict[str, object]:
        return self._settings.model_dump(mode="json")

    def _patience(self) -> float:
        return self._settings.workers.heartbeat_timeout


def _say(text: str) -> None:
    try:
        print(text, flush=True)
    except OSError:  # a terminal that was closed does not end the daemon
        return


def _alarm(text: str) -> None:
    try:
        print(f"chatd: {text}", file=sys.stderr, flush=True)
    except OSError:
        return
