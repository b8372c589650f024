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
from chatd.proto.enrol_frames import RenewFrame, parse_enrol_frame
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
    try:
        certificate = x509.load_pem_x509_certificate(frame.certificate.encode("ascii"))
    except PARSE_ERRORS:
        raise ChatdError("E210", "the certificate to renew is not readable") from None
    der = certificate.public_bytes(Encoding.DER)
    device = device_of(der, *credentials.roots)
    if device.name.instance != credentials.instance:
        raise ChatdError("E210", f"the certificate is for the server {device.name.instance}")
    key = cast(ec.EllipticCurvePublicKey, certificate.public_key())  # `device_of` refuses other kinds
    check_renewal(key, bytes.fromhex(frame.proof), binding, der)
    ends = round(certificate.not_valid_after_utc.timestamp() * 1000)
    name, moves = device.name, not is_issued_by(certificate, credentials.roots[0])
    arguments = [name.user, name.device, device.serial, ends, key_hash_of(certificate), moves]
    return RenewalQuestion(key, arguments)
