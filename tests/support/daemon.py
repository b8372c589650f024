"""Run a real chatd in its own home: real processes, real TLS, a free port."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

from tests.support import preloaded
from tests.support.preloaded import COMMAND_SECONDS

BIN = Path(sys.executable).parent
# Generous: the whole suite may run on two cores.
TIMEOUT_SECONDS = 30.0
# Generating an RSA-2048 key is several times faster than the default of 3072 bits.
# No gateway, which most tests do not need; `tests.support.https.gateway` starts one.
FAST = {
    "CHATD_SECURITY__RSA_KEY_SIZE": "2048",
    "CHATD_WORKERS__COUNT": "2",
    "CHATD_GATEWAY__LISTEN": "",
}


def wait_until(condition: Callable[[], Any], seconds: float = TIMEOUT_SECONDS, what: str = "") -> Any:
    """Poll ``condition`` until it is true; return its value. Raises AssertionError after ``seconds``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds:g} s for {what or condition}")


class Daemon:
    """One home and the commands to work with it."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        self.host = "127.0.0.1"
        self.port = 0
        # What a command line begins with that shall run elsewhere, as in another network namespace.
        self.enter: list[str] = []
        self.environ = {
            **preloaded.own_environment(),
            **FAST,
            **settings,
            "XDG_STATE_HOME": str(home / "client-state"),
            "NO_COLOR": "1",
        }

    def run(self, *arguments: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run an installed command, such as ``run("chatd", "status")``."""
        plain = options.keys() <= {"input", "stdin"} and options.get("stdin", DEVNULL) == DEVNULL
        if plain and not self.enter and preloaded.can_run(arguments[0], self.environ):
            text = options.get("input") or ""
            done = preloaded.run(arguments, self.environ, self.home, text=text)
        else:
            command = [*self.enter, str(BIN / arguments[0]), *arguments[1:]]
            options = {"capture_output": True, "text": True, "timeout": COMMAND_SECONDS, **options}
            done = subprocess.run(command, env=self.environ, cwd=self.home, **options)
        if check and done.returncode:
            raise AssertionError(f"{arguments} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def chatd(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run ``chatd`` on this home."""
        return self.run("chatd", "--home", str(self.home), *arguments, **options)

    def chatctl(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run ``chatctl`` as the first admin."""
        return self.run(
            "chatctl", "--identity", str(self.identity("alice", "console")), *arguments, **options
        )

    def init(self, port: int = 0) -> None:
        """Create the home, with this port to listen on, or a free one."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.chatd("init", "--name", "lab", "--listen", f"{self.host}:{self.port}", "--admin", "alice")

    def start(self) -> None:
        """Start the daemon and wait until it serves."""
        self.chatd("start")

    def stop(self) -> None:
        """Stop the daemon; kill processes that do not stop."""
        self.chatd("stop", check=False)
        self.kill()

    def kill(self) -> None:
        """Kill all processes, the supervisor first."""
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def status(self) -> dict[str, Any]:
        """The output of ``chatd status --json``; empty if the daemon is not running."""
        done = self.chatd("status", "--json", check=False)
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def pids(self) -> list[int]:
        """The pids of the supervisor and its children; empty if the daemon is not running."""
        status = self.status()
        if not status:
            return []
        return [status["pid"], *(c["pid"] for c in status["children"] if c.get("pid"))]

    def child(self, name: str) -> dict[str, Any]:
        """The status of one child; empty if there is none."""
        return next((c for c in self.status().get("children", ()) if c["name"] == name), {})

    def kill_child(self, name: str) -> None:
        """Kill a child, once it runs: the status may still tell of one that was killed before."""
        wait_until(lambda: self._killed(self.child(name)), what=f"{name} to kill")

    @staticmethod
    def _killed(child: dict[str, Any]) -> bool:
        if child.get("state") != "running":
            return False
        try:
            os.kill(child["pid"], signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def template(self) -> int:
        """The template's pid from the home's record of children; 0 if there is none."""
        try:
            recorded = json.loads((self.home / "run" / "children.json").read_text())["children"]
        except FileNotFoundError:
            return 0
        return next((entry["pid"] for entry in recorded if entry["name"] == "template"), 0)

    def identity(self, user: str, device: str = "laptop") -> Path:
        """The path of a device's identity file."""
        return self.home / "certs" / "identities" / f"{user}-{device}.pem"

    def add_user(self, user: str, role: str = "user", device: str = "laptop") -> Path:
        """Register a user's device; return the path of its identity file."""
        self.chatd("user", "add", user, "--role", role, "--device", device)
        return self.identity(user, device)

    def write_settings(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Load settings.json, apply ``change`` to the tree, and write it back."""
        path = self.home / "config" / "settings.json"
        tree = json.loads(path.read_text())
        change(tree)
        path.write_text(json.dumps(tree))

    def log_lines(self, name: str = "server.log") -> list[dict[str, Any]]:
        """The records of one log file, without an unfinished last line."""
        path = self.home / "logs" / name
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]


@contextmanager
def running(home: Path, **settings: str) -> Iterator[Daemon]:
    """Run a daemon in a new home while the context is open."""
    daemon = Daemon(home, **settings)
    daemon.init()
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.stop()


def free_port() -> int:
    """A port of 127.0.0.1 that was free just now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
