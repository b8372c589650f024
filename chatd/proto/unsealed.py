"""The record layer for ``security.encryption_enabled = false``: lengths without sealing.

Same interface as the envelope's RecordSealer and RecordOpener, allowed on loopback only (docs/protocol.md).
"""

from __future__ import annotations

from chatd.errors import ChatdError
from chatd.proto.frames import FRAME_LIMIT
from chatd.proto.length_prefix import LENGTH_SIZE, take_message


class PlainSealer:
    """Puts the length before a payload; a length of zero closes this direction."""

    def seal(self, payload: bytes) -> bytes:
        return len(payload).to_bytes(LENGTH_SIZE, "big") + payload

    def close(self) -> bytes:
        return bytes(LENGTH_SIZE)


class PlainOpener:
    """Takes payloads out of a stream. ``closed`` is set by the closing record."""

    def __init__(self) -> None:
        self.closed = False
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Payloads completed by ``data``. Raises E101 for a length over the limit."""
        self._buffer += data
        payloads: list[bytes] = []
        while not self.closed:
            payload = take_message(self._buffer, FRAME_LIMIT, "E101", least=0)
            if payload is None:
                return payloads
            if payload:
                payloads.append(payload)
            else:
                self.closed = True
        if self._buffer:
            raise ChatdError("E100", "data after the closing record")
        return payloads
