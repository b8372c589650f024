"""Files that the supervisor opens for a child, which may not open them itself.

The descriptors travel in one packet of a SOCK_SEQPACKET socket. The supervisor does not read the files.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from chatd.errors import ChatdError

MAX_FILES: Final = 16
_MAX_PACKET: Final = 32 * 1024
_MAX_FILE_BYTES: Final = 1024 * 1024


def hand_over(sock: socket.socket, paths: Sequence[Path]) -> None:
    """Open the files and send them. Raises BlockingIOError if the child has left too many unread."""
    sock.setblocking(False)  # send_fds and recv_fds ignore their flags
    fds: list[int] = []
    failures: dict[str, str] = {}
    names: list[str] = []
    try:
        for path in paths:
            try:
                fds.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
                names.append(path.name)
            except OSError as error:
                failures[path.name] = f"{path}: {error.strerror}"
        packet = json.dumps({"names": names, "failures": failures}).encode()
        socket.send_fds(sock, [packet], fds)
    finally:
        for fd in fds:
            os.close(fd)


def receive_files(sock: socket.socket, optional: Collection[str] = ()) -> dict[str, bytes]:
    """Return the contents of the files that were sent last. Raises ChatdError E606.

    Files in ``optional``, by name, may be missing.
    """
    sock.setblocking(False)
    packet, fds = b"", list[int]()
    try:
        while True:
            try:
                data, newer, _, _ = socket.recv_fds(sock, _MAX_PACKET, MAX_FILES)
            except BlockingIOError:
                break
            if not data:
                break
            _close(fds)
            packet, fds = data, list(newer)
        if not packet:
            raise ChatdError("E606", "the supervisor has sent no files", "run: chatd restart")
        message = json.loads(packet)
        for name, failure in message["failures"].items():
            if name not in optional:
                raise ChatdError("E606", failure)
        return {name: _content(name, fd) for name, fd in zip(message["names"], fds, strict=True)}
    finally:
        _close(fds)


def _content(name: str, fd: int) -> bytes:
    try:
        with os.fdopen(os.dup(fd), "rb") as file:
            return file.read(_MAX_FILE_BYTES)
    except OSError as error:
        raise ChatdError("E606", f"{name} cannot be read: {error.strerror}") from None


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)
