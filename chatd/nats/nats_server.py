"""nats-server as a process of ours: its settings, its password, its address."""

from __future__ import annotations

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
from chatd.durable_files import PRIVATE, replace_file
from chatd.errors import ChatdError

CONFIG: Final = "run/nats.conf"
LOG_NAME: Final = "nats.log"
USER: Final = "chatd"
_PR_SET_PDEATHSIG: Final = 1
# The hub has one connection.
_CONNECTIONS_LIMIT: Final = 8

# sync_interval: by default NATS syncs every two minutes, and loses what it has acknowledged since.
_TEMPLATE: Final = """server_name: {node}
listen: "127.0.0.1:-1"
ports_file_dir: {folder}
max_payload: 2MB
max_connections: {connections}
log_file: {log}
logfile_size_limit: 1MB
logfile_max_num: 3
authorization {{ user: {user}, password: {password} }}
jetstream {{ store_dir: {store}, sync_interval: always, max_memory_store: 1MB, max_file_store: 64GB }}
"""


class NatsServer:
    """A running nats-server of one home. Its clients' port is on loopback, with a password for each start."""

    def __init__(self, home: Path, process: subprocess.Popen[bytes], password: str) -> None:
        self.log = home / STREAM_FOLDER / LOG_NAME
        self._folder = home / STREAM_FOLDER
        self._process = process
        self._password = password

    @classmethod
    def start(cls, home: Path, node: str) -> NatsServer:
        """Start it. Raises ChatdError E622 if it is not installed, E606 if its files cannot be written."""
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
        replace_file(home / CONFIG, _config(folder, node, password).encode(), PRIVATE)
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
            with suppress(OSError, ValueError, LookupError, TypeError):
                host, _, port = (
                    str(json.loads(path.read_bytes())["nats"][0]).rpartition("/")[2].rpartition(":")
                )
                write_address(self._folder, NatsAddress(host, int(port), USER, self._password))
                return True
        return False

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


def _config(folder: Path, node: str, password: str) -> str:
    return _TEMPLATE.format(
        node=node,
        folder=json.dumps(str(folder)),
        connections=_CONNECTIONS_LIMIT,
        log=json.dumps(str(folder / LOG_NAME)),
        user=USER,
        password=json.dumps(password),
        store=json.dumps(str(folder)),
    )


def _ports_files(folder: Path) -> Iterator[Path]:
    return folder.glob("*.ports")


def _die_with_parent() -> None:
    # It acts on the end of the thread that started it, which here is the main thread.
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
