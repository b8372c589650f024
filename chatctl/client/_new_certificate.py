"""Ask a server to renew an identity, and replace its file."""

from __future__ import annotations

import os
from datetime import datetime
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from chatctl.client._joining import EnrolConnection, ServerTrust, write_enrolled
from chatctl.client._piped_identity import is_piped, keep
from chatctl.client._profile import state_folder
from chatd.errors import ChatdError
from chatd.pki.contexts import check_invited_server
from chatd.pki.identity import Identity, read_identity
from chatd.pki.renewal_proof import sign_renewal
from chatd.proto.enrol_frames import AuthorityFrame, EnrolledFrame

# An expired identity's program waits for this, and can do nothing else.
ANSWER_SECONDS = 5.0


def renew(identity: Identity, server: str, now: datetime) -> Identity:
    """Renew the identity at one of its servers, and replace its file; for a pipe, keep the certificate.

    Raises ChatdError: E202 and E205 to E219 as for a login, E409 if it was renewed a moment ago, E606 if the
    file cannot be written, E607 if the server cannot be reached.
    """
    certificate = x509.load_der_x509_certificate(identity.certificate_der)
    # A link to the file stays a link.
    path, piped = identity.path.resolve(), is_piped(identity)
    if identity.obstacle:  # before the server renews what nobody could keep
        raise ChatdError("E606", identity.obstacle, "make it writable, or use a copy of the identity file")
    with EnrolConnection(server, ANSWER_SECONDS) as connection:
        # The identity's own CA counts, and those that it has certified.
        trusted = ServerTrust.of(cast(AuthorityFrame, connection.receive(AuthorityFrame))).after(identity.ca)
        instance = check_invited_server(connection.leaf, identity.ca, now, trusted.crosses)
        if instance != identity.instance:
            raise ChatdError("E209", f"{server} is the server {instance!r}, not {identity.instance!r}")
        key_pem = identity.pem.encode() if piped else path.read_bytes()
        key = cast(ec.EllipticCurvePrivateKey, load_pem_private_key(key_pem, None))
        proof = sign_renewal(key, connection.binding, identity.certificate_der)
        pem = certificate.public_bytes(Encoding.PEM).decode("ascii")
        connection.send({"type": "renew", "certificate": pem, "proof": proof.hex()})
        enrolled = cast(EnrolledFrame, connection.receive(EnrolledFrame))
    if (enrolled.user, enrolled.device) != (identity.user, identity.device):
        raise ChatdError("E100", f"the server renewed another device: {enrolled.user}/{enrolled.device}")
    if piped:
        return keep(identity, trusted.chain_of(enrolled), state_folder(identity, os.environ))
    age = path.stat().st_mtime_ns
    servers = tuple(dict.fromkeys((*identity.servers, *enrolled.addresses)))
    write_enrolled(path, key, trusted, instance, servers, enrolled)
    # A home's first identity is its oldest file, and this one has not become another.
    os.utime(path, ns=(age, age))
    return read_identity(identity.path)
