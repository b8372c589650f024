"""Explanations of TLS failures; tests/security/test_certificates.py uses alerts of a real server."""

from __future__ import annotations

import errno
import os
import ssl
from datetime import timedelta
from pathlib import Path

import pytest

from chatd.errors import ChatdError
from chatd.pki.explain import explain_tls_failure
from chatd.pki.identity import Identity
from tests.support.certificates import NOW

NOW_UNIX = NOW.timestamp()
DAY = 86400.0
IDENTITY = Identity(
    path=Path("bob.pem"),
    instance="lab",
    user="bob",
    device="laptop",
    servers=(),
    certificate_der=b"",
    ca_pem="",
    not_before=NOW - timedelta(days=1),
    not_after=NOW + timedelta(days=30),
)
CUT = ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))


def alert(name: str) -> ssl.SSLError:
    error = ssl.SSLError(1, name)
    error.reason = name
    return error


def refusal(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "reason of OpenSSL"
    return error


@pytest.mark.parametrize(
    ("error", "now", "code", "words"),
    [
        (alert("TLSV1_ALERT_UNKNOWN_CA"), 0.0, "E201", "bob.pem"),
        (alert("SSLV3_ALERT_CERTIFICATE_EXPIRED"), 31 * DAY, "E202", "expired on"),
        (alert("SSLV3_ALERT_CERTIFICATE_EXPIRED"), 0.0, "E204", "at least 30d ahead"),
        (alert("SSLV3_ALERT_BAD_CERTIFICATE"), -2 * DAY, "E203", "at least 1d slow"),
        (alert("SSLV3_ALERT_BAD_CERTIFICATE"), 0.0, "E210", "bob.pem"),
        (alert("TLSV13_ALERT_CERTIFICATE_REQUIRED"), 0.0, "E200", "no certificate"),
        (alert("SSLV3_ALERT_CERTIFICATE_REVOKED"), 0.0, "E206", "revoked"),
        (alert("SSLV3_ALERT_UNSUPPORTED_CERTIFICATE"), 0.0, "E210", "bob.pem"),
        (alert("TLSV1_ALERT_DECRYPT_ERROR"), 0.0, "E210", "bob.pem"),
        (alert("TLSV1_ALERT_PROTOCOL_VERSION"), 0.0, "E107", "version"),
        (alert("WRONG_VERSION_NUMBER"), 0.0, "E107", "version"),
        (alert("TLSV1_ALERT_INTERNAL_ERROR"), 0.0, "E607", "internal error"),
        (ssl.SSLError("?"), 0.0, "E607", "cut"),
        (CUT, 0.0, "E607", "reset by peer"),
        (TimeoutError(), 0.0, "E607", "before the login"),
        (CUT, 31 * DAY, "E202", "expired on"),
        (CUT, -2 * DAY, "E203", "valid from"),
        (refusal(10), 0.0, "E202", "the server's certificate has expired"),
        (refusal(9), 0.0, "E204", "not valid yet"),
        (refusal(19), 0.0, "E209", "192.0.2.1:5000 is not the server of bob.pem"),
        (refusal(26), 0.0, "E209", "reason of OpenSSL"),
    ],
)
def test_a_tls_failure_is_explained_with_code_and_reason(
    error: Exception, now: float, code: str, words: str
) -> None:
    # ``now`` is an offset: absolute times would give the tests different names in each xdist worker.
    explanation = explain_tls_failure(error, server="192.0.2.1:5000", identity=IDENTITY, now=NOW_UNIX + now)
    assert (explanation.code, words in explanation.reason) == (code, True), explanation.reason
    assert explanation.fix


def test_a_chatd_error_is_returned_unchanged(tmp_path: Path) -> None:
    error = ChatdError("E209")
    assert explain_tls_failure(error, server="192.0.2.1:5000", identity=IDENTITY, now=0) is error
