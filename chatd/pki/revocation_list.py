"""The list of revoked certificates (CRL, RFC 5280, 5) for other programs. chatd itself asks its hub."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from chatd.pki.authority import Authority, is_serial_of
from chatd.pki.profiles import require_valid

# Longer than two lists are apart: the first list after a certificate's end still has it (RFC 5280, 3.3).
KEPT: Final = timedelta(days=90)
MOST_DAYS: Final = 60
# A serial number has at most 20 octets and is positive (RFC 5280, 4.1.2.2).
_SERIAL_BITS: Final = 159


Revoked = tuple[str, int, int | None]


def make_revocation_lists(
    authority: Authority, revoked: Iterable[Revoked], *, now: datetime, days: int
) -> list[x509.CertificateRevocationList]:
    """Sign a list for the CA and, between a rotation and the retirement, one for the CA before.

    ``revoked`` and errors as for `make_revocation_list`.
    """
    revoked, ca, old = list(revoked), authority.certificate, authority.old
    if old is None:
        return [make_revocation_list(authority, revoked, now=now, days=days)]
    new_ones = [one for one in revoked if is_serial_of(one[0], ca)]
    old_ones = [one for one in revoked if not is_serial_of(one[0], ca)]
    parts = ((authority, new_ones), (old, old_ones))
    return [make_revocation_list(issuer, part, now=now, days=days) for issuer, part in parts]


def make_revocation_list(
    authority: Authority, revoked: Iterable[Revoked], *, now: datetime, days: int
) -> x509.CertificateRevocationList:
    """Sign the list. ``revoked``: serial in hex, and in ms since 1970 the revocation and the end, if known.

    Raises E612.
    """
    ca = authority.certificate
    require_valid(ca, now)
    kept_after = (now - KEPT).timestamp() * 1000
    # `add_revoked_certificate` copies the list each time.
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=ca.subject,
        last_update=now.replace(tzinfo=None),
        next_update=min(now + timedelta(days=days), ca.not_valid_after_utc).replace(tzinfo=None),
        revoked_certificates=[
            _entry(int(serial, 16), at)
            for serial, at, ends in revoked
            if (ends is None or ends > kept_after) and 0 < int(serial, 16) < 1 << _SERIAL_BITS
        ],
    )
    ski = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ski), critical=False
        )
        # Numbers must increase (RFC 5280, 5.2.3), and a restored home does not know the last one.
        .add_extension(x509.CRLNumber(round(now.timestamp() * 1000)), critical=False)
        .sign(authority.key, hashes.SHA256())
    )


def _entry(serial: int, at: int) -> x509.RevokedCertificate:
    date = datetime.fromtimestamp(at / 1000, UTC)
    return x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(date).build()
