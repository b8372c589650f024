"""Certificate signing requests (PKCS #10, RFC 2986): a key that asks for a certificate, without leaving home.

Only the public key is taken from one, after its signature has shown that the asker has the private key. Names
and extensions in it are ignored.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from chatd.errors import ChatdError
from chatd.pki.profiles import PARSE_ERRORS

# A request with a P-256 key and a short name has 250 bytes. Larger ones are not parsed.
REQUEST_LIMIT = 2048

_OF_A_KEY = "make a new key of the curve P-256"


def make_request(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a request (DER) for a certificate of ``key``; its name is empty, since nobody reads it."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def key_of_request(der: bytes) -> ec.EllipticCurvePublicKey:
    """Return the key of a request (DER) that proves possession of it. Raises E217.

    Device certificates have P-256 keys (`chatd.pki.profiles`); logins refuse all others.
    """
    if len(der) > REQUEST_LIMIT:
        raise ChatdError("E217", f"a certificate request has at most {REQUEST_LIMIT} bytes")
    try:
        request = x509.load_der_x509_csr(der)
        key = request.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise ChatdError("E217", "the key of a certificate request must be of the curve P-256", _OF_A_KEY)
        if not request.is_signature_valid:
            raise ChatdError("E217", "the certificate request is not signed with its own key")
    except (InvalidSignature, *PARSE_ERRORS):
        raise ChatdError("E217", "the certificate request is not readable") from None
    return key
