"""WebSockets as the gateway speaks them (RFC 6455): no extensions, bounded messages.

wsproto parses what clients send. What the server sends is composed here: the loop's thread writes while
the session's own thread reads, and a frame of a server is a header of at most four bytes before the payload.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import Any, Final

from wsproto.frame_protocol import CloseReason, FrameProtocol, Opcode, ParseFailed

from chatd.child.tls import TlsChannel
from chatd.errors import ChatdError
from chatd.proto.frames import FRAME_LIMIT

VERSION: Final = "13"
_KEY_BYTES: Final = 16
_GUID: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_FIN: Final = 0x80
_SHORT, _U16, _U64 = 126, 0x10000, 127


def accept_of(key: str) -> str | None:
    """Return Sec-WebSocket-Accept for a Sec-WebSocket-Key; None if that is not one."""
    try:
        if len(base64.b64decode(key, validate=True)) != _KEY_BYTES:
            return None
    except ValueError:
        return None
    return base64.b64encode(hashlib.sha1(f"{key}{_GUID}".encode(), usedforsecurity=False).digest()).decode()


def compose(opcode: Opcode, payload: bytes) -> bytes:
    """Return a message of one frame."""
    size = len(payload)
    if size < _SHORT:
        return bytes((_FIN | opcode, size)) + payload
    if size < _U16:
        return struct.pack(">BBH", _FIN | opcode, _SHORT, size) + payload
    return struct.pack(">BBQ", _FIN | opcode, _U64, size) + payload


def compose_close(reason: CloseReason) -> bytes:
    return compose(Opcode.CLOSE, struct.pack(">H", reason))


class WebSocketSealer:
    """Makes each payload a binary message; the close ends the session regularly."""

    def seal(self, payload: bytes) -> bytes:
        return compose(Opcode.BINARY, payload)

    def close(self) -> bytes:
        return compose_close(CloseReason.NORMAL_CLOSURE)


class WebSocketOpener:
    """Takes messages out of the client's frames, and answers pings.

    ``kind`` is the only kind of message that is accepted now, ``limit`` the bytes that one may have;
    ``closed`` once the closing frame has come. ``parts`` counts frames, or pieces of them.
    """

    def __init__(self, channel: TlsChannel, kind: Opcode, limit: int = FRAME_LIMIT) -> None:
        self.kind = kind
        self.limit = limit
        self.closed = False
        self.parts = 0
        self._channel = channel
        self._frames = FrameProtocol(client=False, extensions=[])
        self._message = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the messages that ``data`` completes. Raises E100, E101."""
        messages: list[bytes] = []
        while (message := self.next_message(data)) is not None:
            messages.append(message)
            data = b""
        return messages

    def next_message(self, data: bytes = b"") -> bytes | None:
        """Take ``data``, and return the next message; None if it is not complete."""
        if data:
            self._frames.receive_bytes(data)
        try:
            for frame in self._frames.received_frames():
                self.parts += 1
                if frame.opcode in (Opcode.BINARY, Opcode.TEXT):
                    message = self._take(frame)
                    if message is not None:
                        return message
                else:
                    self._control(frame.opcode, frame.payload)
        except ParseFailed as error:
            # Our words: wsproto's may have the peer's in them.
            raise ChatdError("E100", f"the WebSocket is closed with {error.code}") from None
        return None

    def _take(self, frame: Any) -> bytes | None:
        if frame.opcode is not self.kind:
            raise ChatdError("E100", f"a {frame.opcode.name.lower()} message is not possible now")
        part = frame.payload.encode() if isinstance(frame.payload, str) else frame.payload
        if len(self._message) + len(part) > self.limit:
            raise ChatdError("E101", f"a message is over {self.limit} bytes")
        self._message += part
        if not frame.message_finished:
            return None
        message = bytes(self._message)
        self._message.clear()
        return message

    def _control(self, opcode: Opcode, payload: Any) -> None:
        if opcode is Opcode.PING:
            self._channel.enqueue(compose(Opcode.PONG, bytes(payload)))
        elif opcode is Opcode.CLOSE:
            self.closed = True
            self._channel.enqueue(compose_close(CloseReason.NORMAL_CLOSURE))
