"""Where the gateway opens an enrolment for a client whose TLS it ends: at the enrol process."""

from __future__ import annotations

import socket
from typing import Final, cast

from chatd.child.handed_socket import Speaker, hand_over_socket
from chatd.errors import ChatdError
from chatd.proto.enrol_frames import ANSWER_LIMIT, AuthorityFrame, EnrolledFrame, parse_enrol_frame
from chatd.proto.frames import JsonObject, decode, encode
from chatd.proto.length_prefix import take_message

# A dead enrol process is replaced meanwhile, and takes what waits.
TAKEN_SECONDS = 2.0
# The enrol process cuts a connection earlier (chatd.enrol.enrol_loop.DEADLINE_SECONDS).
ANSWER_SECONDS: Final = 12.0
_RECEIVE_BYTES: Final = 16 * 1024
_NOT_TAKEN: Final = ChatdError("E502", "the server redeems no invites at the moment", "try again in a moment")


class PlainEnrolments:
    """The gateway's end of the pair; ``fd`` is None where invites are not redeemed. For any thread."""

    def __init__(self, fd: int | None) -> None:
        self._door = None if fd is None else socket.socket(fileno=fd)

    def close(self) -> None:
        if self._door is not None:
            self._door.close()

    def open_plain_enrolment(self, address: str) -> socket.socket:
        """Return a connection on which the enrol process speaks as it does inside TLS (docs/protocol.md).

        ``address`` is the client's, for the limits. The enrol process writes first, and closes at the end;
        a client that makes way for others gets E218 or a bare end. Raises E216 where invites are not
        redeemed, E502 if the enrol process does not take the connection: within `TAKEN_SECONDS`.
        """
        if self._door is None:
            raise ChatdError("E216")
        return self._open(self._door, address, Speaker.CLIENT)

    def exchange(self, address: str, frame: JsonObject) -> EnrolledFrame:
        """Send one frame for a client and return the answer.

        The gateway has verified the client's TLS certificate, if ``frame`` names one. Raises the ChatdError
        that the enrol process answers, and as `open_plain_enrolment` does.
        """
        if self._door is None:
            raise ChatdError("E216")
        with self._open(self._door, address, Speaker.GATEWAY) as sock:
            sock.settimeout(ANSWER_SECONDS)
            try:
                return _exchange(sock, frame)
            except OSError:
                raise _NOT_TAKEN from None

    @staticmethod
    def _open(door: socket.socket, address: str, speaker: Speaker) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            if hand_over_socket(door, theirs, address, b"", TAKEN_SECONDS, speaker):
                return ours
        # A process that takes the other end later finds it closed.
        ours.close()
        raise _NOT_TAKEN


def _exchange(sock: socket.socket, frame: JsonObject) -> EnrolledFrame:
    """Raises OSError if the connection ends."""
    incoming = bytearray()
    parse_enrol_frame(_receive(sock, incoming), AuthorityFrame)  # E218 comes in its place
    sock.sendall(encode(frame))
    return cast(EnrolledFrame, parse_enrol_frame(_receive(sock, incoming), EnrolledFrame))


def _receive(sock: socket.socket, incoming: bytearray) -> JsonObject:
    while (message := take_message(incoming, ANSWER_LIMIT, "E101")) is None:
        data = sock.recv(_RECEIVE_BYTES)
        if not data:
            raise ConnectionResetError
        incoming += data
    return decode(message)
