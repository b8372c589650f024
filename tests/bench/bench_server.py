"""The base class of all servers under test: find, configure, start and stop one."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

from chatd.pki.authority import Authority
from tests.bench.chathome import ChatHome
from tests.support.certificates import make_identity
from tests.support.daemon import free_port

_START_SECONDS = 20.0
# The environment of the tests has a nats-server.
_ENVIRONMENT = Path(sys.executable).parent


class Server:
    """One server. ``start`` returns once it accepts connections; ``pid`` is the root of its process tree."""

    name: ClassVar[str]
    dialect: ClassVar[str]
    program: ClassVar[str]
    # The largest room to measure; beyond it, prosody takes minutes.
    max_clients: ClassVar[int] = 100_000
    sends_flat_out: ClassVar[bool] = True
    has_rooms: ClassVar[bool] = True

    def __init__(self, folder: Path, home: ChatHome) -> None:
        self.folder = folder
        self.certs = home.certs
        self.home = home
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def missing(cls) -> str:
        """Why the server cannot be measured on this machine; empty if it can."""
        return "" if cls._path() else f"{cls.program} is not installed"

    @classmethod
    def _path(cls) -> str | None:
        return shutil.which(
            cls.program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:{_ENVIRONMENT}"
        )

    def identities(self) -> list[Path]:
        """Client identities: one per room, or one for all clients."""
        # Go and GnuTLS refuse certificates with an object identifier of 128 bits, as that of the record key.
        path = self.folder / f"{self.name}-client.pem"
        if not path.exists():
            make_identity(Authority.load(self.certs), path)
        return [path]

    def settings(self) -> str:
        """The content of the configuration file."""
        return ""

    def command(self, path: str, file: Path) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        # prosody requires this suffix; the others accept any.
        file = self.folder / f"{self.name}.cfg.lua"
        file.write_text(self.settings())
        path = self._path()
        if path is None:
            raise FileNotFoundError(self.program)
        with (self.folder / f"{self.name}.log").open("wb") as log:
            self._process = subprocess.Popen(
                self.command(path, file), stdout=log, stderr=log, cwd=self.folder, start_new_session=True
            )
        self._await_port()

    def _await_port(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process is not None and self._process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        self.stop()
        output = (self.folder / f"{self.name}.log").read_text(errors="replace")
        raise RuntimeError(f"{self.name} does not start: {output[-500:]}")

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running")
        return self._process.pid

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
