"""Frames between the hub and its links (workers, and the operator's command on the box).

u32 length of the rest | u32 length of the header | header (JSON list) | payload (opaque bytes)

The header's first item names the operation. The payload is a client's request or a frame for a client,
unchanged, so that neither side decodes and encodes what it only passes on. ``terms`` is
{rate, burst, tokens, presence}; ``rate`` has the first three. ``tokens`` are those of the user: a session has
no more. The hub knows a worker by its pid (`chatd.hub.doors`), and an operator by the socket that accepted
it; an operator sends requests only, with sid 0. The enrol process (`chatd.enrol`) is known by its pid, too,
and sends `hello` and questions only; hashes are SHA-256 in hex. So is the gateway (`chatd.gateway`), which
has browsers' sessions as a worker has others, and asks `metrics`, `hooks` and `post`.

    link -> hub                                          payload
    hello    LINK_VERSION                                -
    open     sid, user, device, serial, address, resumed -
    close    sid                                         -
    request  sid                                         the request (JSON)
    charge   sid, tokens                                 -   (for what the worker answered itself)
    stats    {counter: number since the worker started; outbox bytes now}  -
    check    number, secret hash, key hash, device       -
    redeem   number, secret hash, key hash, device, serial, issued, ends  -
    check_renewal  number, user, device, serial, ends, key hash  -
    renew    number, user, device, serial, ends, key hash, new serial, issued, new ends  -
    metrics  number                                      -   (for monitors)
    hooks    number, room                                -
    post     number, hook, turned, [[msg_id, msg_id answered or null, kind, text], ...]  -

    hub -> link
    admit    sid, terms                                  the welcome frame
    refuse   sid, retry                                  the bye frame
    cut      sid, retry                                  the bye frame
    terms    sid, terms                                  a `standing` frame, or nothing after a reload
    rate     sid, terms                                  -   (the user owes tokens)
    reply    sid, request_id                             the reply frame
    room     room                                        an event frame for the room's live sessions
    later    room                                        an event frame that may be sent a moment later
    presence room                                        like `later`, for roles that may read presence
    live     sid, [room, ...]                            -
    enter    room, [sid, ...]                            -
    leave    room, [sid, ...]                            -
    surplus  sessions above the mean of all workers      -
    answer   number                                      the result as JSON, or an error frame
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any, Final

import orjson

from chatd import __version__

# Raise it with every change of the table above: an update may have replaced only one end of a link.
LINK_VERSION: Final = f"{__version__}, link 9"
# The names of the processes that are no workers, as the supervisor tells them to the hub.
ENROL_NAME: Final = "enrol"
GATEWAY_NAME: Final = "gateway"
LENGTH = 4
# A `live` header lists up to 2,000 rooms, more than a u16 counts.
HEADER_LENGTH = 4
# The largest frame is an `enter` of all sessions of a worker (20,000 numbers).
LINK_FRAME_LIMIT = 1024 * 1024
RECEIVE_BYTES = 256 * 1024

Header = list[Any]


# What a frame of another version of chatd may raise where it is taken apart.
MALFORMED: Final = (LookupError, ValueError, TypeError, AttributeError)


class LinkClosedError(Exception):
    """The peer is gone, or the link had to be cut."""


def pack(header: Header, payload: bytes = b"") -> bytes:
    """Return one link frame."""
    return pack_with(pack_header(header), payload)


def pack_header(header: Header) -> bytes:
    """Return a header for `pack_with`; packing it once serves many frames."""
    head = orjson.dumps(header)
    return len(head).to_bytes(HEADER_LENGTH, "big") + head


def pack_with(header: bytes, payload: bytes) -> bytes:
    """Return one link frame with a header from `pack_header`."""
    return (len(header) + len(payload)).to_bytes(LENGTH, "big") + header + payload


class LinkBuffer:
    """Cuts a link's byte stream into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[Header, bytes]]:
        """Yield the frames that ``data`` completes. Raises ValueError for a malformed frame."""
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


def receive_frames(sock: socket.socket, incoming: LinkBuffer) -> Iterator[tuple[Header, bytes]]:
    """Yield the frames that have arrived on a non-blocking socket.

    Raises LinkClosedError when the peer is gone, ValueError for a malformed frame.
    """
    try:
        data = sock.recv(RECEIVE_BYTES)
    except BlockingIOError:
        return
    except OSError:
        raise LinkClosedError from None
    if not data:
        raise LinkClosedError
    yield from incoming.feed(data)
