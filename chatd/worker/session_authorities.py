"""The CAs of the sessions' certificates: which sessions are to move to a new one, and which must end."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from cryptography import x509

from chatd.errors import ChatdError
from chatd.pki.authority import is_serial_of
from chatd.proto.events import bye_frame
from chatd.proto.frames import encode

AUTHORITY_CHANGED = encode({"type": "authority_changed"})
# A device that has moved comes back with its new certificate; TLS refuses all others.
AUTHORITY_RETIRED = encode(bye_frame(ChatdError("E201", "the server's old CA was retired"), retry=True))


class CaStanding(Enum):
    """How the CA that issued a session's certificate stands."""

    PRESENT = 1
    OLD = 2  # it has been replaced, and is still accepted
    RETIRED = 3


class SessionAuthorities:
    """``roots`` are the accepted CAs, the one that issues first; `take` replaces them. For one thread.

    Ask for `CaStanding.RETIRED` after a `take` only: sessions that begin later have passed TLS with the
    present CAs.
    """

    def __init__(self, roots: Sequence[x509.Certificate] = ()) -> None:
        self._roots = list(roots)
        # Sessions that began before may have certificates of it.
        self._has_retired = False

    def take(self, roots: Sequence[x509.Certificate]) -> None:
        """Accept these from now on."""
        self._has_retired = self._has_retired or any(root not in roots for root in self._roots)
        self._roots = list(roots)

    def standing_of(self, serial: str) -> CaStanding:
        """Return how the CA of a device's certificate, given its serial number in hex, stands.

        A CA that remains after another has retired was made by a rotation, so that its serial numbers tell.
        """
        if not (len(self._roots) > 1 or self._has_retired) or is_serial_of(serial, self._roots[0]):
            return CaStanding.PRESENT
        return CaStanding.OLD if len(self._roots) > 1 else CaStanding.RETIRED
