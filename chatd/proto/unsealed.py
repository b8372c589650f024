"""The record layer for ``security.encryption_enabled = false``: a length before each payload, no sealing.

Has the interface of `chatd.crypto.records`; allowed on loopback only (docs/protocol.md, section 4).
"""

from __future__ import annotations

from chatd.errors import ChatdError
from chatd.proto.frames import FRAME_LIMIT
from chatd.proto.length_prefix import LENGTH_SIZE, take_message


class PlainSealer:
    """Prefixes payloads with their length; a length of zero closes this direction."""

    def seal(self, payload: bytes) -> bytes:
        return len(payload).to_bytes(LENGTH_SIZE, "big") + payload

    def close(self) -> bytes:
        return bytes(LENGTH_SIZE)


class PlainOpener:
    """Extracts payloads from a stream; ``closed`` once the closing record has come."""

    parts = 0

    def __init__(self) -> None:
        self.closed = False
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the payloads that ``data`` completes. Raises E101 over the limit, E100 after the close."""
        self._buffer += data
        payloads: list[bytes] = []
        while not self.closed:
            payload = take_message(self._buffer, FRAME_LIMIT, "E101", minimum=0)
            if payload is None:
                return payloads
            if payload:
                payloads.append(payload)
            else:
                self.closed = True
        if self._buffer:
            raise ChatdError("E100", "data after the closing record")
        return payloads
