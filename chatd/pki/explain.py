"""Explain why a TLS connection failed, so that a user can act on it.

A TLS 1.3 server checks the client's certificate after the client has finished its handshake; a refusal is one
alert byte or only a reset. The identity's dates, the local clock and the pinned CA give the details.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

from chatd.codes import NEW_IDENTITY
from chatd.errors import ChatdError
from chatd.pki.identity import Identity

# X509_V_ERR_* of OpenSSL's x509_vfy.h.
_NOT_YET_VALID = 9
_EXPIRED = 10

# OpenSSL's names of the alerts (RFC 8446, 6.2) that a server sends about a client's certificate.
_REFUSED_EXPIRED = "CERTIFICATE_EXPIRED"
_REFUSED_UNKNOWN_CA = "UNKNOWN_CA"
_REFUSED_NONE = "CERTIFICATE_REQUIRED"
_REFUSED_REVOKED = "CERTIFICATE_REVOKED"
# OpenSSL sends this for a certificate that is not valid yet; identities made by chatd have no other fault.
_REFUSED_BAD = "BAD_CERTIFICATE"
_REFUSED_KIND = ("UNSUPPORTED_CERTIFICATE", "CERTIFICATE_UNKNOWN", "DECRYPT_ERROR")
_VERSIONS = ("PROTOCOL_VERSION", "NO_APPLICATION_PROTOCOL", "WRONG_VERSION_NUMBER", "UNSUPPORTED_PROTOCOL")


def explain_tls_failure(error: Exception, *, identity: Identity, now: float) -> ChatdError:
    """Return the error to show for a connection that failed with ``error`` during TLS or right after it.

    ``now`` is Unix time.
    """
    if isinstance(error, ChatdError):
        return error
    if isinstance(error, ssl.SSLCertVerificationError):
        return _server_refused(error, identity, now)
    clock = _clock(identity, now)
    if clock is not None:
        return clock
    if isinstance(error, ssl.SSLError):
        # An SSLError made by Python code, not by OpenSSL, has no such attribute.
        return _client_refused(getattr(error, "reason", None) or "", identity, now)
    words = error.strerror if isinstance(error, OSError) and error.strerror else "the connection was cut"
    return ChatdError(
        "E607",
        f"the server ended the connection before the login: {words}",
        "try again; if it keeps failing, ask an admin to look into logs/security.log",
    )


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
            f"{_day(datetime.fromtimestamp(now, UTC))}",
        )
    return None


def _server_refused(error: ssl.SSLCertVerificationError, identity: Identity, now: float) -> ChatdError:
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
    return ChatdError(
        "E209",
        f"the server's certificate is not from the authority of {identity.instance!r} in "
        f"{identity.path.name}: {error.verify_message}",
    )


def _client_refused(reason: str, identity: Identity, now: float) -> ChatdError:
    """The server refused this side's certificate, or TLS failed otherwise."""
    clock = f"this machine's clock says {_day(datetime.fromtimestamp(now, UTC))}"
    if reason.endswith(_REFUSED_EXPIRED):
        return ChatdError(
            "E204",
            f"the server says that your certificate has expired, but it is valid until "
            f"{_day(identity.not_after)}, and {clock}",
        )
    if reason.endswith(_REFUSED_BAD):
        return ChatdError(
            "E204",
            f"the server does not accept your certificate yet; it is valid from "
            f"{_day(identity.not_before)}, and {clock}",
        )
    if reason.endswith(_REFUSED_UNKNOWN_CA):
        return ChatdError(
            "E201", f"the server does not accept the authority that issued {identity.path.name}"
        )
    if reason.endswith(_REFUSED_NONE):
        return ChatdError("E200", "the server got no certificate from this client")
    if reason.endswith(_REFUSED_REVOKED):
        return ChatdError("E206")
    if reason.endswith(_REFUSED_KIND):
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


def _day(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M}Z"
