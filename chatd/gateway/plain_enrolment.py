"""Where the gateway opens an enrolment for a client whose TLS it ends: at the enrol process."""

from __future__ import annotations

import socket

from chatd.child.handed_socket import hand_over_socket
from chatd.errors import ChatdError

# A dead enrol process is replaced meanwhile, and takes what waits.
TAKEN_SECONDS = 2.0


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
        ours, theirs = socket.socketpair()
        with theirs:
            if hand_over_socket(self._door, theirs, address, b"", TAKEN_SECONDS, plain=True):
                return ours
        # A process that takes the other end later finds it closed.
        ours.close()
        raise ChatdError("E502", "the server redeems no invites at the moment", "try again in a moment")
