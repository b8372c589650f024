"""Explain why a TLS connection failed, so that a user can act on it.

A TLS 1.3 server checks the client's certificate after the client has finished its handshake; a refusal is one
alert byte or only a reset. The identity's dates, the local clock and the pinned CA give the details.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

from cryptography import x509

from chatd.codes import NEW_IDENTITY
from chatd.errors import ChatdError
from chatd.pki.identity import Identity
from chatd.pki.profiles import PARSE_ERRORS, device_of
from chatd.proto.durations import two_units

# X509_V_ERR_* of OpenSSL's x509_vfy.h.
_NOT_YET_VALID = 9
_EXPIRED = 10
# Self-signed, or from an issuer that is not the pinned CA.
_OTHER_CA = (18, 19, 20, 21)

# OpenSSL's names of the alerts (RFC 8446, 6.2) that a server sends about a client's certificate.
_REFUSED_EXPIRED = "CERTIFICATE_EXPIRED"
_REFUSED_UNKNOWN_CA = "UNKNOWN_CA"
_REFUSED_NONE = "CERTIFICATE_REQUIRED"
_REFUSED_REVOKED = "CERTIFICATE_REVOKED"
# OpenSSL sends this for a certificate that is not valid yet, and for a key that is too short.
_REFUSED_BAD = "BAD_CERTIFICATE"
_REFUSED_KIND = ("UNSUPPORTED_CERTIFICATE", "CERTIFICATE_UNKNOWN", "DECRYPT_ERROR")
_SILENT = "check the address; if it is right, ask an admin to look into logs/security.log"
_VERSIONS = ("PROTOCOL_VERSION", "NO_APPLICATION_PROTOCOL", "WRONG_VERSION_NUMBER", "UNSUPPORTED_PROTOCOL")


def explain_tls_failure(error: Exception, *, server: str, identity: Identity, now: float) -> ChatdError:
    """Return the error to show for a connection that failed with ``error`` during TLS or right after it.

    ``server`` is its HOST:PORT, ``now`` is Unix time.
    """
    if isinstance(error, ChatdError):
        return error
    if isinstance(error, ssl.SSLCertVerificationError):
        return _server_refused(error, server, identity, now)
    clock = _clock(identity, now)
    if clock is not None:
        return clock
    if isinstance(error, ssl.SSLEOFError):
        return ChatdError("E607", f"{server} accepted the connection and ended it without an answer", _SILENT)
    if isinstance(error, ssl.SSLError):
        # An SSLError made by Python code, not by OpenSSL, has no such attribute.
        return _client_refused(getattr(error, "reason", None) or "", identity, now)
    words = error.strerror if isinstance(error, OSError) and error.strerror else "the connection was cut"
    return ChatdError("E607", f"{server} ended the connection before the login: {words}", _SILENT)


def expired(not_after: datetime) -> ChatdError:
    """E202 for a refused login and for a session that ends with its certificate."""
    return ChatdError("E202", f"your certificate expired on {_day(not_after)}")


def _clock(identity: Identity, now: float) -> ChatdError | None:
    """The error that follows from the clock and the identity's dates alone, if any."""
    if now > identity.not_after.timestamp():
        return expired(identity.not_after)
    if now < identity.not_before.timestamp():
        return ChatdError(
            "E203",
            f"your certificate is valid from {_day(identity.not_before)}, and this machine's clock says "
            f"{_day(datetime.fromtimestamp(now, UTC))}: it is at least "
            f"{two_units(int(identity.not_before.timestamp() - now))} slow",
        )
    return None


def _server_refused(
    error: ssl.SSLCertVerificationError, server: str, identity: Identity, now: float
) -> ChatdError:
    """This side refused the server's certificate."""
    clock = _day(datetime.fromtimestamp(now, UTC))
    if error.verify_code == _EXPIRED:
        return ChatdError(
            "E202",
            f"the server's certificate has expired (this machine's clock says {clock})",
            "set the clock if it is wrong; otherwise an admin must renew the server's certificate",
        )
    if error.verify_code == _NOT_YET_VALID:
        return ChatdError(
            "E204",
            f"the server's certificate is not valid yet (this machine's clock says {clock})",
        )
    if error.verify_code in _OTHER_CA:
        return ChatdError(
            "E209",
            f"{server} is not the server of {identity.path.name}: its certificate is not from the CA of "
            f"{identity.instance!r}",
            "check the address; if it is right, do not continue, and ask an admin whether the CA is new",
        )
    return ChatdError("E209", f"the certificate of {server} is not accepted: {error.verify_message}")


def _client_refused(reason: str, identity: Identity, now: float) -> ChatdError:
    """The server refused this side's certificate, or TLS failed otherwise."""
    clock = f"this machine's clock says {_day(datetime.fromtimestamp(now, UTC))}"
    if reason.endswith(_REFUSED_EXPIRED):
        return ChatdError(
            "E204",
            f"the server says that your certificate has expired, but it is valid until "
            f"{_day(identity.not_after)}, and {clock}: the server's clock is at least "
            f"{two_units(int(identity.not_after.timestamp() - now))} ahead",
        )
    if reason.endswith(_REFUSED_BAD) and _of_a_device(identity):
        return ChatdError(
            "E204",
            f"the server says that your certificate is not valid yet; it is valid from "
            f"{_day(identity.not_before)}, and {clock}: the server's clock is at least "
            f"{two_units(int(now - identity.not_before.timestamp()))} behind",
        )
    if reason.endswith(_REFUSED_UNKNOWN_CA):
        return ChatdError(
            "E201", f"the server does not accept the authority that issued {identity.path.name}"
        )
    if reason.endswith(_REFUSED_NONE):
        return ChatdError("E200", "the server got no certificate from this client")
    if reason.endswith(_REFUSED_REVOKED):
        return ChatdError("E206")
    if reason.endswith((_REFUSED_BAD, *_REFUSED_KIND)):
        return ChatdError(
            "E210",
            f"the server does not accept the certificate in {identity.path.name}",
            NEW_IDENTITY,
        )
    if reason.endswith(_VERSIONS):
        return ChatdError(
            "E107", "the server at this address does not speak this version of chatd", "check the address"
        )
    return ChatdError(
        "E607",
        f"the secure connection failed: {reason.replace('_', ' ').lower() or 'the connection was cut'}",
        "check the address; if it is right, ask an admin to look into logs/security.log",
    )


def _of_a_device(identity: Identity) -> bool:
    """Whether the identity's certificate has all that servers ask of one, except its dates."""
    try:
        device_of(identity.certificate_der, x509.load_pem_x509_certificate(identity.ca_pem.encode("ascii")))
    except (ChatdError, *PARSE_ERRORS):
        return False
    return True


def _day(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M}Z"
