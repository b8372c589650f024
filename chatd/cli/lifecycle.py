"""``chatd stop``, ``status``, ``reload``: requests to the supervisor.

They import nothing of the server itself, whose modules take half a second to load.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click

from chatd.cli.options import json_option
from chatd.config.home import Home
from chatd.console import format as fmt
from chatd.console import output
from chatd.console.pasting import chatd_command
from chatd.errors import ChatdError
from chatd.store.log_files import wal_held
from chatd.supervisor.control import ask
from chatd.supervisor.pid_lock import supervisor_pid

ASK_SECONDS = 10.0
# A worker drains for up to 3 s.
STOP_SECONDS = 30.0
POLL_SECONDS = 0.05
TROUBLE_INDENT = 12
# Settings that the server's certificate names to browsers.
_HOSTS = frozenset(("server.addresses", "gateway.addresses"))


@click.command()
@click.pass_obj
def stop(home: Home) -> None:
    """Stop the server: disconnect clients, close the log. Does nothing if it is not running."""
    home.require_initialised()
    status = status_or_none(home)
    if status is not None:
        stop_server(home)
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
        time.sleep(POLL_SECONDS)
    return True


def stop_server(home: Home) -> None:
    """Have the server stop, and wait for its end. Raises E603, E611."""
    ask(home.path, {"type": "stop"}, STOP_SECONDS)
    deadline = time.monotonic() + STOP_SECONDS
    while status_or_none(home) is not None:
        if time.monotonic() >= deadline:
            raise ChatdError("E611", "chatd did not end in time")
        time.sleep(POLL_SECONDS)


@click.command()
@json_option
@click.pass_obj
def status(home: Home, as_json: bool) -> None:
    """Show each process: state, pid, restarts, uptime, CPU, memory, threads; and the sandboxes."""
    home.require_initialised()
    answer = status_or_none(home)
    if answer is None:
        raise not_answering(home)
    if as_json:
        output.json_document(answer)
        return
    box: Any = answer.get("box") or {}
    output.line(
        f"chatd {answer['version']}  {answer['state']}  {answer['address']}  "
        f"pid {answer['pid']}  up {fmt.duration(answer['uptime'])}"
    )
    if answer.get("page"):
        output.line(f"page  {answer['page']}")
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
@click.pass_obj
def reload(home: Home) -> None:
    """Apply changes of config/settings.json. If the file is not valid, nothing changes.

    In a cluster of several, roles, limits, filter, rooms and retention then hold on every node.
    """
    home.require_initialised()
    answer = ask(home.path, {"type": "reload"}, ASK_SECONDS)
    applied: Any = answer.get("applied") or []
    waiting: Any = answer.get("needs_restart") or []
    shared: Any = answer.get("shared") or []
    output.line("in force now: " + (", ".join(applied) or "nothing changed"))
    if shared:
        output.note("on every node of the cluster: " + ", ".join(shared))
    if set(applied) & _HOSTS:
        output.note(f"browsers accept new addresses after: {chatd_command(home.path, 'cert', 'renew')}")
    if waiting:
        output.note("only after a restart: " + ", ".join(waiting))
        output.note("run: chatd restart")


def lost_log_lines(status: Mapping[str, Any]) -> str:
    """Say how many lines the logs have lost, and why if they still lose some; "" if none are lost."""
    count, problem = status.get("log_lines_dropped", 0), status.get("log_problem", "")
    if problem:
        return f"{count} lines lost so far: {problem}"
    return f"{count} lines were lost, none now" if count else ""


def not_answering(home: Home) -> ChatdError:
    """Return the error for a server that does not run, or does not answer."""
    pid = supervisor_pid(home.data)
    if pid is None:
        return ChatdError("E603", fix=f"run: {chatd_command(home.path, 'start')}")
    fix = f"run: {chatd_command(home.path, 'stop')}; {chatd_command(home.path, 'start')}"
    return ChatdError("E611", f"chatd runs as pid {pid} but does not answer in {home.run}", fix)


def status_or_none(home: Home) -> dict[str, object] | None:
    """Return the status of a server that answers; None if its socket is not there."""
    try:
        return ask(home.path, {"type": "status"}, ASK_SECONDS)
    except ChatdError as error:
        if error.code == "E603":
            return None
        raise
