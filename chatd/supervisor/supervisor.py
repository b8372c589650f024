"""The supervisor's loop: take in what happened, then move every child to its wanted state."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, cast

from chatd import __version__
from chatd.child.peers import login_name
from chatd.config.loading import load_settings
from chatd.config.page_address import page_address
from chatd.config.reloading import compare, in_force
from chatd.config.schema import Settings
from chatd.crashpoints import crash_point
from chatd.errors import ChatdError
from chatd.logs import get_log, set_level
from chatd.logs.logfiles import LogFiles
from chatd.pki.home_name import refuse_other_name
from chatd.supervisor import operations
from chatd.supervisor.acts import for_the_event_log, read_act
from chatd.supervisor.child import Child, ChildHooks
from chatd.supervisor.control import (
    SOCKET,
    ControlServer,
    Reply,
    error_from_reply,
    error_reply,
    ok_reply,
)
from chatd.supervisor.launch import LaunchedTemplate
from chatd.supervisor.listeners import tell_addresses
from chatd.supervisor.monitor import PeriodicTimer, ProcessMonitor, print_safely
from chatd.supervisor.pid_lock import record_children
from chatd.supervisor.process import ChildProcess, ChildRun, ChildSpec
from chatd.supervisor.shared_reload import ANSWER_SECONDS, PendingReload, SharedReload
from chatd.supervisor.signal_selector import SignalSelector
from chatd.supervisor.states import ChildState
from chatd.supervisor.systemd import notify, notify_reloading, watchdog_seconds
from chatd.supervisor.template_process import TemplateProcess

TICK_SECONDS: Final = 0.25
OPERATION_TICK_SECONDS: Final = 0.02
"""The tick while an operation is in progress."""
STALL_SECONDS: Final = 1.0
"""If an iteration took longer, the supervisor itself was suspended, not its children."""

LINKED: Final = ("worker", "enrol", "gateway")
"""The kinds of children that have a link to the hub, which knows each by its pid."""

log = get_log("server")
log_audit = get_log("audit")
errors = get_log("errors")

By = dict[str, object]
"""The fields that tell which operator acts."""
_BY_SERVER: Final[By] = {"by": "server"}
_BY_SIGNAL: Final[By] = _BY_SERVER | {"signal": True}


@dataclass
class CurrentOperation:
    """The operation in progress, and who gets a reply when it ends."""

    name: str
    steps: operations.Operation
    replies: list[Reply]


class Supervisor:
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
        launched: LaunchedTemplate | None = None,
    ) -> None:
        self._home = home
        self._settings = settings
        self._fds = fds
        self._files = files
        self._address = address
        self._foreground = foreground
        self._selector = SignalSelector()
        watch, unwatch = self._selector.watch, self._selector.unwatch
        self._started_at = self._now = time.monotonic()
        self._template = TemplateProcess(specs, watch, unwatch, launched)
        hooks = ChildHooks(
            spawn=self._spawn,
            settings=self._dump_settings,
            heartbeat_timeout=lambda: self._settings.workers.heartbeat_timeout,
            warn=_warn,
            home=str(home),
            may_spawn=lambda: not self._template.loading,
            workers=lambda: self._workers,
            renewed=self._use_renewed,
            shared=self._take_shared,
        )
        self._children = [Child(spec, hooks) for spec in specs]
        self._shared = SharedReload(home, self._send_to_hub)
        self._control = ControlServer(home / SOCKET, self._handle, watch, unwatch)
        self._monitor = ProcessMonitor(self._children, lambda: self._files.dropped)
        self._watchdog_period = watchdog_seconds()
        self._watchdog_timer = PeriodicTimer(self._now)
        self._pids: dict[str, int] = {}
        # The workers' pids by name, by which the hub knows their links.
        self._workers: dict[str, int] = {}
        self._was_up = False
        self._stopping = False
        self._stop_replies: list[Reply] | None = None
        self._operation: CurrentOperation | None = None
        self._begin_operation("start", operations.start(self._children))

    def run(self) -> None:
        """Return once a stop was requested and all children have ended."""
        while self._stop_replies is None:
            self._iterate()
        self._template.close()

    def close(self) -> None:
        """Reply to the stop requests. Call only when `chatd start` would work again."""
        self._control.stop_listening()
        for reply in self._stop_replies or []:
            reply(ok_reply(state="stopped"))
        self._control.update(time.monotonic())
        self._control.close()
        self._selector.close()

    def status(self) -> dict[str, object]:
        """Return what `chatd status --json` prints."""
        now = time.monotonic()
        return {
            "schema": 1,
            "state": self._state(),
            "pid": os.getpid(),
            "version": __version__,
            "uptime": round(now - self._started_at, 1),
            "address": self._address,
            "page": page_address(self._settings),
            "log_lines_dropped": self._files.dropped,
            "log_problem": self._files.problem,
            "children": [self._monitor.status(child, now) for child in self._children],
            "box": self._monitor.box,
        }

    def _iterate(self) -> None:
        for number in self._selector.wait(self._timeout()):
            self._handle_signal(number)
        before, self._now = self._now, time.monotonic()
        if self._now - before > STALL_SECONDS:
            for child in self._children:
                child.extend_heartbeat(self._now - before)
        self._advance_operation()
        for pending in self._shared.overdue(self._now):
            self._end_reload(pending)
        self._template.update(
            self._now,
            wanted=self._settings.workers.template and not self._stopping,
            children=[child.pid for child in self._children],
        )
        for child in self._children:
            child.update(self._now)
        self._record_pids()
        self._monitor.update(self._now, self._settings.monitor, self._state(), console=self._foreground)
        if self._watchdog_period and self._watchdog_timer.due(self._now, self._watchdog_period):
            notify("WATCHDOG=1")
        self._control.update(self._now)

    def _timeout(self) -> float:
        restarts = [] if self._template.loading else [child.restart_due() for child in self._children]
        tick = OPERATION_TICK_SECONDS if self._operation else TICK_SECONDS
        return min([tick, *(at - time.monotonic() for at in restarts if at is not None)])

    def _handle_signal(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._begin_stop(None, _BY_SIGNAL)
        elif number == signal.SIGUSR1:
            self._reopen()
        elif number == signal.SIGHUP:
            try:
                self._reload(_BY_SIGNAL, _warn_of_refusal)
            except (ChatdError, ValueError, OSError) as error:
                _warn(f"reload refused: {error}")

    def _handle(self, request: dict[str, object], reply: Reply) -> None:
        try:
            self._handle_request(request, reply)
        except ChatdError as error:
            reply(error_reply(error))
        except Exception:  # noqa: BLE001 - no request may end the supervisor
            errors.exception("control_failed", request=request["type"])
            reply(error_reply(ChatdError("E500")))

    def _handle_request(self, request: dict[str, object], reply: Reply) -> None:
        by = cast(By, request["by"])
        match request["type"]:
            case "ping":
                reply(ok_reply(pid=os.getpid()))
            case "status":
                reply(ok_reply(**self.status()))
            case "reload":
                self._reload(by, reply)
            case "reopen":
                reply(self._reopen())
            case "stop":
                self._begin_stop(reply, by)
            case "restart":
                self._begin_restart(reply, by, rolling=request.get("rolling") is True)
            case "act":
                reply(self._note_act(*read_act(request), by))
            case other:
                raise ChatdError("E103", f"the supervisor does not know the request {str(other)[:40]!r}")

    def _note_act(self, act: str, fields: dict[str, object], by: By) -> dict[str, object]:
        log_audit.info(act, **fields | by)
        for child in self._children:
            if child.spec.kind == "hub" and child.is_up:
                child.send({"type": "act", "act": act, "by": by, "fields": for_the_event_log(fields)})
        return ok_reply()

    def _begin_restart(self, reply: Reply, by: By, rolling: bool) -> None:
        if self._operation:
            reason = f"chatd is busy: a {self._operation.name} is in progress"
            raise ChatdError("E409", reason, "try again in a moment")
        self._template.kill()  # newer code may have been installed
        operation = operations.rolling_restart if rolling else operations.restart
        self._begin_operation("restart", operation(self._children), reply)
        log_audit.info("restart", rolling=rolling, **by)

    def _begin_stop(self, reply: Reply | None, by: By) -> None:
        if not self._stopping:
            self._stopping = True
            crash_point("supervisor.stop.begun")
            if self._operation:
                self._end_operation(self._operation, ChatdError("E502", "chatd is stopping"))
            self._begin_operation("stop", operations.stop(self._children))
            log_audit.info("stopping", **by)
            notify("STOPPING=1")
        if self._operation and reply:
            self._operation.replies.append(reply)

    def _begin_operation(self, name: str, steps: operations.Operation, *replies: Reply) -> None:
        self._operation = CurrentOperation(name, steps, list(replies))

    def _advance_operation(self) -> None:
        if self._operation is None:
            return
        try:
            next(self._operation.steps)
        except StopIteration:
            self._end_operation(self._operation, None)
        except ChatdError as error:
            self._end_operation(self._operation, error)

    def _end_operation(self, operation: CurrentOperation, error: ChatdError | None) -> None:
        self._operation = None
        operation.steps.close()
        if operation.name == "stop":
            self._stop_replies = operation.replies
            log.info("stopped")
            return
        if error is None:
            self._announce_up(operation.name)
        elif error.code == "E502":
            log.info("interrupted", work=operation.name, why=error.reason)
        else:
            errors.error("work_failed", work=operation.name, code=error.code, why=error.reason)
        for reply in operation.replies:
            reply(ok_reply(**self.status()) if error is None else error_reply(error))

    def _announce_up(self, operation: str) -> None:
        crash_point("supervisor.start.before_up")
        self._was_up = True
        self._monitor.sample(self._now)  # a status request now gets usage without waiting a period
        if operation == "start":
            uid = os.getuid()
            log_audit.info("started", by="server", by_uid=uid, by_login=login_name(uid), version=__version__)
        log.info("up", after=operation, address=self._address, version=__version__)
        notify(f"READY=1\nSTATUS=listening on {self._address}")
        if self._foreground:
            print_safely(f"chatd {__version__} listens on {self._address}, pid {os.getpid()}")
            if page := page_address(self._settings):
                print_safely(f"in a browser: {page}")

    def _reload(self, by: By, reply: Reply) -> None:
        """Raises ChatdError E600 if the file is not valid; the old settings then stay in force.

        Replies once they are in force: in a cluster, once the other nodes have what they share of them.
        """
        if not (self._home / "config").is_dir():
            reason = f"{self._home} was moved or removed while chatd ran"
            raise ChatdError("E606", reason, "move it back, or stop chatd and start it in its new place")
        notify_reloading()
        try:
            self._shared.bring_file_in_line()
            settings = load_settings(self._home, os.environ)
            refuse_other_name(self._home, settings.server.name)
            changes = compare(self._settings, settings)
            pending = PendingReload(settings, changes, by, reply, self._now + ANSWER_SECONDS)
            if not self._shared.begin(self._settings, pending):
                self._use(pending)
        except ChatdError as error:
            errors.error("reload_refused", code=error.code, why=error.reason, **by)
            raise
        finally:
            notify("READY=1")

    def _use(self, pending: PendingReload) -> None:
        """Put the settings of a reload in force. Raises E606 if the logs cannot be written as they say."""
        settings = self._shared.over(in_force(self._settings, pending.settings))
        self._files.configure(settings.logging)
        self._settings = settings
        tell_addresses(self._home, self._address, settings)
        set_level(settings.logging.level)
        self._send_reload(pending.by)
        applied, waiting = pending.changes
        log_audit.info("reloaded", applied=applied, needs_restart=waiting, **pending.by)
        shared = list(pending.shared)
        pending.reply(ok_reply(applied=applied, needs_restart=waiting, shared=shared))

    def _end_reload(self, pending: PendingReload) -> None:
        """Reply to a reload that the cluster has judged."""
        try:
            if pending.refusal is not None:
                raise pending.refusal
            self._use(pending)
        except ChatdError as error:
            errors.error("reload_refused", code=error.code, why=error.reason, **pending.by)
            pending.reply(error_reply(error))

    def _take_shared(self, message: dict[str, object]) -> None:
        """Take what the hub tells of the settings that the nodes share: those in force, or an answer."""
        if message["type"] == "shared_outcome":
            if (pending := self._shared.answered(message)) is not None:
                self._end_reload(pending)
            return
        by, shared = cast(By, message["by"]), cast(dict[str, object], message["shared"])
        before, fresh = self._settings, message["fresh"] is True
        self._settings = self._shared.take(before, shared, fresh=fresh)
        if (applied := compare(before, self._settings).applied) and not self._stopping:
            self._send_reload(by)
            # Of a reload here the line is written once all of it is in force.
            own = message["node"] == self._settings.cluster.node and self._shared.waits
            if fresh and not own:
                log_audit.info("reloaded", applied=applied, node=message["node"], **by)

    def _send_to_hub(self, message: dict[str, object]) -> bool:
        """Send to the hub; return False if it does not run."""
        for child in self._children:
            if child.spec.kind == "hub" and child.is_up:
                child.send(message)
                return True
        return False

    def _send_reload(self, by: By) -> None:
        """Let every child take the settings in force, and its files as they are now."""
        for child in self._children:
            child.send({"type": "reload", "settings": self._dump_settings(), "by": by})
            crash_point("supervisor.reload.half")

    def _use_renewed(self, certificates: dict[str, object]) -> None:
        """Put certificates that the enrol process has renewed into use. The settings are not read again."""
        if self._stopping:
            return
        # Only now: the supervisor needs cryptography for nothing else.
        from chatd.supervisor.renewed_certificates import install

        try:
            ends = install(self._home / "certs", certificates, datetime.now(UTC))
        except ChatdError as error:
            errors.error("certificates_not_renewed", code=error.code, why=error.reason, fix=error.fix)
            return
        except Exception:  # noqa: BLE001 - no child may end the supervisor
            errors.exception("certificates_not_renewed")
            return
        self._note_act("certificates_renewed", {"ends": ends}, _BY_SERVER)
        self._send_reload(_BY_SERVER)

    def _reopen(self) -> dict[str, object]:
        self._files.reopen()
        log.info("logs_reopened")
        return ok_reply()

    def _record_pids(self) -> None:
        pids = {child.spec.name: child.pid for child in self._children if child.pid is not None}
        pids |= self._template.pids()
        if pids != self._pids:
            self._pids = pids
            record_children(self._home / "run", pids)
            self._tell_workers(
                {c.spec.name: c.pid for c in self._children if c.spec.kind in LINKED and c.pid}
            )

    def _state(self) -> str:
        if self._stopping:
            return "stopping"
        if all(child.is_up for child in self._children):
            return "running"
        failed = any(child.state is ChildState.FATAL for child in self._children)
        return "degraded" if failed or self._was_up else "starting"

    def _tell_workers(self, workers: dict[str, int]) -> None:
        """Tell the hub the workers' pids, if they have changed."""
        if workers != self._workers:
            self._workers = workers
            for child in self._children:
                if child.spec.kind == "hub":
                    child.send({"type": "workers", "workers": workers})

    def _spawn(self, spec: ChildSpec) -> ChildRun:
        run = self._start_run(spec)
        if spec.kind in LINKED:
            # Before it gets its settings, hence before it can connect to the hub.
            self._tell_workers({**self._workers, spec.name: run.pid})
        return run

    def _start_run(self, spec: ChildSpec) -> ChildRun:
        fds = {name: self._fds[name] for name in spec.fds}
        watch, unwatch = self._selector.watch, self._selector.unwatch
        spawn = partial(ChildProcess, spec, fds, self._files, watch, unwatch)
        if start := self._template.starter(spec):
            try:
                return spawn(start)
            except OSError:
                pass  # the template has logged the reason and given up
        return spawn()

    def _dump_settings(self) -> dict[str, object]:
        return self._settings.model_dump(mode="json")


def _warn_of_refusal(reply: dict[str, object]) -> None:
    if reply["type"] == "error":
        _warn(f"reload refused: {error_from_reply(reply)}")


def _warn(text: str) -> None:
    print_safely(f"chatd: {text}", sys.stderr)
