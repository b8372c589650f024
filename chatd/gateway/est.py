"""Enrolment over Secure Transport (RFC 7030): invites and renewals for curl, openssl and managed devices.

A thin door: the enrol process judges and issues, as for `chat join`. The password is the invite's code.
"""

from __future__ import annotations

import base64
import binascii
import re
import ssl
from collections.abc import Mapping
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import serialize_certificates

from chatd.errors import ChatdError
from chatd.gateway.http_messages import READ_ONLY, HttpAnswer, HttpRequest, Route
from chatd.gateway.plain_enrolment import PlainEnrolments
from chatd.pki.profiles import PARSE_ERRORS
from chatd.pki.signing_request import REQUEST_LIMIT
from chatd.proto.frames import JsonObject
from chatd.proto.invite_code import parse_code

PATH: Final = "/.well-known/est/"
# A request in base64, with line breaks and the lines of PEM around it.
BODY_LIMIT: Final = 2 * REQUEST_LIMIT
RETRY_SECONDS: Final = "60"
_CERTIFICATES: Final = "application/pkcs7-mime; smime-type=certs-only"
_REQUEST: Final = "application/pkcs10"
_BASIC: Final = ("WWW-Authenticate", 'Basic realm="chatd: name and invite", charset="UTF-8"')
_NO_PASSWORD: Final = ChatdError("E215", "there is no invite", "send the name, and the invite as password")
_NO_CERTIFICATE: Final = ChatdError(
    "E210", "a device renews with its TLS client certificate", "set gateway.client_certificates, or: chat"
)
# Codes of refusals -> status; others are 403, those of E5xx 503.
_STATUS: Final = {
    **dict.fromkeys(("E101", "E102", "E217"), 400),
    **dict.fromkeys(("E211", "E215"), 401),
    "E409": 409,
    "E218": 429,
}


class Est:
    """Answers the paths of EST, on any thread."""

    def __init__(self, enrolments: PlainEnrolments, files: Mapping[str, bytes]) -> None:
        self._enrolments = enrolments
        self.reload(files)

    def reload(self, files: Mapping[str, bytes]) -> None:
        """Take the CAs, and the certificates in which they certify each other. Raises ChatdError E606."""
        try:
            roots = x509.load_pem_x509_certificates(files["ca.pem"])
            _, *crosses = x509.load_pem_x509_certificates(files["server.pem"])
        except PARSE_ERRORS as error:
            raise ChatdError("E606", f"a certificate in certs/ cannot be read: {error}") from None
        self._cacerts = _certs_only(*roots, *crosses)

    def routes(self) -> dict[str, Route]:
        """Return the routes for the gateway's table."""
        return {
            f"{PATH}cacerts": Route(lambda _: self._cacerts, READ_ONLY),
            # No content: nothing is asked of a request but a P-256 key.
            f"{PATH}csrattrs": Route(lambda _: HttpAnswer(204), READ_ONLY),
            f"{PATH}simpleenroll": Route(self._enrol, ("POST",), body_limit=BODY_LIMIT),
            f"{PATH}simplereenroll": Route(self._renew, ("POST",), body_limit=BODY_LIMIT),
        }

    def _enrol(self, request: HttpRequest) -> HttpAnswer:
        try:
            user, secret = _credentials(request.headers.get("authorization", ""))
            return self._issue(request, {"type": "redeem", "user": user, "secret": secret})
        except ChatdError as error:
            return _refusal(error)

    def _renew(self, request: HttpRequest) -> HttpAnswer:
        try:
            if not request.certificate:
                raise _NO_CERTIFICATE
            pem = ssl.DER_cert_to_PEM_cert(request.certificate)
            return self._issue(request, {"type": "reenrol", "certificate": pem})
        except ChatdError as error:
            return _refusal(error)

    def _issue(self, request: HttpRequest, frame: JsonObject) -> HttpAnswer:
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type != _REQUEST:
            return HttpAnswer(415, f"the body must be {_REQUEST}\n")
        frame |= {"csr": _request(request.body), "device": ""}
        enrolled = self._enrolments.exchange(request.address, frame)
        return _certs_only(x509.load_pem_x509_certificate(enrolled.certificate.encode("ascii")))


def _credentials(header: str) -> tuple[str, str]:
    """Return name and secret (hex) of an Authorization header (RFC 7617). Raises E215."""
    scheme, _, encoded = header.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise _NO_PASSWORD
        user, _, password = base64.b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")
    except ValueError:
        raise _NO_PASSWORD from None
    if not user:
        raise _NO_PASSWORD
    # Whoever has the whole line may send all of it; the server is known already.
    code = parse_code(password if "/" in password else f"localhost:1/{password}")
    return user, code.secret.hex()


def _request(body: bytes) -> str:
    """Return a body, base64 (RFC 7030, 4.2.1) or PEM, as base64 without breaks. Raises E217."""
    text = b"".join(re.sub(rb"-----[A-Z ]+-----", b"", body).split())
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)).decode("ascii")
    except binascii.Error:
        fix = "send the output of: openssl req -new -key KEY"
        raise ChatdError("E217", "the certificate request is not base64", fix) from None


def _certs_only(*certificates: x509.Certificate) -> HttpAnswer:
    """Return certificates as RFC 7030 wants them: PKCS #7 without signatures, in base64."""
    body = base64.encodebytes(serialize_certificates(list(certificates), Encoding.DER))
    return HttpAnswer(200, body, _CERTIFICATES, [("Content-Transfer-Encoding", "base64")])


def _refusal(error: ChatdError) -> HttpAnswer:
    status = 503 if error.code.startswith("E5") else _STATUS.get(error.code, 403)
    headers = {401: [_BASIC], 429: [("Retry-After", RETRY_SECONDS)], 503: [("Retry-After", RETRY_SECONDS)]}
    return HttpAnswer(status, f"{error}\n", headers=headers.get(status, []))
