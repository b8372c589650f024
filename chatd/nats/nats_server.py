"""nats-server as a process of ours: its settings, its password, its address."""

from __future__ import annotations

import importlib.util
import json
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from chatd.child.libc import prctl
from chatd.cluster.nats_address import ADDRESS_FILE, STREAM_FOLDER, NatsAddress, write_address
from chatd.config.cluster_section import ClusterSection
from chatd.config.schema import Settings
from chatd.durable_files import PRIVATE, replace_file
from chatd.errors import ChatdError
from chatd.nats.nats_config import CONFIG, LOG_NAME, USER, nats_config

_PR_SET_PDEATHSIG: Final = 1
_FATAL: Final = "[FTL]"
_LINES_READ: Final = 50


class NatsServer:
    """A running nats-server of one home. Its clients' port is on loopback, with a password for each start."""

    def __init__(self, home: Path, process: subprocess.Popen[bytes], password: str) -> None:
        self.log = home / STREAM_FOLDER / LOG_NAME
        self._folder = home / STREAM_FOLDER
        self._process = process
        self._password = password

    @classmethod
    def start(cls, home: Path, settings: Settings) -> NatsServer:
        """Start it. Raises ChatdError E622 if it is not installed, E606 for its files."""
        program = find_nats_server()
        folder = home / STREAM_FOLDER
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            for old in _ports_files(folder):
                old.unlink()
            (home / ADDRESS_FILE).unlink(missing_ok=True)
        except OSError as error:
            raise ChatdError("E606", f"{folder}: {error.strerror}") from None
        password = secrets.token_hex(32)
        replace_file(home / CONFIG, nats_config(home, settings, password), PRIVATE)
        try:
            # It must not outlive this process: the next one starts another on the same files.
            process = subprocess.Popen(
                [program, "-c", str(home / CONFIG)],
                stdin=subprocess.DEVNULL,
                preexec_fn=_die_with_parent,
            )
        except OSError as error:
            raise ChatdError("E606", f"{program}: {error.strerror}") from None
        return cls(home, process, password)

    def announce(self) -> bool:
        """Tell the hub where it listens, once it does; return whether it does."""
        for path in _ports_files(self._folder):
            # ChatdError: a full disk, which may have space in a moment.
            with suppress(OSError, ValueError, LookupError, TypeError, ChatdError):
                host, _, port = (
                    str(json.loads(path.read_bytes())["nats"][0]).rpartition("/")[2].rpartition(":")
                )
                write_address(self._folder, NatsAddress(host, int(port), USER, self._password))
                return True
        return False

    def why_ended(self) -> str:
        """Return what its log says about its end, "" if nothing."""
        try:
            lines = self.log.read_text("utf-8", "replace").splitlines()[-_LINES_READ:]
        except OSError:
            return ""
        return next((line.partition(_FATAL)[2].strip() for line in reversed(lines) if _FATAL in line), "")

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        """Ask it to end."""
        self._process.send_signal(signal.SIGTERM)


def find_nats_server() -> str:
    """Return the path of the program. Raises ChatdError E622."""
    beside = Path(sys.executable).parent / "nats-server"
    program = str(beside) if beside.exists() else shutil.which("nats-server")
    if program is None:
        raise ChatdError("E622", "there is no nats-server beside this Python, nor on the PATH")
    return program


def require_nats(cluster: ClusterSection) -> None:
    """Raise E622 without nats-py, or without nats-server if chatd is to start it."""
    if not cluster.nats:
        find_nats_server()
    if importlib.util.find_spec("nats") is None:
        raise ChatdError("E622", "there is no nats-py beside this Python")


def _ports_files(folder: Path) -> Iterator[Path]:
    return folder.glob("*.ports")


def _die_with_parent() -> None:
    # It acts on the end of the thread that started it, which here is the main thread.
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
