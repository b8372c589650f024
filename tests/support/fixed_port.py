"""Ports for servers that are stopped and started again: nobody gets them as the port of a connection."""

from __future__ import annotations

import itertools
import os
import socket
from typing import Final

# Below the ports that Linux gives to connections (ip_local_port_range).
_FIRST: Final = 20_000
_COUNT: Final = 12_000
_numbers = itertools.count(os.getpid() * 37)


def fixed_port() -> int:
    """Return a port of 127.0.0.1 that was free just now, another one at each call."""
    while True:
        port = _FIRST + next(_numbers) % _COUNT
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
