"""``chatd start`` and ``restart``."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

import click

from chatd.cli.lifecycle import POLL_SECONDS, not_answering, status_or_none, stop_server
from chatd.cli.options import LAUNCHED, wait_option
from chatd.config.home import Home
from chatd.config.loading import load_settings
from chatd.console import output, streams
from chatd.console.pasting import chatd_command
from chatd.errors import ChatdError
from chatd.hub.recovery import clock
from chatd.pki.home_name import refuse_other_name
from chatd.store.branches import begin_branch
from chatd.store.event_log import EventLog
from chatd.store.home_place import record_place, refuse_copy
from chatd.supervisor.control import ask
from chatd.supervisor.listeners import require_free
from chatd.supervisor.main import raise_if_fatal, run, start_daemon
from chatd.supervisor.pid_lock import PidLock, supervisor_pid

# A rolling restart replaces one process at a time; each worker drains for up to 3 s.
RESTART_SECONDS = 300.0


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
        _refuse_given_up(home, running)
        output.note(f"chatd is already running (pid {running['pid']}, {running['address']})")
        _note_page(running)
        return
    workers = sum(c["kind"] == "worker" for c in status["children"])  # type: ignore[attr-defined]
    output.line(f"chatd listens on {status['address']} (pid {status['pid']}, hub and {workers} workers)")
    _note_page(status)


def _refuse_given_up(home: Home, running: dict[str, object]) -> None:
    """Say why a server that runs does not serve. Raises E609, E610."""
    try:
        raise_if_fatal(running)
    except ChatdError as error:
        fix = f"{error.fix}; then run: {chatd_command(home.path, 'restart')}"
        raise ChatdError(error.code, error.reason, fix) from None


def _note_page(status: Mapping[str, object]) -> None:
    if status.get("page"):
        output.note(f"in a browser: {status['page']}")


def _running_status(home: Home, seconds: float) -> dict[str, object] | None:
    """Return the status of a server that runs, waiting for one that starts; None if there is none."""
    status = status_or_none(home)
    if status is None and supervisor_pid(home.data) is not None:
        return _status_of_other_start(home, seconds, not_answering(home))
    return status


def _status_of_other_start(home: Home, seconds: float, error: ChatdError) -> dict[str, object]:
    """Wait for the server that another command has started. Raises ``error`` if it does not come up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status = status_or_none(home)
        if status is not None and status["state"] == "running":
            return status
        if status is None and supervisor_pid(home.data) is None:
            break
        time.sleep(POLL_SECONDS)
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
    server = load_settings(home.path, os.environ).server
    refuse_other_name(home.path, server.name)
    if (status := status_or_none(home)) is not None:
        require_free(server.host, server.port, str(status["address"]))
        stop_server(home)
    status = start_daemon(home.path, float(seconds))
    output.line(f"chatd listens on {status['address']} (pid {status['pid']})")
    _note_page(status)
