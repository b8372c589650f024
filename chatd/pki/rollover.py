"""Two CAs of one server: the old one, and the one that a rotation has made.

Each has certified the key of the other (cross-signing): whoever trusts one of them can verify what the other
has issued. After a rotation ``ca.pem`` holds the new CA and then the old one, and ``server.pem`` the server's
certificate and then both cross certificates. docs/adr/0035-a-new-ca.md has the reasons.
"""

from __future__ import annotations

from collections.abc import Iterable

from cryptography import x509

from chatd.errors import ChatdError
from chatd.pki import profiles

# The CAs of earlier rotations, for invites that name them and for what their record keys have signed.
RETIRED = "ca-retired.pem"


def is_root(certificate: x509.Certificate) -> bool:
    """Whether a CA has signed its own certificate; a cross certificate has the same names, but does not."""
    return profiles.is_issued_by(certificate, certificate)


def crosses_of(ca: x509.Certificate, others: Iterable[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """Return those of ``others`` in which ``ca`` certifies another CA of its server."""
    return tuple(one for one in others if _is_cross(one, ca))


def _is_cross(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    if certificate.subject != ca.subject or certificate == ca or not profiles.is_issued_by(certificate, ca):
        return False
    try:
        extensions = certificate.extensions
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except (x509.ExtensionNotFound, *profiles.PARSE_ERRORS):
        return False
    return constraints.ca and usage.key_cert_sign


def successor(
    pinned: x509.Certificate, named: x509.Certificate, others: Iterable[x509.Certificate]
) -> x509.Certificate:
    """Return ``named``, if it is the pinned CA, or one whose key the pinned CA has certified. Raises E209."""
    if named == pinned:
        return named
    certified = any(one.public_key() == named.public_key() for one in crosses_of(pinned, others))
    if named.subject != pinned.subject or not is_root(named) or not certified:
        raise ChatdError("E209", "the server names a CA that the one known here has not certified")
    return named


def issuer_among(certificate: x509.Certificate, roots: Iterable[x509.Certificate]) -> x509.Certificate | None:
    """Return the CA that issued a certificate."""
    return next((root for root in roots if profiles.is_issued_by(certificate, root)), None)
