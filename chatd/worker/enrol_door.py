"""Where a worker hands over clients that have an invite instead of a certificate: to the enrol process."""

from __future__ import annotations

import socket

from chatd.child.handed_socket import hand_over_socket
from chatd.crashpoints import crash_point
from chatd.proto.alpn import ALERT_DOWN, ALERT_OFF

# A dead enrol process is replaced meanwhile, and takes what waits.
TAKEN_SECONDS = 2.0


class EnrolDoor:
    """The worker's end of the pair; ``fd`` is None where invites are not redeemed."""

    def __init__(self, fd: int | None) -> None:
        self._door = None if fd is None else socket.socket(fileno=fd)

    def hand_over(self, sock: socket.socket, address: str, first: bytes) -> str:
        """Hand a client over, or end its connection with an alert that says why.

        Returns "" or the reason. The caller closes its own copy of ``sock``.
        """
        if self._door is None:
            return self._refuse(sock, ALERT_OFF, "switched off")
        crash_point("enrol.handed")
        if hand_over_socket(self._door, sock, address, first, TAKEN_SECONDS):
            return ""
        return self._refuse(sock, ALERT_DOWN, "not taken")

    @staticmethod
    def _refuse(sock: socket.socket, alert: bytes, why: str) -> str:
        try:
            sock.settimeout(1.0)
            sock.sendall(alert)
            sock.shutdown(socket.SHUT_RDWR)  # its other copy may be in the queue still
        except OSError:
            pass
        return why
