"""Unix sockets at paths of any length.

sun_path holds 108 bytes (unix(7)), and the path of a deep home is longer. Opening the directory and using
/proc/self/fd/N/NAME keeps the address short.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

MAX_PATH: Final = 100
RETRY_SECONDS: Final = 0.02


@contextmanager
def unix_address(path: Path) -> Iterator[str]:
    """Yield an address for bind() or connect() that refers to ``path`` inside the ``with`` block."""
    if len(os.fsencode(path)) <= MAX_PATH:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def connect_unix(path: Path, timeout: float | None = None) -> socket.socket:
    """Return a connected stream socket; it keeps ``timeout`` (seconds). Raises OSError, TimeoutError."""
    deadline = time.monotonic() + timeout if timeout is not None else math.inf
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        with unix_address(path) as address:
            while not _connected(sock, address):
                if time.monotonic() >= deadline:
                    raise TimeoutError
                time.sleep(RETRY_SECONDS)
    except BaseException:
        sock.close()
        raise
    return sock


def _connected(sock: socket.socket, address: str) -> bool:
    """Return False if the backlog is full; connect(2) then fails with EAGAIN instead of waiting."""
    try:
        sock.connect(address)
    except BlockingIOError:
        return False
    return True


def listen_unix(path: Path, backlog: int) -> socket.socket:
    """Return a non-blocking listener at ``path``, mode 0600, replacing a dead process's socket.

    The caller must hold a lock against others that would listen here. Raises OSError.
    """
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(sock.fileno(), 0o600)  # on Linux, bind() gives the inode the socket's mode
        with unix_address(path) as address:
            sock.bind(address)
        path.chmod(0o600)
        sock.listen(backlog)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock
