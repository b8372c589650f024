"""Run the supervisor in the foreground, or start it as a daemon."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from chatd.config.home import SHIPPED_FOLDER, Home
from chatd.config.left_note import refuse_left
from chatd.config.loading import load_settings
from chatd.config.schema import Settings
from chatd.crashpoints import crash_point
from chatd.errors import ChatdError
from chatd.logs import get_log, set_level
from chatd.logs.logfiles import FilesHandler, LogFiles
from chatd.pki.file_change import finish_change
from chatd.pki.home_name import refuse_other_name
from chatd.supervisor.control import ask, error_from_reply, error_reply
from chatd.supervisor.health import given_up
from chatd.supervisor.launch import (
    ENROL_MODULE,
    HUB_MODULE,
    PYTHON,
    WORKER_MODULE,
    LaunchedTemplate,
    raise_descriptor_limit,
)
from chatd.supervisor.listeners import (
    OPERATOR_SOCKET,
    enrol_pair,
    listen_gateway,
    listen_hub,
    listen_tcp,
    make_run_directory,
    remove_run_files,
    show_address,
    tell_addresses,
    write_pid_file,
)
from chatd.supervisor.monitor import print_safely
from chatd.supervisor.pid_lock import PidLock, kill_leftovers
from chatd.supervisor.process import ChildSpec
from chatd.supervisor.supervisor import Supervisor

CONSOLE_LOG: Final = "run/console.log"
CONSOLE_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
LOCK_SECONDS: Final = 1.0
"""A command that writes to the logs holds the lock for milliseconds."""
POLL_SECONDS: Final = 0.05
WORKER_FILES: Final = ("ca.pem", "server.pem", "server.key", "envelope.pem", "envelope.key")
"""What a worker needs of certs/. It may not open that folder, which has the CA's key in it."""
ENROL_FILES: Final = (
    *("ca.pem", "ca.key", "ca-old.key", "ca-retired.pem"),
    *("server.pem", "server.key", "envelope.pem", "record.pem"),
)
"""What the enrol process needs. Keys of CAs, ca-retired.pem and record.pem may be missing."""
GATEWAY_FILES: Final = ("ca.pem", "server.pem", "server.key")
"""What the gateway needs."""
EXIT_FAILED: Final = 1
CONSOLE_LINES_IN_REASON: Final = 20

log = get_log("server")
audit = get_log("audit")


def child_specs(settings: Settings, home: Path) -> list[ChildSpec]:
    """Return the specs of the hub, the workers (0 in the settings: one per CPU), and the optional ones."""
    count = settings.workers.count or os.cpu_count() or 1
    hub = ChildSpec("hub", "hub", _command("chatd.hub"), ("hub_listener", "operator_listener"), HUB_MODULE)
    names = [f"worker-{n}" for n in range(1, count + 1)]
    argv = _command("chatd.worker")
    files = tuple(home / "certs" / name for name in WORKER_FILES)
    passed = ("listener", "enrol_out")
    specs = [hub, *(ChildSpec(name, "worker", argv, passed, WORKER_MODULE, files) for name in names)]
    if settings.server.enrol:
        files = tuple(home / "certs" / name for name in ENROL_FILES)
        specs.append(ChildSpec("enrol", "enrol", _command("chatd.enrol"), ("enrol_in",), ENROL_MODULE, files))
    if settings.gateway.listen:
        files = tuple(home / "certs" / name for name in GATEWAY_FILES)
        files += tuple(home / path for path in settings.gateway.files)
        command = _command("chatd.gateway")
        # Started by its command line: the template is launched before the settings are known.
        specs.append(ChildSpec("gateway", "gateway", command, ("gateway_listener", "enrol_out"), files=files))
    if settings.cluster.node:
        specs.append(ChildSpec("nats", "nats", _command("chatd.nats")))
    if settings.shipping.syslog:
        files = tuple(home / path for path in settings.shipping.files)
        specs.append(ChildSpec("shipper", "shipper", _command("chatd.shipping"), (), files=files))
    return specs


def _command(package: str) -> tuple[str, ...]:
    return (*PYTHON, package)


def run(
    home: Path,
    foreground: bool,
    children: Sequence[ChildSpec] | None = None,
    launched: LaunchedTemplate | None = None,
) -> None:
    """Supervise until told to stop.

    ``children`` replaces the real ones; ``launched`` is a template that is already loading. Raises
    ChatdError if it cannot start: E600 and E601 settings, E604 already running, E605 address, E606 files.
    """
    home = home.resolve()
    settings = load_settings(home, os.environ)
    refuse_other_name(home, settings.server.name)
    refuse_left(home)
    _require_proc()
    raise_descriptor_limit()
    make_run_directory(home)
    (home / "data").mkdir(mode=0o700, exist_ok=True)
    if settings.shipping.syslog:
        (home / SHIPPED_FOLDER).mkdir(mode=0o700, exist_ok=True)
    lock = PidLock(home / "data", wait=LOCK_SECONDS)
    try:
        lock.announce()
        write_pid_file(home)
        _supervise(home, settings, foreground, children, launched, lock)
    finally:
        lock.release()


def _require_proc() -> None:
    """Raise E606 without /proc: it tells the operator's commands from the server's own processes."""
    try:
        Path("/proc/self/stat").read_bytes()
    except OSError as error:
        fix = "mount it: mount -t proc proc /proc"
        raise ChatdError("E606", f"{error.filename}: {error.strerror}", fix) from None


def start_daemon(home: Path, timeout: float, argv: Sequence[str] | None = None) -> dict[str, object]:
    """Start a detached supervisor, wait up to ``timeout`` seconds until it runs, and return its status.

    ``argv`` replaces the command line. Raises ChatdError: the daemon's own error if it ends (E600, E601,
    E604, E605, E606), E609 or E610 if a child cannot start, E611 if it takes too long.
    """
    home = home.resolve()
    if not (file := Home(home).settings_file).exists():
        raise ChatdError("E601", f"there is no {file}")
    _require_proc()
    make_run_directory(home)
    command = argv or (*PYTHON, "chatd.supervisor", "--home", str(home))
    console = home / CONSOLE_LOG
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as error_pipe:
        with os.fdopen(os.open(console, CONSOLE_FLAGS, 0o600), "ab") as output:
            process = subprocess.Popen(
                [*command, "--error-fd", str(writer)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(writer,),
                cwd="/",
                start_new_session=True,
            )
        os.close(writer)
        try:
            deadline = time.monotonic() + timeout
            return _wait_until_up(home, process, deadline, lambda: _startup_error(error_pipe.read(), console))
        finally:
            process.returncode = 0  # silences Popen's warning: the daemon is meant to outlive this process


def main(argv: Sequence[str] | None = None, launched: LaunchedTemplate | None = None) -> int:
    """Run the daemon's process, ``python -m chatd.supervisor``."""
    parser = argparse.ArgumentParser(prog="chatd.supervisor")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--foreground", action="store_true")
    parser.add_argument("--error-fd", type=int, default=-1, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    return run_reporting(options.error_fd, lambda: run(options.home, options.foreground, None, launched))


def run_reporting(error_fd: int, supervise: Callable[[], None]) -> int:
    """Run ``supervise`` and return an exit code; report an error to stderr and `start_daemon`."""
    if error_fd >= 0:
        os.set_inheritable(error_fd, False)
    try:
        supervise()
        return 0
    except ChatdError as error:
        refusal = error
    except Exception as error:  # noqa: BLE001 - the last resort, so that `chatd start` can name it
        traceback.print_exc()
        text = f"chatd ended during its start: {type(error).__name__}: {error}"
        refusal = ChatdError("E609", text, f"please report it with the traceback in {CONSOLE_LOG}")
    print_safely(f"chatd: {refusal}", sys.stderr)
    if error_fd >= 0:
        os.write(error_fd, json.dumps(error_reply(refusal)).encode())
    return EXIT_FAILED


def _supervise(
    home: Path,
    settings: Settings,
    foreground: bool,
    children: Sequence[ChildSpec] | None,
    launched: LaunchedTemplate | None,
    lock: PidLock,
) -> None:
    files = LogFiles(home, settings.logging)
    handler = FilesHandler(files)
    logging.getLogger().addHandler(handler)
    set_level(settings.logging.level)
    try:
        for pid in kill_leftovers(home / "run"):
            log.warning("leftover_killed", pid=pid)
        finish_change(home / "certs")
        _provide_record_key(home)
        with (
            listen_tcp(settings.server.host, settings.server.port) as clients,
            listen_hub(home) as workers,
            listen_hub(home, OPERATOR_SOCKET) as operators,
            enrol_pair() as (enrol_in, enrol_out),
            listen_gateway(settings.gateway.listen) as gateway,
        ):
            specs = children if children is not None else child_specs(settings, home)
            fds = {
                "listener": clients.fileno(),
                "hub_listener": workers.fileno(),
                "operator_listener": operators.fileno(),
                "enrol_in": enrol_in.fileno(),
                "enrol_out": enrol_out.fileno(),
            }
            if gateway is not None:
                fds["gateway_listener"] = gateway.fileno()
            crash_point("supervisor.start.bound")
            address = show_address(clients)
            tell_addresses(home, address, settings)
            supervisor = Supervisor(home, settings, specs, fds, files, address, foreground, launched)
            supervisor.run()
        remove_run_files(home)
        lock.release()
        supervisor.close()
    except ChatdError as error:
        log.error("start_refused", code=error.code, why=error.reason)
        raise
    except Exception:
        log.exception("supervisor_failed")
        raise
    finally:
        logging.getLogger().removeHandler(handler)
        files.close()


def _provide_record_key(home: Path) -> None:
    """Create the record key of a home that was made by an older chatd. The server also runs without."""
    certs = home / "certs"
    if (certs / "record.key").exists() and (certs / "record.pem").exists():
        return
    # Only now: the supervisor needs neither keys nor cryptography for anything else.
    from chatd.pki.authority import Authority
    from chatd.pki.record_key import ensure_record_key

    try:
        record, _ = ensure_record_key(certs, Authority.load(certs), now=datetime.now(UTC))
    except ChatdError as error:
        log.warning("no_record_key", code=error.code, why=error.reason)
        return
    audit.info("record_key_created", fingerprint=record.public.fingerprint)


def _wait_until_up(
    home: Path, process: subprocess.Popen[bytes], deadline: float, read_error: Callable[[], ChatdError]
) -> dict[str, object]:
    while time.monotonic() < deadline:
        if process.poll() in (0, -signal.SIGTERM):  # the second before it handles signals
            raise ChatdError("E603", "chatd was stopped while it started")
        if process.returncode is not None:
            raise read_error()
        status = _status(home, process.pid)
        if status.get("state") == "running":
            return status
        raise_if_fatal(status)
        time.sleep(POLL_SECONDS)
    raise ChatdError("E611", "chatd was started but is not up yet")


def _status(home: Path, pid: int) -> dict[str, object]:
    """Return the status of the supervisor with this pid; empty if it does not reply yet."""
    try:
        status = ask(home, {"type": "status"}, 5.0)
    except ChatdError:
        return {}
    return status if status.get("pid") == pid else {}


def raise_if_fatal(status: dict[str, object]) -> None:
    """Raise E609, or E610 for a damaged log, if a child was given up in this status."""
    children = status.get("children")
    for child in children if isinstance(children, list) else []:
        if child.get("state") == "fatal":
            raise given_up(str(child.get("name")), child.get("exit_code"), str(child.get("why")))


def _startup_error(report: bytes, console: Path) -> ChatdError:
    """Return the daemon's own error, or else the last lines that it printed."""
    if report:
        return error_from_reply(json.loads(report))
    lines = console.read_text("utf-8", "replace").splitlines()[-CONSOLE_LINES_IN_REASON:]
    return ChatdError("E609", "\n".join(["chatd ended during its start", *lines]))
