"""Try the steps to a server one by one, for `chat doctor`."""

from __future__ import annotations

import socket
from typing import cast

from cryptography.hazmat.primitives.serialization import Encoding

from chatctl.client._dialing import Address, look_up
from chatctl.client._joining import EnrolConnection, certificate_of
from chatd.codes import NOTHING_LISTENS
from chatd.errors import ChatdError
from chatd.pki.profiles import fingerprint
from chatd.proto.enrol_frames import AuthorityFrame

# A person waits for each address in turn.
REACH_SECONDS = 5.0


def addresses_of(server: str) -> list[str]:
    """Return the IP addresses of "host:port". Raises E607."""
    return [address.sockaddr[0] for address in look_up(server)]


def reach(server: str) -> str:
    """Connect to the first address that takes it, and return that IP address. Raises E607."""
    refusals: list[OSError] = []
    for address in look_up(server):
        try:
            return _connected(address)
        except OSError as error:
            refusals.append(error)
    why = refusals[0].strerror or f"no answer within {REACH_SECONDS:.0f} seconds"
    fix = NOTHING_LISTENS if all(isinstance(one, ConnectionRefusedError) for one in refusals) else ""
    raise ChatdError("E607", f"cannot connect to {server}: {why}", fix)


def _connected(address: Address) -> str:
    with socket.socket(address.family, socket.SOCK_STREAM) as connection:
        connection.settimeout(REACH_SECONDS)
        connection.connect(address.sockaddr)
    return address.sockaddr[0]


def authority_of(server: str) -> str:
    """Return the fingerprint of the CA that a server shows to newcomers. Raises ChatdError."""
    with EnrolConnection(server) as connection:
        frame = cast(AuthorityFrame, connection.receive(AuthorityFrame))
        return fingerprint(certificate_of(frame.ca).public_bytes(Encoding.DER))
