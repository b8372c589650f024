"""Certificates for keys that were made elsewhere: what a request may ask for, and what comes back."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chatd.errors import ChatdError
from chatd.pki.authority import Authority
from chatd.pki.profiles import DeviceName, device_of
from chatd.pki.signing_request import REQUEST_LIMIT, key_of_request, make_request
from tests.support.certificates import NOW

_UNCOMPRESSED = PublicFormat.UncompressedPoint
KEY = ec.generate_private_key(ec.SECP256R1())


def _request(
    key: CertificateIssuerPrivateKeyTypes, *extensions: x509.ExtensionType, name: str = "root"
) -> bytes:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(Encoding.DER)


def _code(der: bytes) -> str:
    with pytest.raises(ChatdError) as caught:
        key_of_request(der)
    return caught.value.code


def test_only_the_key_of_a_request_is_used() -> None:
    authority = Authority.create("lab", now=NOW)
    greedy = _request(
        KEY,
        x509.BasicConstraints(ca=True, path_length=None),
        x509.SubjectAlternativeName([x509.UniformResourceIdentifier("chatd://lab/user/root/device/x")]),
    )
    for der in (make_request(KEY), greedy):
        certificate = authority.issue_for_key(key_of_request(der), "bob", "laptop", now=NOW)
        device = device_of(certificate.public_bytes(Encoding.DER), authority.certificate)
        assert device.name == DeviceName("lab", "bob", "laptop")
        assert certificate.public_key() == KEY.public_key()
        assert b"root" not in certificate.public_bytes(Encoding.DER)


def test_the_same_is_certified_again_with_the_same_serial() -> None:
    authority = Authority.create("lab", now=NOW)
    first = authority.issue_for_key(KEY.public_key(), "bob", "laptop", now=NOW)
    again = authority.issue_for_key(KEY.public_key(), "bob", "laptop", now=NOW, serial=first.serial_number)
    assert again.tbs_certificate_bytes == first.tbs_certificate_bytes


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP256K1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
    ],
    ids=["P-384", "K-256", "Ed25519", "RSA"],
)
def test_a_key_that_no_login_accepts_is_refused(key: CertificateIssuerPrivateKeyTypes) -> None:
    assert _code(_request(key)) == "E217"


def test_a_request_without_proof_of_possession_is_refused() -> None:
    der = bytearray(make_request(KEY))
    other = ec.generate_private_key(ec.SECP256R1())
    point = KEY.public_key().public_bytes(Encoding.X962, _UNCOMPRESSED)
    at = bytes(der).index(point)
    der[at : at + len(point)] = other.public_key().public_bytes(Encoding.X962, _UNCOMPRESSED)
    assert _code(bytes(der)) == "E217"


@pytest.mark.parametrize("der", [b"", b"0", b"\x30\x80", make_request(KEY)[:-1], make_request(KEY) + b"\0"])
def test_junk_is_refused(der: bytes) -> None:
    assert _code(der) == "E217"


def test_a_large_request_is_refused_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(x509, "load_der_x509_csr", lambda der: pytest.fail("it was parsed"))
    assert _code(_request(KEY, name="x" * 60) + b"\0" * REQUEST_LIMIT) == "E217"


def test_a_name_that_is_none_is_refused() -> None:
    authority = Authority.create("lab", now=NOW)
    with pytest.raises(ChatdError) as caught:
        authority.issue_for_key(KEY.public_key(), "bob/device/x", "laptop", now=NOW)
    assert caught.value.code == "E403"
