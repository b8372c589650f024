"""``chatd start``, ``stop``, ``status``, ``restart``, ``reload``: requests to the supervisor."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click

from chatd.cli.options import LAUNCHED, json_option, wait_option
from chatd.config.home import Home
from chatd.config.loading import load_settings
from chatd.console import format as fmt
from chatd.console import output, streams
from chatd.console.pasting import chatd_command
from chatd.errors import ChatdError
from chatd.hub.recovery import clock
from chatd.store.branches import begin_branch
from chatd.store.event_log import EventLog
from chatd.store.home_place import record_place, refuse_copy
from chatd.store.log_files import wal_held
from chatd.supervisor.control import ask
from chatd.supervisor.main import run, start_daemon
from chatd.supervisor.pid_lock import PidLock, supervisor_pid

ASK_SECONDS = 10.0
# A worker drains for up to 3 s; a rolling restart replaces one process at a time.
STOP_SECONDS = 30.0
RESTART_SECONDS = 300.0
_POLL_SECONDS = 0.05
TROUBLE_INDENT = 12


@click.command()
@click.option(
    "--foreground", is_flag=True, help="Stay in the terminal and print a line of stats now and then."
)
@click.option(
    "--as-copy", is_flag=True, help="In a copy of a home: begin a branch of its log, then start the server."
)
@wait_option
@click.pass_context
def start(ctx: click.Context, foreground: bool, as_copy: bool, seconds: int) -> None:
    """Start the server. Does nothing if it is already running."""
    home: Home = ctx.obj
    home.require_initialised()
    if as_copy:
        _begin_copy(home)
    refuse_copy(home.path)
    record_place(home.path)
    if foreground:
        run(home.path, foreground=True, launched=ctx.meta.get(LAUNCHED))
        streams.forgive()
        return
    running = _running_status(home, float(seconds))
    if running is None:
        try:
            status = start_daemon(home.path, float(seconds))
        except ChatdError as error:
            if error.code != "E604":
                raise
            running = _status_of_other_start(home, float(seconds), error)
    if running is not None:
        output.note(f"chatd is already running (pid {running['pid']}, {running['address']})")
        return
    workers = sum(c["kind"] == "worker" for c in status["children"])  # type: ignore[attr-defined]
    output.line(f"chatd listens on {status['address']} (pid {status['pid']}, hub and {workers} workers)")


def _running_status(home: Home, seconds: float) -> dict[str, object] | None:
    """Return the status of a server that runs, waiting for one that starts; None if there is none."""
    status = _status_or_none(home)
    if status is None and supervisor_pid(home.data) is not None:
        return _status_of_other_start(home, seconds, _not_answering(home))
    return status


def _status_of_other_start(home: Home, seconds: float, error: ChatdError) -> dict[str, object]:
    """Wait for the server that another command has started. Raises ``error`` if it does not come up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status = _status_or_none(home)
        if status is not None and status["state"] == "running":
            return status
        if status is None and supervisor_pid(home.data) is None:
            break
        time.sleep(_POLL_SECONDS)
    raise error


def _begin_copy(home: Home) -> None:
    """Give the copy of a log a branch of its own, so that clients can tell it from the original."""
    lock = PidLock(home.data)
    try:
        log = EventLog.open(home.data, now=clock(), must_exist=True)
        log.close()
        begin_branch(home.data, log.head)
        record_place(home.path)
    finally:
        lock.release()
    output.note("began a branch of the log: this server no longer continues the one it was copied from")


@click.command()
@click.pass_obj
def stop(home: Home) -> None:
    """Stop the server: disconnect clients, close the log. Does nothing if it is not running."""
    home.require_initialised()
    status = _status_or_none(home)
    if status is not None:
        _stop(home)
    elif not _terminate(home):
        output.note("chatd is not running")
        return
    output.line("chatd stopped")


def _terminate(home: Home) -> bool:
    """Stop a server that lost its sockets; return False if none runs. Raises E606, E611."""
    pid = supervisor_pid(home.data)
    if pid is None:
        return False
    output.note(f"chatd runs as pid {pid} but its sockets in {home.run} are gone: sending SIGTERM")
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if supervisor_pid(home.data) == pid:  # the handle is that of no later process
            signal.pidfd_send_signal(handle, signal.SIGTERM)
    except ProcessLookupError:
        return False
    except PermissionError:
        raise ChatdError("E606", f"chatd runs as pid {pid} of another user", "stop it as that user") from None
    finally:
        os.close(handle)
    deadline = time.monotonic() + STOP_SECONDS
    while supervisor_pid(home.data) == pid:
        if time.monotonic() >= deadline:
            raise ChatdError("E611", f"chatd, pid {pid}, did not end in time")
        time.sleep(_POLL_SECONDS)
    return True


def _stop(home: Home) -> None:
    ask(home.path, {"type": "stop"}, STOP_SECONDS)
    deadline = time.monotonic() + STOP_SECONDS
    while _status_or_none(home) is not None:
        if time.monotonic() >= deadline:
            raise ChatdError("E611", "chatd did not end in time")
        time.sleep(_POLL_SECONDS)


@click.command()
@json_option
@click.pass_obj
def status(home: Home, as_json: bool) -> None:
    """Show each process: state, pid, restarts, uptime, CPU, memory, threads; and the sandboxes."""
    home.require_initialised()
    answer = _status_or_none(home)
    if answer is None:
        raise _not_answering(home)
    if as_json:
        output.json_document(answer)
        return
    box: Any = answer.get("box") or {}
    output.line(
        f"chatd {answer['version']}  {answer['state']}  {answer['address']}  "
        f"pid {answer['pid']}  up {fmt.duration(answer['uptime'])}"
    )
    if box:
        output.line(f"box  {fmt.box(box)}")
    if lost := lost_log_lines(answer):
        output.line(f"logs  {lost}")
    if held := wal_held(home.data):
        output.line(f"log  {held}")
    children: Any = answer["children"]
    heading, *rows = fmt.processes(children)
    output.line(heading)
    for row, child in zip(rows, children, strict=True):
        output.line(row)
        for trouble in _troubles(child):
            output.lines(f"{' ' * TROUBLE_INDENT}{trouble}", TROUBLE_INDENT)
    for line in _sandbox_lines(children):
        output.line(line)


def _troubles(child: dict[str, Any]) -> Iterator[str]:
    report = child.get("report") or {}
    if child.get("why"):
        yield child["why"]
    if locked := report.get("locked_by"):
        yield f"{locked} has locked data/events.db; everybody waits (E504)"
    if report.get("ca_key") is False:
        yield "the CA's key is not on this server: nothing is issued or renewed until chatd ca import (W118)"
    if child["state"] == "running" and report.get("writable") is False:
        yield "the disk is full: writes fail, reads work; free some space (E504)"


def _sandbox_lines(children: Iterable[dict[str, Any]]) -> list[str]:
    """Say which parts of the sandbox are in force, one line for all processes with the same ones."""
    processes: dict[str, list[str]] = {}
    for child in children:
        parts: Any = child.get("sandbox") or {}
        if parts:
            missing = [name for name, holds in parts.items() if not holds]
            text = ", ".join(name for name, holds in parts.items() if holds) or "nothing"
            text += f"; not in force here: {', '.join(missing)}" if missing else ""
            processes.setdefault(text, []).append(str(child["name"]))
    return [f"sandbox  {', '.join(names)}: {text}" for text, names in processes.items()]


@click.command()
@click.option(
    "--rolling",
    is_flag=True,
    help="Replace workers and hub one by one; the server stays reachable, the settings in force.",
)
@wait_option
@click.pass_obj
def restart(home: Home, rolling: bool, seconds: int) -> None:
    """Restart the server with the settings in the file. Clients reconnect by themselves."""
    home.require_initialised()
    if rolling:
        ask(home.path, {"type": "restart", "rolling": True}, RESTART_SECONDS)
        output.line("the hub and every worker were replaced")
        return
    # Do not stop a running server whose settings would keep it from starting again.
    load_settings(home.path, os.environ)
    if _status_or_none(home) is not None:
        _stop(home)
    status = start_daemon(home.path, float(seconds))
    output.line(f"chatd listens on {status['address']} (pid {status['pid']})")


@click.command()
@click.pass_obj
def reload(home: Home) -> None:
    """Apply changes of config/settings.json. If the file is not valid, nothing changes."""
    home.require_initialised()
    answer = ask(home.path, {"type": "reload"}, ASK_SECONDS)
    applied: Any = answer.get("applied") or []
    waiting: Any = answer.get("needs_restart") or []
    output.line("in force now: " + (", ".join(applied) or "nothing changed"))
    if waiting:
        output.note("only after a restart: " + ", ".join(waiting))
        output.note("run: chatd restart")


def lost_log_lines(status: Mapping[str, Any]) -> str:
    """Say how many lines the logs have lost, and why if they still lose some; "" if none are lost."""
    count, problem = status.get("log_lines_dropped", 0), status.get("log_problem", "")
    if problem:
        return f"{count} lines lost so far: {problem}"
    return f"{count} lines were lost, none now" if count else ""


def _not_answering(home: Home) -> ChatdError:
    pid = supervisor_pid(home.data)
    if pid is None:
        return ChatdError("E603", fix=f"run: {chatd_command(home.path, 'start')}")
    fix = f"run: {chatd_command(home.path, 'stop')}; {chatd_command(home.path, 'start')}"
    return ChatdError("E611", f"chatd runs as pid {pid} but does not answer in {home.run}", fix)


def _status_or_none(home: Home) -> dict[str, object] | None:
    try:
        return ask(home.path, {"type": "status"}, ASK_SECONDS)
    except ChatdError as error:
        if error.code == "E603":
            return None
        raise
