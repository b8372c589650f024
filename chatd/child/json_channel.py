"""JSON messages, one per line, on a non-blocking stream socket: both ends of a child's channel."""

from __future__ import annotations

import json
import socket
from typing import Final

from chatd.logs.line_buffer import LineBuffer

MAX_LINE: Final = 4 * 1024 * 1024
"""The largest message is the settings: a file of up to 1 MiB, which JSON escapes can triple."""
MAX_QUEUED: Final = 2 * MAX_LINE
"""Bytes queued for a peer that does not read; further messages are dropped and counted."""
READ_SIZE: Final = 65536


class ChannelClosedError(Exception):
    """The peer closed the channel or sent something that is not a message."""


class JsonChannel:
    """One end of a channel. Only the thread of the main loop may use it."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._incoming = LineBuffer(MAX_LINE)
        self._outgoing = bytearray()
        self.dropped = 0

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()

    @property
    def wants_write(self) -> bool:
        """Whether bytes are queued; if so, call `flush` once the socket is writable."""
        return bool(self._outgoing)

    def send(self, message: dict[str, object]) -> bool:
        """Queue one message and write what the socket takes; return False if it was dropped.

        Raises ValueError for a message over MAX_LINE bytes, ChannelClosedError.
        """
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        if len(line) > MAX_LINE:
            raise ValueError(f"a message of {len(line)} bytes is over the channel's limit of {MAX_LINE}")
        if len(self._outgoing) + len(line) > MAX_QUEUED:
            self.dropped += 1
            return False
        self._outgoing += line
        self.flush()
        return True

    def flush(self) -> None:
        """Write what the socket takes now. Raises ChannelClosedError."""
        while self._outgoing:
            try:
                sent = self._sock.send(self._outgoing)
            except BlockingIOError:
                return
            except OSError as error:
                raise ChannelClosedError from error
            del self._outgoing[:sent]

    def receive(self) -> list[dict[str, object]]:
        """Return the messages that have arrived. Raises ChannelClosedError after the last one."""
        try:
            data = self._sock.recv(READ_SIZE)
        except BlockingIOError:
            return []
        except OSError as error:
            raise ChannelClosedError from error
        if not data:
            raise ChannelClosedError
        return [_parse(line) for line in self._incoming.feed(data)]


def _parse(line: bytes) -> dict[str, object]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ChannelClosedError from error
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise ChannelClosedError
    return message
