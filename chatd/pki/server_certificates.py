"""The server's own certificates in ``certs/``, as the server renews them: new dates, the same key and names.

With the same key, any mixture of old and new files fits together, so a crash between two of them is harmless.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from chatd.pki import profiles
from chatd.pki.authority import Authority
from chatd.pki.lifetimes import renewal_due

PROFILES: Final[Mapping[str, profiles.Profile]] = {
    "server.pem": profiles.SERVER,
    "envelope.pem": profiles.ENVELOPE,
}
# Close to the CA's own end, renewing would gain less and less.
LEAST_GAIN: Final = timedelta(days=1)


def check_own(
    name: str, certificate: x509.Certificate, roots: Iterable[x509.Certificate], instance: str
) -> None:
    """Raise ValueError, with a sentence to show, unless this is the server's certificate in the file NAME."""
    profile = PROFILES[name]
    uri = profiles.uri_of(certificate, profile, only=profile is profiles.ENVELOPE)
    expected = profiles.server_uri if profile is profiles.SERVER else profiles.envelope_uri
    if uri != expected(instance):
        raise ValueError("it names another server")
    profiles.check_issuer(certificate, *roots)


def is_due(certificate: x509.Certificate, now: datetime) -> bool:
    """Whether it is time for the next certificate.

    One that is not valid yet is due as well: it was issued while this machine's clock was ahead.
    """
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return not begins <= now <= ends or now >= renewal_due(begins, ends, certificate.serial_number)


def is_worth_it(certificate: x509.Certificate, ca: x509.Certificate, now: datetime, days: int) -> bool:
    """Whether the next certificate, for ``days``, would be of use for longer than the present one.

    True after the end of ``ca``, so that `renew` says what to do.
    """
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    next_end = min(now + timedelta(days=days), ca.not_valid_after_utc)
    used_until = max(ends, now) if begins <= now else now
    return next_end < now or next_end - used_until >= LEAST_GAIN


def renew(
    authority: Authority, name: str, certificate: x509.Certificate, now: datetime, days: int
) -> x509.Certificate:
    """Issue the next certificate. Raises ValueError for a foreign one, ChatdError E612 for a wrong clock."""
    check_own(name, certificate, [authority.serving.certificate], authority.instance)
    return authority.issue_again(certificate, PROFILES[name], now=now, days=days)
