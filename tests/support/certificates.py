"""Create a home's certificates, and forge certificates that chatd's authority would never sign."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from chatd.pki.authority import Authority, save_issued
from chatd.pki.contexts import explain_tls_failure
from chatd.pki.identity import Identity, read_identity, write_identity
from chatd.pki.issued import Issued

NOW = datetime.now(UTC).replace(microsecond=0)
URI = "chatd://lab/user/bob/device/laptop"

Key: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Extension: TypeAlias = tuple[x509.ExtensionType, bool]


def make_home(certs: Path, *, instance: str = "lab", now: datetime = NOW) -> Authority:
    """Create the files that `chatd init` puts into ``certs``, with a small RSA key."""
    authority = Authority.create(instance, now=now)
    authority.save(certs)
    # Long enough for homes that are a year old.
    save_issued(certs, "server", authority.issue_server(["127.0.0.1"], now=now, days=825))
    save_issued(certs, "envelope", authority.issue_envelope(2048, now=now, days=825))
    return authority


class World(NamedTuple):
    """A server's certificates, one of its users, and its CA with the private key."""

    certs: Path
    authority: Authority
    ca: Issued
    identity: Identity


def make_world(certs: Path) -> World:
    """Create a home's certificates in ``certs``, and bob's identity."""
    authority = make_home(certs)
    return World(certs, authority, signer(authority), make_identity(authority, certs / "bob.pem"))


def make_identity(authority: Authority, path: Path) -> Identity:
    """Issue and write the identity of bob's laptop."""
    issued = authority.issue_device("bob", "laptop", now=NOW)
    write_identity(
        path, issued, authority.certificate, instance="lab", user="bob", device="laptop", servers=[]
    )
    return read_identity(path)


def code_shown(world: World, error: Exception | None, shown: bytes = b"") -> str:
    """Return the error code that the world's user is shown for a failed connection.

    ``shown`` is the certificate (DER) that the server got instead of the user's own.
    """
    assert error is not None
    identity = dataclasses.replace(world.identity, certificate_der=shown or world.identity.certificate_der)
    return explain_tls_failure(error, server="127.0.0.1:5000", identity=identity, now=NOW.timestamp()).code


def der(issued: Issued) -> bytes:
    return issued.certificate.public_bytes(Encoding.DER)


def signer(authority: Authority) -> Issued:
    """The authority's certificate and key, to sign anything with `forge`."""
    return Issued(authority.certificate, authority._key)


def san(*names: str | x509.GeneralName) -> Extension:
    """A subject alternative name; strings become URIs."""
    general = [x509.UniformResourceIdentifier(n) if isinstance(n, str) else n for n in names]
    return x509.SubjectAlternativeName(general), False


def key_usage(*allowed: str) -> Extension:
    usages = {
        usage: usage in allowed
        for usage in (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
        )
    }
    return x509.KeyUsage(**usages, encipher_only=False, decipher_only=False), True


def purposes(*names: str) -> Extension:
    known = {
        "client": ExtendedKeyUsageOID.CLIENT_AUTH,
        "server": ExtendedKeyUsageOID.SERVER_AUTH,
        "any": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    }
    return x509.ExtendedKeyUsage([known[name] for name in names]), False


DEVICE: dict[str, Extension | None] = {
    "constraints": (x509.BasicConstraints(ca=False, path_length=None), True),
    "usage": key_usage("digital_signature"),
    "purpose": purposes("client"),
    "san": san(URI),
}
INTERMEDIATE: dict[str, Extension | None] = {
    "constraints": (x509.BasicConstraints(ca=True, path_length=None), True),
    "usage": key_usage("key_cert_sign", "crl_sign"),
}


def self_issued(
    ca: Issued, extensions: dict[str, Extension | None], *, key: Key | None = None
) -> tuple[Issued, Issued]:
    """Return an intermediate with the name and the signature of ``ca``, and a leaf under it."""
    name = ca.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    intermediate = forge(ca, INTERMEDIATE, common_names=(str(name),))
    return intermediate, forge(intermediate, extensions, key=key)


def forge(
    issuer: Issued | None,
    extensions: dict[str, Extension | None],
    *,
    key: Key | None = None,
    common_names: tuple[str, ...] = ("bob",),
    start: timedelta = -timedelta(hours=1),
    end: timedelta = timedelta(hours=1),
) -> Issued:
    """Sign a certificate; self-signed without an issuer. An extension of None is left out."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in common_names])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + start)
        .not_valid_after(NOW + end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if issuer:
        ski = x509.SubjectKeyIdentifier.from_public_key(issuer.certificate.public_key())
        aki = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ski)
        builder = builder.add_extension(aki, critical=False)
    for extension in extensions.values():
        if extension is not None:
            builder = builder.add_extension(extension[0], critical=extension[1])
    signing = issuer.key if issuer else key
    assert isinstance(signing, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    return Issued(builder.sign(signing, hashes.SHA256()), key)
