"""The renewed certificate of an identity from a pipe, which no program can write back.

Whoever keeps their identity encrypted decrypts it into a pipe. The key stays where it is; the certificate is
no secret, and is kept in the device's state folder.
"""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from chatd.durable_files import PRIVATE, replace_file
from chatd.errors import ChatdError
from chatd.pki.identity import Identity, with_certificate
from chatd.pki.profiles import CERTIFICATE_LIMIT, PARSE_ERRORS, is_issued_by
from chatd.pki.rollover import crosses_of, is_root, issuer_among, successor

FILE_NAME = "certificate.pem"
# A certificate, a new CA and two cross certificates.
_CHAIN_LIMIT = 4 * CERTIFICATE_LIMIT


def is_piped(identity: Identity) -> bool:
    """Whether an identity comes from a pipe; a file that has been removed was none."""
    return bool(identity.pem) and not identity.path.is_file()


def newest(identity: Identity, folder: Path) -> Identity:
    """Return an identity from a pipe with the certificate kept in ``folder``, if that is the newer one.

    It is if it is valid for longer, or of a CA that the identity's own one has certified. A certificate that
    does not fit the key and the names does not count.
    """
    try:
        with (folder / FILE_NAME).open(encoding="ascii") as file:
            kept = _with_chain(identity, file.read(_CHAIN_LIMIT))
    except (OSError, ValueError, ChatdError):
        return identity
    return kept if kept.not_after > identity.not_after or kept.ca != identity.ca else identity


def keep(identity: Identity, certificate: str, folder: Path) -> Identity:
    """Keep a renewed certificate (PEM) in ``folder``; return the identity with it. Raises E606, E608.

    If it is of a new CA, that and the certificates that lead to it follow. Raises E209 if they do not.
    """
    renewed = _with_chain(identity, certificate)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ChatdError("E606", f"{folder} cannot be made: {error.strerror}") from None
    replace_file(folder / FILE_NAME, certificate.encode("ascii"), PRIVATE)
    return renewed


def _with_chain(identity: Identity, text: str) -> Identity:
    """Return the identity with a certificate, also of a CA that the identity's own one has certified.

    Raises E209, E608.
    """
    try:
        leaf, *others = x509.load_pem_x509_certificates(text.encode("ascii"))
    except PARSE_ERRORS:
        return with_certificate(identity, text)  # which says what is wrong with it
    ca = identity.ca
    if not is_issued_by(leaf, ca):
        ca = successor(ca, issuer_among(leaf, filter(is_root, others)) or ca, others)
    parts = (leaf, ca, *crosses_of(ca, others))
    return with_certificate(identity, "".join(one.public_bytes(Encoding.PEM).decode() for one in parts))
