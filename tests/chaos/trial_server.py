"""The server of a trial: its home, signals to its processes, and a stand-in for systemd."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from chatd.errors import ChatdError
from chatd.supervisor.control import ask
from tests.chaos.journal import Journal
from tests.support.daemon import Daemon

POLL_SECONDS = 0.01
# Generous: on a busy box a node of a cluster takes a minute. How long it takes is measured, not judged.
RECOVERY_SECONDS = 180.0
_UNLIMITED = {"messages_per_second": 100_000, "burst": 100_000, "bytes_per_day": 0}
SETTINGS = {
    "CHATD_LIMITS__PER_ROLE": json.dumps({"admin": _UNLIMITED, "user": _UNLIMITED, "guest": _UNLIMITED}),
    "CHATD_SERVER__MAX_CONNECTIONS": "5000",
    "CHATD_LOGGING__MAX_BYTES": "10000000000",
    "CHATD_LIMITS__SESSIONS_PER_USER": "5000",
    "CHATD_LIMITS__HANDSHAKES": "5000",
    "CHATD_LIMITS__HANDSHAKES_PER_ADDRESS": "5000",
    "CHATD_LIMITS__ATTEMPTS_PER_ADDRESS": "5000",
}


class TrialServer:
    """A server whose supervisor is restarted at once whenever it dies, as systemd would do."""

    def __init__(self, home: Path, journal: Journal, **environ: str) -> None:
        self.daemon = Daemon(home, **SETTINGS, **environ)
        self.daemon.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
        self.home = home
        self.recovered: dict[str, list[float]] = {"worker": [], "hub": [], "supervisor": []}
        self.struck: Counter[str] = Counter()
        self._journal = journal
        self._wanted = threading.Event()
        self._over = threading.Event()
        self._keeper: threading.Thread | None = None

    def begin(self) -> None:
        """Create the home and keep a server running in it until `stop`."""
        self.daemon.init()
        self.keep_running()
        self.wait_until_running()

    def keep_running(self) -> None:
        """Start the server, and restart it whenever its supervisor ends."""
        self._over.clear()
        self._wanted.set()
        self._keeper = threading.Thread(target=self._restart_loop, daemon=True)
        self._keeper.start()

    def _restart_loop(self) -> None:
        program = [sys.executable, "-m", "chatd.supervisor", "--home", str(self.home), "--foreground"]
        command = [*self.daemon.enter, *program]
        output = self.home / "console.log"
        while self._wanted.is_set():
            with output.open("ab") as file:
                supervisor = subprocess.Popen(
                    command,
                    env=self.daemon.environ,
                    cwd=self.home,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=file,
                    start_new_session=True,
                )
                supervisor.wait()
        self._over.set()

    def stop(self) -> None:
        """Drain and stop the server for good."""
        self._wanted.clear()
        deadline = time.monotonic() + RECOVERY_SECONDS
        while not self._over.wait(0.05) and time.monotonic() < deadline:
            try:
                ask(self.home, {"type": "stop"}, 30.0)
            except ChatdError:
                continue
        assert self._over.is_set(), f"the server did not stop in {RECOVERY_SECONDS:.0f} s"

    def try_request(self, kind: str, **fields: object) -> None:
        """Send a request to the supervisor and ignore failures: the request may crash it."""
        try:
            ask(self.home, {"type": kind, **fields}, 60.0)
        except ChatdError:
            pass

    def status(self) -> dict[str, Any]:
        """The supervisor's status; empty if none answers."""
        try:
            return ask(self.home, {"type": "status"}, 2.0)
        except ChatdError:
            return {}

    def pids(self) -> dict[str, int]:
        """Map the name of each running process to its pid."""
        return self._pids_in(self.status())

    def _pids_in(self, status: dict[str, Any]) -> dict[str, int]:
        if not status:
            return {}
        template = self.daemon.template()
        return {
            "supervisor": status["pid"],
            **({"template": template} if template else {}),
            **_nats_server(status),
            **{child["name"]: child["pid"] for child in status["children"] if child["pid"]},
        }

    def wait_until_running(self) -> dict[str, int]:
        """Wait until the status is "running"; return the pids."""
        self._wait_until(lambda: self.status().get("state") == "running", "the server to run")
        return self.pids()

    def strike(self, names: list[str], number: signal.Signals) -> dict[str, int]:
        """Signal processes by name; return the pids of those that got the signal."""
        pids = self.pids()
        struck = {}
        for name in names:
            wall = round(time.time(), 3)  # taken first: the server may log the death before kill(2) returns
            if name in pids and _send(pids[name], number):
                struck[name] = pids[name]
                word = {signal.SIGKILL: "kill", signal.SIGSTOP: "stop"}.get(number, "cont")
                self.struck[f"{word} {name.partition('-')[0]}"] += 1
                self._journal.write(word, name=name, pid=pids[name], wall=wall)
        return struck

    def kill(self, names: list[str]) -> int:
        """Kill -9 processes, time the recovery, and return how many were killed."""
        suffix = "" if self.daemon.template() else " without template"
        before = time.monotonic()
        struck = self.strike(names, signal.SIGKILL)
        if not struck:
            return 0
        self.wait_until_replaced(struck)
        seconds = time.monotonic() - before
        if len(struck) == 1 and "template" not in struck:  # replaced after a minute by design
            (name,) = struck
            # A new supervisor brings a new template.
            kind = name.partition("-")[0] + ("" if name == "supervisor" else suffix)
            self.recovered.setdefault(kind, []).append(seconds)
            self._journal.write("back", name=name, after=round(seconds, 3))
        return len(struck)

    def wait_until_replaced(self, struck: dict[str, int]) -> None:
        """Wait until the server runs without any of the ``struck`` pids."""
        self._wait_until(lambda: self._replaced(struck), f"{list(struck)} to be replaced")

    def _replaced(self, struck: dict[str, int]) -> bool:
        status = self.status()
        if status.get("state") != "running":
            return False
        return not set(self._pids_in(status).values()) & set(struck.values())

    @contextmanager
    def suspended(self, name: str) -> Iterator[None]:
        """SIGSTOP a process, and SIGCONT it afterwards; does nothing if there is no such process."""
        pid = self.pids().get(name)
        try:
            handle = os.pidfd_open(pid) if pid else None
        except OSError:
            handle = None
        if handle is None:
            yield
            return
        try:
            self.strike([name], signal.SIGSTOP)
            yield
            with suppress(ProcessLookupError):  # it was replaced meanwhile
                signal.pidfd_send_signal(handle, signal.SIGCONT)
        finally:
            os.close(handle)

    @contextmanager
    def all_suspended(self) -> Iterator[None]:
        """Suspend every process, the supervisor first: it would restart what does not answer."""
        pids = dict(sorted(self.pids().items(), key=lambda item: item[0] != "supervisor"))
        with ExitStack() as stack:
            for name, pid in pids.items():
                with suppress(OSError):  # it was replaced meanwhile
                    handle = os.pidfd_open(pid)
                    stack.callback(os.close, handle)
                    signal.pidfd_send_signal(handle, signal.SIGSTOP)
                    stack.callback(_continue, handle)
                    self.struck[f"stop {name.partition('-')[0]}"] += 1
            yield

    def _wait_until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + RECOVERY_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {RECOVERY_SECONDS:.0f} s for {what}: {self.status()}")
            time.sleep(POLL_SECONDS)


def _nats_server(status: dict[str, Any]) -> dict[str, int]:
    """Map "nats-server" to its pid, whose parent is the child that the supervisor knows."""
    for child in status["children"]:
        if child["name"] == "nats" and child["pid"]:
            with suppress(OSError, IndexError):
                path = Path(f"/proc/{child['pid']}/task/{child['pid']}/children")
                return {"nats-server": int(path.read_text().split()[0])}
    return {}


def _continue(handle: int) -> None:
    with suppress(ProcessLookupError):  # it was killed meanwhile
        signal.pidfd_send_signal(handle, signal.SIGCONT)


def _send(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
