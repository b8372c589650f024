"""The login of a browser: a challenge, and a signature by the key of a device certificate.

The signature names the page's origin and this server, so that it is of no use at another one, and the
challenge's nonce, so that it is of no use a second time.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Final, cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from chatd.errors import ChatdError
from chatd.pki.explain import expired
from chatd.pki.profiles import CERTIFICATE_LIMIT, PARSE_ERRORS, DeviceCertificate, device_of, is_issued_by
from chatd.proto.frames import JsonObject, decode

CONTEXT: Final = "chatd browser login v1"
NONCE_BYTES: Final = 32
# A certificate as PEM is a third longer than its DER, and a signature has 86 characters.
LOGIN_BYTES: Final = 2 * CERTIFICATE_LIMIT
_NUMBER_BYTES: Final = 32  # r and s of P-256


def make_nonce() -> str:
    return _encoded(secrets.token_bytes(NONCE_BYTES))


def challenge(nonce: str, instance: str, *, certificate: bool) -> JsonObject:
    """Return the server's first message; ``certificate``: TLS has a client certificate, which is enough."""
    message: JsonObject = {"type": "challenge", "nonce": nonce, "instance": instance}
    return message | {"certificate": True} if certificate else message


def signed_bytes(nonce: str, origin: str, instance: str) -> bytes:
    """Return what the browser's key signs."""
    return "\n".join((CONTEXT, nonce, origin, instance)).encode()


def device_by_certificate(leaf: bytes, roots: Sequence[x509.Certificate], instance: str) -> DeviceCertificate:
    """Return the device of a TLS client certificate, whose chain and dates TLS has verified. Raises E210."""
    return _of_instance(device_of(leaf, *roots), instance)


def device_by_signature(
    message: bytes,
    nonce: str,
    origin: str,
    roots: Sequence[x509.Certificate],
    instance: str,
    now: datetime,
) -> DeviceCertificate:
    """Return the device that a login message proves to be. Raises E100, E102, E200, E202, E203, E210."""
    login = decode(message)
    pem, signature = login.get("certificate"), login.get("signature")
    if login.get("type") != "login":
        raise ChatdError("E100", "the first message must be a login")
    if not isinstance(pem, str) or not isinstance(signature, str):
        raise ChatdError("E200", "the login has no certificate and signature")
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
    except PARSE_ERRORS:
        raise ChatdError("E210", "this certificate may not log in: it is not readable") from None
    device = device_of(certificate.public_bytes(Encoding.DER), *roots)
    _check_dates(certificate, roots, now)
    # The profile of a device certificate allows no other kind of key.
    key = cast(ec.EllipticCurvePublicKey, certificate.public_key())
    _check_signature(key, signature, signed_bytes(nonce, origin, instance))
    return _of_instance(device, instance)


def _of_instance(device: DeviceCertificate, instance: str) -> DeviceCertificate:
    if device.name.instance != instance:
        raise ChatdError("E210", f"the certificate is for the server {device.name.instance}")
    return device


def _check_dates(certificate: x509.Certificate, roots: Sequence[x509.Certificate], now: datetime) -> None:
    """Check what TLS would: the dates of the leaf, and of its issuer."""
    if now > certificate.not_valid_after_utc:
        raise expired(certificate.not_valid_after_utc)
    if now < certificate.not_valid_before_utc:
        raise ChatdError("E203")
    issuers = [root for root in roots if is_issued_by(certificate, root)]
    if all(now > root.not_valid_after_utc for root in issuers):
        raise ChatdError("E202", "the server's authority has expired")


def _check_signature(key: ec.EllipticCurvePublicKey, signature: str, signed: bytes) -> None:
    """Check a signature r||s, as WebCrypto makes it."""
    try:
        raw = base64.b64decode(signature + "=" * (-len(signature) % 4), b"-_", validate=True)
        if len(raw) != 2 * _NUMBER_BYTES:
            raise ValueError
        r, s = (int.from_bytes(raw[at : at + _NUMBER_BYTES], "big") for at in (0, _NUMBER_BYTES))
        key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        raise ChatdError(
            "E210", "the signature is not of this certificate's key and this challenge"
        ) from None


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
