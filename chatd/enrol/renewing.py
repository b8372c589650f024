"""A device that shows its certificate and asks for the next one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from chatd.enrol.credentials import EnrolCredentials
from chatd.errors import ChatdError
from chatd.pki.profiles import PARSE_ERRORS, device_of, is_issued_by, key_hash_of
from chatd.pki.renewal_proof import check_renewal
from chatd.pki.signing_request import key_of_request
from chatd.proto.enrol_frames import ReenrolFrame, RenewFrame, parse_enrol_frame
from chatd.proto.frames import JsonObject


@dataclass(frozen=True)
class RenewalQuestion:
    """The key to certify again, and the arguments of the question to the hub."""

    key: ec.EllipticCurvePublicKey
    arguments: list[Any]


def renewal_question(message: JsonObject, credentials: EnrolCredentials, binding: bytes) -> RenewalQuestion:
    """Check a `renew` frame, but for the dates: the hub decides how late a device may come.

    Raises E210 for a certificate that is not a device's of this server, E217 for a wrong proof.
    """
    frame = cast(RenewFrame, parse_enrol_frame(message, RenewFrame))
    certificate, question = _shown(frame.certificate, credentials)
    check_renewal(question.key, bytes.fromhex(frame.proof), binding, certificate.public_bytes(Encoding.DER))
    return question


def reenrol_question(message: JsonObject, credentials: EnrolCredentials) -> RenewalQuestion:
    """Check a `reenrol` frame of the gateway: TLS has proven the certificate's key to it.

    Raises E210 as `renewal_question` does, E217 for a request of another key.
    """
    frame = cast(ReenrolFrame, parse_enrol_frame(message, ReenrolFrame))
    certificate, question = _shown(frame.certificate, credentials)
    if key_of_request(frame.request) != certificate.public_key():
        raise ChatdError("E217", "a device keeps its key", "make the request with the key it has")
    return question


def _shown(pem: str, credentials: EnrolCredentials) -> tuple[x509.Certificate, RenewalQuestion]:
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode("ascii"))
    except PARSE_ERRORS:
        raise ChatdError("E210", "the certificate to renew is not readable") from None
    device = device_of(certificate.public_bytes(Encoding.DER), *credentials.roots)
    if device.name.instance != credentials.instance:
        raise ChatdError("E210", f"the certificate is for the server {device.name.instance}")
    key = cast(ec.EllipticCurvePublicKey, certificate.public_key())  # `device_of` refuses other kinds
    ends = round(certificate.not_valid_after_utc.timestamp() * 1000)
    name, moves = device.name, not is_issued_by(certificate, credentials.roots[0])
    arguments = [name.user, name.device, device.serial, ends, key_hash_of(certificate), moves]
    return certificate, RenewalQuestion(key, arguments)
