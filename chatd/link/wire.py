"""Frames between the hub and its links (workers, and the operator's command on the box).

u32 length of the rest | u32 length of the header | header (JSON list) | payload (opaque bytes)

The header's first item names the operation; the payload is a client's request or a client's frame
as it is, so that neither side decodes and encodes again what it only passes on.

    link -> hub                                          payload
    hello    worker name, LINK_VERSION                   -
    operator                                             -
    open     sid, user, device, serial, address, resumed -
    close    sid                                         -
    request  sid                                         the request (JSON)
    counts   {counter: number since the worker started}  -

    hub -> link
    admit    sid, {role, rate, burst, presence}          the welcome frame
    refuse   sid, retry                                  the bye frame
    cut      sid, retry                                  the bye frame
    terms    sid, {role, rate, burst, presence}          -   (another role, other settings)
    reply    sid, label                                  the reply frame
    room     room                                        an event frame for its live sessions
    later    room                                        the same, one that may wait for others for a moment
    presence room                                        as `later`, for those whose role may read presence
    live     sid, [room, ...]                            -
    enter    room, [sid, ...]                            -
    leave    room, [sid, ...]                            -
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import orjson

from chatd import __version__

# Raised with every change of the table above: an update may have replaced one end of a link only.
LINK_VERSION: Final = f"{__version__}, link 1"
LENGTH = 4
# The header of a `live` lists up to 2,000 rooms, which is more than a u16 counts.
HEADER_LENGTH = 4
# A resumed worker opens its sessions one by one; the largest single frame is a client's frame (64 KiB)
# or an `enter` of all sessions of a worker (20,000 numbers).
LINK_FRAME_LIMIT = 1024 * 1024

Header = list[Any]


class LinkClosedError(Exception):
    """The peer is gone, or the link had to be cut."""


def pack(header: Header, payload: bytes = b"") -> bytes:
    """One link frame."""
    return pack_with(pack_header(header), payload)


def pack_header(header: Header) -> bytes:
    """A header, for `pack_with`: one that is used again and again is packed once."""
    head = orjson.dumps(header)
    return len(head).to_bytes(HEADER_LENGTH, "big") + head


def pack_with(header: bytes, payload: bytes) -> bytes:
    """One link frame with a header from `pack_header`."""
    return (len(header) + len(payload)).to_bytes(LENGTH, "big") + header + payload


class LinkBuffer:
    """Cuts a link's byte stream into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[Header, bytes]]:
        """The frames completed by ``data``. Raises ValueError when the stream makes no sense."""
        buffer = self._buffer
        buffer += data
        position = 0
        try:
            while len(buffer) - position >= LENGTH:
                start = position + LENGTH
                size = int.from_bytes(buffer[position:start], "big")
                if not HEADER_LENGTH <= size <= LINK_FRAME_LIMIT:
                    raise ValueError(f"link frame of {size} bytes")
                end = start + size
                if end > len(buffer):
                    break
                body = start + HEADER_LENGTH + int.from_bytes(buffer[start : start + HEADER_LENGTH], "big")
                header = orjson.loads(buffer[start + HEADER_LENGTH : body]) if body <= end else None
                if not isinstance(header, list):
                    raise ValueError("link frame with a bad header")
                position = end
                yield header, bytes(buffer[body:end])
        finally:
            del buffer[:position]
