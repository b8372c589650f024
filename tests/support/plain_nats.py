"""A nats-server without a home, and without a store."""

from __future__ import annotations

import os
import signal
import subprocess

from chatd.cluster.nats_address import NatsAddress
from chatd.nats.nats_server import find_nats_server
from tests.support.daemon import free_port


class PlainNats:
    """Listens at ``address``, without a password, from `start` until `kill`."""

    def __init__(self) -> None:
        self.address = NatsAddress("127.0.0.1", free_port(), "", "")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        port = str(self.address.port)
        self._process = subprocess.Popen(
            [find_nats_server(), "-a", "127.0.0.1", "-p", port, "-l", os.devnull], stdin=subprocess.DEVNULL
        )

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
