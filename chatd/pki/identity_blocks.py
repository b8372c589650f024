"""The PEM blocks of an identity file: one private key and two certificates, in any order.

Text around the blocks is ignored, as RFC 7468 (2) asks of parsers. So are repeated blocks.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from chatd.codes import NEW_IDENTITY
from chatd.pki.profiles import PARSE_ERRORS, PublicKey
from chatd.pki.rollover import crosses_of

COPY_AGAIN = "copy the whole file again from where it came"
LOST = f"{COPY_AGAIN}; if it is lost, {NEW_IDENTITY}"
DECRYPT = "decrypt it with: openssl pkey -in FILE >> FILE"

# No body contains a boundary, so that the search takes linear time whatever the text.
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\n((?:[^-]|-(?!----))*)-----END \1-----")
_BEGIN = "-----BEGIN "
# PKCS 8 (RFC 5208) and the older form of RFC 5915.
_KEYS = ("PRIVATE KEY", "EC PRIVATE KEY")
# RFC 1421 (4.6.1.1), as OpenSSL writes it into the older form.
_ENCRYPTED = "Proc-Type: 4,ENCRYPTED"


class UnusableError(Exception):
    """The file cannot be used: a sentence to show, and what to do."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fix = fix


class Blocks(NamedTuple):
    """The device's and the CA's certificates, and all blocks in the order that OpenSSL wants.

    ``crosses`` are other CAs of the server that this one has certified.
    """

    leaf: x509.Certificate
    ca: x509.Certificate
    crosses: tuple[x509.Certificate, ...]
    pem: str


def read_blocks(text: str) -> Blocks:
    """Find the key, the certificate of that key, and the CA that issued it. Raises UnusableError."""
    found = dict.fromkeys((block[1], block[0] + "\n") for block in _BLOCK.finditer(text))
    if text.count(_BEGIN) != sum(1 for _ in _BLOCK.finditer(text)):
        raise UnusableError("it is damaged: a block has no end, or another one begins within it", LOST)
    keys = _keys(list(found))
    certificates = _certificates([pem for label, pem in found if label == "CERTIFICATE"])
    key, leaf = _one_pair(keys, certificates)
    ca = _issuer(leaf, certificates)
    crosses = crosses_of(ca, certificates)
    ordered = (leaf, ca, *crosses)
    pem = key + "".join(one.public_bytes(Encoding.PEM).decode() for one in ordered)
    return Blocks(leaf, ca, crosses, pem)


def _keys(found: list[tuple[str, str]]) -> list[tuple[str, PublicKey]]:
    plain = [pem for label, pem in found if label in _KEYS and _ENCRYPTED not in pem]
    if plain:
        try:
            # Only EC keys occur in identities; another kind matches no certificate.
            return [(pem, load_pem_private_key(pem.encode(), None).public_key()) for pem in plain]  # type: ignore[misc]
        except PARSE_ERRORS:
            raise UnusableError("its private key is damaged", LOST) from None
    labels = [label for label, pem in found if label not in _KEYS]
    if len(labels) < len(found) or "ENCRYPTED PRIVATE KEY" in labels:
        raise UnusableError("its private key is encrypted with a password", DECRYPT)
    for label in labels:
        if label.endswith("PRIVATE KEY"):
            raise UnusableError(f"its private key is in a form of its own, {label}", COPY_AGAIN)
    raise UnusableError("it is incomplete: it has no private key", LOST)


def _certificates(blocks: list[str]) -> list[x509.Certificate]:
    try:
        return list(dict.fromkeys(x509.load_pem_x509_certificate(pem.encode()) for pem in blocks))
    except PARSE_ERRORS:
        raise UnusableError("one of its certificates is damaged", COPY_AGAIN) from None


def _one_pair(
    keys: list[tuple[str, PublicKey]], certificates: list[x509.Certificate]
) -> tuple[str, x509.Certificate]:
    if len(certificates) < 2:
        reason = f"it is incomplete: it has {len(certificates)} of the two certificates"
        raise UnusableError(reason, COPY_AGAIN)
    try:
        pairs = {one: pem for one in certificates for pem, key in keys if one.public_key() == key}
    except PARSE_ERRORS:
        raise UnusableError("the key in one of its certificates is damaged", COPY_AGAIN) from None
    if not pairs:
        raise UnusableError("its private key does not match its certificate", COPY_AGAIN)
    if len(pairs) > 1:
        raise UnusableError("it has the certificates of several devices", "keep one device's in it")
    (leaf, pem), *_ = pairs.items()
    return pem, leaf


def _issuer(leaf: x509.Certificate, certificates: list[x509.Certificate]) -> x509.Certificate:
    issuers = [one for one in certificates if one != leaf and _issued(leaf, one)]
    if not issuers:
        raise UnusableError("its certificate was not issued by its CA certificate", COPY_AGAIN)
    if len(issuers) > 1:
        raise UnusableError(
            "it has several CA certificates for one key", "keep the one that the admin gave you"
        )
    return issuers[0]


def _issued(leaf: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(ca)
    except (InvalidSignature, *PARSE_ERRORS):
        return False
    return True
