"""TLS contexts for server and clients, and the checks that TLS does not make.

TLS 1.3 only, certificates on both sides, the home's CA as the only authority.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from chatd.crypto.handshake import MAX_RSA_BITS, MIN_RSA_BITS
from chatd.errors import ChatdError
from chatd.pki import profiles
from chatd.pki.explain import explain_tls_failure
from chatd.pki.identity import Identity
from chatd.pki.identity_blocks import LOST
from chatd.pki.rollover import crosses_of
from chatd.proto.alpn import ALPN_ENROL, ALPN_HTTP

__all__ = [
    "check_invited_server",
    "check_server",
    "client_context",
    "enrol_context_from",
    "envelope_key_of",
    "explain_tls_failure",
    "gateway_context_from",
    "joining_context",
    "path_of",
    "server_context",
    "server_context_from",
]

# OpenSSL level 2 refuses RSA and DH below 2048 bits, and SHA-1 signatures.
_SECURITY_LEVEL = 2


def server_context(certs: Path, *, alpn: str) -> ssl.SSLContext:
    """Make a server's context from a home's ``certs``; see `server_context_from`. Raises E606."""
    try:
        files = {name: (certs / name).read_bytes() for name in ("server.pem", "server.key", "ca.pem")}
    except OSError as error:
        raise _unusable(error) from None
    return server_context_from(files, alpn=alpn)


def server_context_from(files: Mapping[str, bytes], *, alpn: str) -> ssl.SSLContext:
    """Make the workers' context from the contents of server.pem, server.key and ca.pem. Raises E606.

    Make a new context for new certificates: OpenSSL ignores CAs and CRLs loaded into one in use.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, [alpn])
    # A resumed session would skip the check of the client's certificate.
    context.num_tickets = 0
    try:
        with path_of(files["server.pem"]) as chain, path_of(files["server.key"]) as key:
            context.load_cert_chain(chain, key, password=_no_password)
        context.load_verify_locations(cadata=files["ca.pem"].decode("ascii"))
    except (OSError, ValueError) as error:
        raise _unusable(error) from None
    return context


def enrol_context_from(files: Mapping[str, bytes]) -> ssl.SSLContext:
    """Make the context of the enrol process from server.pem and server.key. Raises E606.

    Its clients have no certificates yet: an invite is what lets them in.
    """
    return _open_context(files, ALPN_ENROL)


def gateway_context_from(files: Mapping[str, bytes], *, ask_certificates: bool) -> ssl.SSLContext:
    """Make the gateway's context for HTTPS from server.pem, server.key and ca.pem. Raises E606.

    With ``ask_certificates`` it asks for client certificates, and goes on with clients that have none.
    """
    context = _open_context(files, ALPN_HTTP)
    if ask_certificates:
        context.verify_mode = ssl.CERT_OPTIONAL
        try:
            context.load_verify_locations(cadata=files["ca.pem"].decode("ascii"))
        except (OSError, ValueError) as error:
            raise _unusable(error) from None
    return context


def _open_context(files: Mapping[str, bytes], alpn: str) -> ssl.SSLContext:
    """Make a server's context that asks clients for no certificate."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, [alpn])
    context.verify_mode = ssl.CERT_NONE
    context.num_tickets = 0
    try:
        with path_of(files["server.pem"]) as chain, path_of(files["server.key"]) as key:
            context.load_cert_chain(chain, key, password=_no_password)
    except (OSError, ValueError) as error:
        raise _unusable(error) from None
    return context


def joining_context() -> ssl.SSLContext:
    """Make the context of a client with an invite: it checks the server by `check_invited_server`."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT, [ALPN_ENROL])
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def check_invited_server(
    leaf_der: bytes, ca: x509.Certificate, now: datetime, crosses: Iterable[x509.Certificate] = ()
) -> str:
    """Check the server's certificate against the CA of an invite; return the server's name. Raises E209.

    TLS has shown that the peer has the leaf's key, and has checked nothing else. ``crosses`` are CAs that
    the server says ``ca`` has certified.
    """
    try:
        certificate = profiles.parse(leaf_der)
        uri = profiles.uri_of(certificate, profiles.SERVER, only=False)
        profiles.check_issuer(certificate, ca, *crosses_of(ca, crosses))
        for one in (certificate, ca):
            if not one.not_valid_before_utc <= now <= one.not_valid_after_utc:
                raise ValueError(
                    "it is not valid at this time; if the clock here is right, it must be renewed"
                )
    except ValueError as error:
        raise ChatdError("E209", f"the server's certificate is not accepted: {error}") from None
    instance = uri.split("/")[2]
    if uri != profiles.server_uri(instance):
        raise ChatdError("E209", "the server's certificate is not accepted: it names no server")
    return instance


def _unusable(error: Exception) -> ChatdError:
    return ChatdError("E606", f"certs/server.pem, server.key or ca.pem cannot be used: {error}")


@contextmanager
def path_of(content: bytes) -> Iterator[str]:
    """Yield a path of a file in memory, because OpenSSL's loaders take paths only."""
    fd = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(fd, content)
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def client_context(identity: Identity, *, alpn: list[str]) -> ssl.SSLContext:
    """Make a client's context, which trusts only the identity's CA. Raises E608.

    It does not check host names: `check_server` checks the server's URI, wherever the server listens.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, alpn)
    context.check_hostname = False
    try:
        with _key_file(identity) as path:
            context.load_cert_chain(path, password=_no_password)
        context.load_verify_locations(cadata=identity.ca_pem)
    except (OSError, ValueError) as error:
        raise ChatdError("E608", f"{identity.path} cannot be used as an identity: {error}", LOST) from None
    return context


@contextmanager
def _key_file(identity: Identity) -> Iterator[Path]:
    """Yield a file with the key and the certificates: the ssl module cannot load them from memory."""
    if not identity.pem:
        yield identity.path
        return
    descriptor = os.memfd_create("identity")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(identity.pem)
        file.flush()
        yield Path(f"/proc/self/fd/{descriptor}")


def _context(protocol: int, alpn: list[str]) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(alpn)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    # RFC 5280 checks: the default since Python 3.13, set here for older versions.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    if context.security_level < _SECURITY_LEVEL:
        context.set_ciphers(f"DEFAULT:@SECLEVEL={_SECURITY_LEVEL}")
    return context


def _no_password() -> str:
    # Without this, OpenSSL prompts on the terminal for the password of an encrypted key.
    raise ValueError("its key is protected by a password")


def check_server(leaf_der: bytes, identity: Identity) -> None:
    """Raise E209 unless a leaf that TLS has verified is that of the identity's server."""
    try:
        certificate = profiles.parse(leaf_der)
        uri = profiles.uri_of(certificate, profiles.SERVER, only=False)
        if not any(profiles.is_issued_by(certificate, ca) for ca in identity.authorities):
            # TLS has verified it, so the identity's CA has certified its issuer.
            raise ChatdError("E201", f"the server has another CA by now than {identity.path.name}")
    except ValueError as error:
        raise ChatdError("E209", f"the server's certificate is not accepted: {error}") from None
    if uri != profiles.server_uri(identity.instance):
        raise ChatdError("E209", f"the server is not {identity.instance!r}, for which the identity was made")


def envelope_key_of(
    identity: Identity, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Callable[[bytes], RSAPublicKey]:
    """Make a function that verifies the server's envelope certificate (DER) and returns its key.

    The function raises E209. ``now`` returns the time (aware) to check the certificate's dates against.
    """
    authorities = identity.authorities

    def verify(der: bytes) -> RSAPublicKey:
        try:
            return _envelope_key(der, authorities, identity.instance, now())
        except ValueError as error:
            raise ChatdError("E209", f"the server's envelope certificate is not accepted: {error}") from None

    return verify


def _envelope_key(
    der: bytes, authorities: Iterable[x509.Certificate], instance: str, now: datetime
) -> RSAPublicKey:
    """Raises ValueError with a sentence to show."""
    certificate = profiles.parse(der)
    profiles.check_issuer(certificate, *authorities)
    if profiles.uri_of(certificate, profiles.ENVELOPE, only=True) != profiles.envelope_uri(instance):
        raise ValueError(f"it is not that of {instance!r}")
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise ValueError("it has expired or is not valid yet; if the clock here is right, it must be renewed")
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey) or not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        raise ValueError("its key is not an RSA key of an accepted size")
    return key
