"""The proof that a client has the key of the certificate it wants to renew.

It is a signature over the TLS binding of the connection, so that nobody can use it on another one.
"""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from chatd.errors import ChatdError

_DOMAIN = b"chatd/renewal/1\0"


def sign_renewal(key: ec.EllipticCurvePrivateKey, binding: bytes, certificate_der: bytes) -> bytes:
    """Sign the renewal of a certificate over the connection with this TLS binding; ECDSA, as DER."""
    return key.sign(_signed(binding, certificate_der), ec.ECDSA(hashes.SHA256()))


def check_renewal(
    key: ec.EllipticCurvePublicKey, proof: bytes, binding: bytes, certificate_der: bytes
) -> None:
    """Raise E217 unless ``proof`` is what `sign_renewal` returned for the same."""
    try:
        key.verify(proof, _signed(binding, certificate_der), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise ChatdError("E217", "the renewal is not signed with the key of its certificate") from None


def _signed(binding: bytes, certificate_der: bytes) -> bytes:
    return _DOMAIN + hashlib.sha256(binding).digest() + hashlib.sha256(certificate_der).digest()
