"""The profile of each kind of certificate: how to build one, and how to read its identity.

A common name is not an identity: TLS libraries accept NUL bytes in it, and several of them. The identity is
one SAN URI under one of these profiles:

    device    chatd://<instance>/user/<user>/device/<device>    ECDSA P-256, EKU clientAuth
    server    chatd://<instance>/server                         ECDSA P-256, EKU serverAuth
    envelope  chatd://<instance>/envelope                       RSA, KU keyEncipherment, no EKU
    record    chatd://<instance>/record                         Ed25519, EKU documentSigning
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import NamedTuple, TypeAlias, cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from chatd.errors import ChatdError
from chatd.proto.text import NAME

# chatd's certificates are below 1 KiB, or 2 KiB with an RSA-8192 key. Larger ones are not parsed, which
# bounds the work that ten thousand SANs could cause.
CERTIFICATE_LIMIT = 8 * 1024
# Clocks of peers differ.
BACKDATE = timedelta(minutes=5)

# Raised by cryptography for certificates that it cannot read.
PARSE_ERRORS = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)

PublicKey: TypeAlias = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey

# In device certificates, not critical: the server's record key as SubjectPublicKeyInfo (DER). A UUID as OID
# (ITU-T X.667) needs no registration.
RECORD_KEY_OID = x509.ObjectIdentifier("2.25.151733743520738296146960239798419587488")
_DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")  # RFC 9336

_KNOWN = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage, x509.SubjectAlternativeName)
_KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
)


# An expired authority cannot be renewed.
NEW_HOME = "make a new home: see docs/operations.md, Certificates"


class DeviceName(NamedTuple):
    """The identity in a device certificate: one key pair of one user of one server."""

    instance: str
    user: str
    device: str


class Profile(NamedTuple):
    """Properties of one kind of leaf certificate: its key usage and extended key usage."""

    kind: str
    usage: str
    purpose: x509.ObjectIdentifier | None


DEVICE = Profile("device", "digital_signature", ExtendedKeyUsageOID.CLIENT_AUTH)
SERVER = Profile("server", "digital_signature", ExtendedKeyUsageOID.SERVER_AUTH)
ENVELOPE = Profile("envelope", "key_encipherment", None)
RECORD = Profile("record", "digital_signature", _DOCUMENT_SIGNING)


def device_uri(name: DeviceName) -> str:
    return f"chatd://{name.instance}/user/{name.user}/device/{name.device}"


def server_uri(instance: str) -> str:
    return f"chatd://{instance}/server"


def envelope_uri(instance: str) -> str:
    return f"chatd://{instance}/envelope"


def record_uri(instance: str) -> str:
    return f"chatd://{instance}/record"


def valid_name(text: str) -> bool:
    """Whether ``text`` may name an instance, a user or a device."""
    return NAME.fullmatch(text) is not None


class DeviceCertificate(NamedTuple):
    """The content of a device certificate: ``serial`` in lowercase hex, ``ends`` the Unix time of its end,
    ``key`` as `key_hash_of` returns it."""

    name: DeviceName
    serial: str
    ends: float
    key: str


def key_hash_of(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate's SubjectPublicKeyInfo, in hex."""
    return key_hash(cast(PublicKey, certificate.public_key()))


def device_of(leaf_der: bytes, *authorities: x509.Certificate) -> DeviceCertificate:
    """Read a device certificate, after TLS has verified its chain and dates.

    Checks what TLS does not: the profile, the names, and that one of the authorities issued it directly.
    Raises ChatdError E210.
    """
    try:
        certificate = parse(leaf_der)
        uri = uri_of(certificate, DEVICE, only=True)
        check_issuer(certificate, *authorities)
    except ValueError as error:
        raise ChatdError("E210", f"this certificate may not log in: {error}") from None
    parts = uri.split("/")
    # chatd: // instance / user / <user> / device / <device>
    if len(parts) != 7 or parts[:2] != ["chatd:", ""] or parts[3] != "user" or parts[5] != "device":
        raise ChatdError("E210", "this certificate may not log in: its URI names no device")
    name = DeviceName(parts[2], parts[4], parts[6])
    if not all(map(valid_name, name)):
        raise ChatdError("E210", "this certificate may not log in: its URI has an invalid name")
    ends = certificate.not_valid_after_utc.timestamp()
    return DeviceCertificate(name, f"{certificate.serial_number:x}", ends, key_hash_of(certificate))


def parse(der: bytes) -> x509.Certificate:
    """Parse a certificate of bounded size. Raises ValueError with a sentence to show."""
    if not der:
        raise ValueError("there is no certificate")
    if len(der) > CERTIFICATE_LIMIT:
        raise ValueError(f"it is longer than {CERTIFICATE_LIMIT} bytes")
    try:
        certificate = x509.load_der_x509_certificate(der)
    except PARSE_ERRORS:
        raise ValueError("it is not a readable certificate") from None
    if certificate.serial_number <= 0:
        raise ValueError("its serial number is not positive")
    return certificate


def check_issuer(certificate: x509.Certificate, *authorities: x509.Certificate) -> None:
    """Raise ValueError, with a sentence to show, unless one of the authorities itself signed the certificate.

    The CA's path length of 0 does not ensure that: RFC 5280 (6.1.4, l) does not count an intermediate that
    has its issuer's name.
    """
    if not any(is_issued_by(certificate, ca) for ca in authorities):
        raise ValueError("it was not issued directly by the pinned authority")


def is_issued_by(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    """Whether ``ca`` itself signed the certificate."""
    try:
        certificate.verify_directly_issued_by(ca)
    except (InvalidSignature, *PARSE_ERRORS):
        return False
    return True


def uri_of(certificate: x509.Certificate, profile: Profile, *, only: bool) -> str:
    """Return the one SAN URI of a leaf that follows ``profile``.

    ``only`` forbids other SANs beside it. Raises ValueError with a sentence to show.
    """
    try:
        extensions = certificate.extensions
        for extension in extensions:
            if extension.critical and not isinstance(extension.value, _KNOWN):
                raise ValueError("it has an unknown critical extension")
        _check_profile(extensions, profile)
        _check_key(certificate, profile)
        names = list(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound as error:
        raise ValueError(f"it has no {error.oid._name} extension") from None
    except PARSE_ERRORS as error:
        if type(error) is ValueError:
            raise
        raise ValueError("its extensions are not readable") from None
    uris = [name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)]
    if len(uris) != 1 or (only and len(names) != 1):
        raise ValueError("it does not have exactly one name of the form chatd://...")
    return uris[0]


def _check_profile(extensions: x509.Extensions, profile: Profile) -> None:
    if extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
        raise ValueError("it is an authority's certificate")
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    if not usage.critical or [u for u in _KEY_USAGES if getattr(usage.value, u)] != [profile.usage]:
        raise ValueError(f"it does not have the key usage of a {profile.kind} certificate")
    purposes: list[x509.ObjectIdentifier] = []
    try:
        purposes += extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        pass
    if purposes != ([] if profile.purpose is None else [profile.purpose]):
        raise ValueError(f"it does not have the extended key usage of a {profile.kind} certificate")


def _check_key(certificate: x509.Certificate, profile: Profile) -> None:
    key = certificate.public_key()
    if profile is ENVELOPE:
        fits = isinstance(key, rsa.RSAPublicKey)
    elif profile is RECORD:
        fits = isinstance(key, ed25519.Ed25519PublicKey)
    else:
        fits = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    if not fits:
        raise ValueError(f"it does not have the kind of key of a {profile.kind} certificate")


def fingerprint(der: bytes) -> str:
    """The fingerprint for people to compare: SHA256:AB:CD:..."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(der)
    return "SHA256:" + digest.finalize().hex(":").upper()


def spki(key: PublicKey) -> bytes:
    """The key as SubjectPublicKeyInfo (DER)."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def key_hash(key: PublicKey) -> str:
    """Return the SHA-256 of a key's SubjectPublicKeyInfo, in hex."""
    return hashlib.sha256(spki(key)).hexdigest()


def record_key_in(certificate: x509.Certificate) -> ed25519.Ed25519PublicKey | None:
    """The record key that a device's certificate names; None in those of an older chatd."""
    try:
        extension = certificate.extensions.get_extension_for_oid(RECORD_KEY_OID)
        key = load_der_public_key(extension.value.public_bytes())
    except (x509.ExtensionNotFound, *PARSE_ERRORS):
        return None
    return key if isinstance(key, ed25519.Ed25519PublicKey) else None


def ca_builder(instance: str, key: PublicKey, now: datetime, days: int) -> x509.CertificateBuilder:
    """Prepare the CA's own certificate, to be signed with its key.

    Path length 0 makes chains with intermediates invalid. VERIFY_X509_STRICT requires the SKI and the
    critical flags (RFC 5280, 4.2).
    """
    name = _common_name(f"{instance} CA")
    return (
        _builder(name, name, key, now - BACKDATE, now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage("key_cert_sign", "crl_sign"), critical=True)
    )


def cross_builder(root: x509.Certificate, issuer: x509.Certificate, now: datetime) -> x509.CertificateBuilder:
    """Prepare a certificate of the key of ``root``, to be signed by another CA of the same server.

    It has the issuer's name, so the issuer's path length does not count it (RFC 5280, 6.1.4, l). The key
    identifiers are what path building tells the CAs of one name apart by.
    """
    ski = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    key = root.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101 - chatd's CAs have no other keys
    after = min(root.not_valid_after_utc, issuer.not_valid_after_utc)
    return (
        _builder(root.subject, issuer.subject, key, max(now - BACKDATE, issuer.not_valid_before_utc), after)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage("key_cert_sign", "crl_sign"), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ski), critical=False)
    )


def leaf_builder(
    profile: Profile,
    ca: x509.Certificate,
    key: PublicKey,
    common_name: str,
    names: list[x509.GeneralName],
    now: datetime,
    days: int,
    extra: x509.ExtensionType | None = None,
    serial: int | None = None,
) -> x509.CertificateBuilder:
    """Prepare a leaf under ``profile``, to be signed by the CA. It expires with ``ca`` at the latest.

    ``extra`` is one more extension, which is not critical; ``serial`` replaces a random one. Raises E612;
    see `require_valid`.
    """
    require_valid(ca, now)
    after = min(now + timedelta(days=days), ca.not_valid_after_utc)
    before = max(now - BACKDATE, ca.not_valid_before_utc)
    ski = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        _builder(_common_name(common_name), ca.subject, key, before, after, serial)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(profile.usage), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ski), critical=False)
    )
    if profile.purpose is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([profile.purpose]), critical=False)
    return builder if extra is None else builder.add_extension(extra, critical=False)


def require_valid(ca: x509.Certificate, now: datetime) -> None:
    """Raise E612 if ``ca`` is not valid at ``now``: nothing that it signs would be usable."""
    if not ca.not_valid_before_utc <= now <= ca.not_valid_after_utc:
        ended = now > ca.not_valid_after_utc
        raise ChatdError(
            "E612",
            f"this machine's clock says {now:%Y-%m-%d}, and the authority is valid from "
            f"{ca.not_valid_before_utc:%Y-%m-%d} to {ca.not_valid_after_utc:%Y-%m-%d}",
            f"correct the clock if it is wrong; otherwise {NEW_HOME}" if ended else "",
        )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: PublicKey,
    before: datetime,
    after: datetime,
    serial: int | None = None,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number() if serial is None else serial)
        .not_valid_before(before)
        .not_valid_after(after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _key_usage(*allowed: str) -> x509.KeyUsage:
    usages = {usage: usage in allowed for usage in _KEY_USAGES}
    return x509.KeyUsage(**usages, encipher_only=False, decipher_only=False)
