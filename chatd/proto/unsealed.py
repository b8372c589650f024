"""The record layer for ``security.encryption_enabled = false``: lengths without sealing.

Same interface as the envelope's Sealer and Opener, allowed on loopback only (docs/protocol.md).
"""

from __future__ import annotations

from chatd.errors import ChatdError
from chatd.proto.frames import FRAME_LIMIT

_LENGTH = 4


class PlainSealer:
    """Puts the length before a payload; a length of zero says that the sender closes."""

    def seal(self, payload: bytes) -> bytes:
        return len(payload).to_bytes(_LENGTH, "big") + payload

    def close(self) -> bytes:
        return bytes(_LENGTH)


class PlainOpener:
    """Takes payloads out of a stream. ``closed`` is set by the closing record."""

    def __init__(self) -> None:
        self.closed = False
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Payloads completed by ``data``. Raises E101 for a length over the limit."""
        self._buffer += data
        payloads: list[bytes] = []
        while len(self._buffer) >= _LENGTH:
            if self.closed:
                raise ChatdError("E100", "data after the closing record")
            length = int.from_bytes(self._buffer[:_LENGTH], "big")
            if length > FRAME_LIMIT:
                raise ChatdError("E101", f"a record is over {FRAME_LIMIT} bytes")
            end = _LENGTH + length
            if len(self._buffer) < end:
                break
            if length:
                payloads.append(bytes(self._buffer[_LENGTH:end]))
            else:
                self.closed = True
            del self._buffer[:end]
        return payloads
