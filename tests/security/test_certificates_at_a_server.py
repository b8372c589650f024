"""Every kind of hostile certificate, shown to a running server: none gets a session.

tests/security/test_certificates.py has what TLS and the device's profile say of each; here they meet the
whole path: the worker, its log, and the hub's registry.
"""

from __future__ import annotations

import dataclasses
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from chatctl.client import Client, read_identity
from chatd.errors import ChatdError
from chatd.pki.authority import Authority
from chatd.pki.issued import Issued
from tests.security.test_certificates import HOUR, UNKNOWN, careless_client
from tests.support.certificates import (
    DEVICE,
    INTERMEDIATE,
    NOW,
    Extension,
    Key,
    der,
    forge,
    key_usage,
    purposes,
    san,
    self_issued,
    signer,
)
from tests.support.daemon import TIMEOUT_SECONDS, Daemon, wait_until

MALLORY = "chatd://lab/user/mallory/device/laptop"
ADMIN = "chatd://lab/user/alice/device/console"


class Maker(NamedTuple):
    """The server's CA, and mallory's key and certificate, which the server knows."""

    ca: Issued
    mallory: Issued

    def leaf(
        self, issuer: Issued | None = None, key: Key | None = None, **changes: Extension | None
    ) -> Issued:
        return forge(issuer or self.ca, DEVICE | {"san": san(MALLORY)} | changes, key=key)


def foreign(instance: str) -> Issued:
    return signer(Authority.create(instance, now=NOW))


def chain_of(maker: Maker, length: int) -> list[Issued]:
    """A leaf under intermediate CAs, the leaf first."""
    chain = [maker.ca]
    for number in range(length):
        chain.append(forge(chain[-1], INTERMEDIATE, common_names=(f"ca {number}",)))
    return [maker.leaf(chain[-1]), *reversed(chain[1:])]


def signed_with_sha1(maker: Maker) -> list[Issued]:
    """Sign with the CA's own key and SHA-1, by hand because cryptography does not."""
    leaf = maker.leaf()
    modern, weak = bytes.fromhex("300a06082a8648ce3d040302"), bytes.fromhex("300906072a8648ce3d0401")
    body = leaf.certificate.tbs_certificate_bytes[4:].replace(modern, weak)
    body = sequence(body)
    assert isinstance(maker.ca.key, ec.EllipticCurvePrivateKey)
    signature = b"\0" + maker.ca.key.sign(body, ec.ECDSA(hashes.SHA1()))  # noqa: S303 - the point of the test
    whole = sequence(body + weak + b"\x03" + bytes([len(signature)]) + signature)
    return [Issued(x509.load_der_x509_certificate(whole), leaf.key)]


def sequence(content: bytes) -> bytes:
    """The DER of a sequence of 256 bytes or more."""
    return b"\x30\x82" + len(content).to_bytes(2) + content


# Case -> the chain that the client shows, and a part of what security.log says.
REFUSED_AT_LOGIN: dict[str, tuple[Callable[[Maker], list[Issued]], str]] = {
    "wrong CA": (lambda m: [m.leaf(foreign("other"))], "unable to get local issuer"),
    "same-name CA": (lambda m: [m.leaf(foreign("lab"))], "unable to get local issuer"),
    "self-signed": (lambda m: [forge(None, DEVICE | {"san": san(MALLORY)})], "self-signed"),
    "leaf as CA": (lambda m: [m.leaf(m.mallory), m.mallory], "invalid ca certificate"),
    "self-issued intermediate": (
        lambda m: list(reversed(self_issued(m.ca, DEVICE | {"san": san(MALLORY)}))),
        "directly",
    ),
    "expired": (
        lambda m: [forge(m.ca, DEVICE | {"san": san(MALLORY)}, start=-2 * HOUR, end=-HOUR)],
        "has expired",
    ),
    "not yet valid": (
        lambda m: [forge(m.ca, DEVICE | {"san": san(MALLORY)}, start=HOUR, end=2 * HOUR)],
        "not yet valid",
    ),
    "purpose of a server": (lambda m: [m.leaf(purpose=purposes("server"))], "purpose"),
    "two purposes": (lambda m: [m.leaf(purpose=purposes("client", "server"))], "may not log in"),
    "key not for signing": (lambda m: [m.leaf(usage=key_usage("key_encipherment"))], "purpose"),
    "no SAN": (lambda m: [m.leaf(san=None)], "may not log in"),
    "two names": (lambda m: [m.leaf(san=san(MALLORY, ADMIN))], "may not log in"),
    "NUL in the name": (
        lambda m: [m.leaf(san=san("chatd://lab/user/mallory\x00/device/x"))],
        "may not log in",
    ),
    "wildcard": (lambda m: [m.leaf(san=san("chatd://lab/user/*/device/laptop"))], "may not log in"),
    "10,000 names": (lambda m: [m.leaf(san=san(*[MALLORY] * 10_000))], "excessive message size"),
    "RSA-1024": (lambda m: [m.leaf(key=rsa.generate_private_key(65537, 1024))], "too weak"),  # noqa: S505
    "SHA-1": (signed_with_sha1, "too weak"),
    "chain of 100 certificates": (lambda m: chain_of(m, 100), "path length"),
    "one intermediate": (lambda m: chain_of(m, 1), "path length"),
    "unknown critical extension": (lambda m: [m.leaf(unknown=(UNKNOWN, True))], "critical extension"),
    "another server's name": (
        lambda m: [m.leaf(san=san("chatd://other/user/mallory/device/laptop"))],
        "for the server other",
    ),
    "CA flag": (
        lambda m: [m.leaf(constraints=(x509.BasicConstraints(ca=True, path_length=None), True))],
        "an authority's",
    ),
}


@pytest.fixture(scope="module")
def maker(daemon: Daemon) -> Maker:
    authority = Authority.load(daemon.home / "certs")
    path = daemon.identity("mallory")
    key = load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    leaf = x509.load_der_x509_certificate(read_identity(path).certificate_der)
    return Maker(signer(authority), Issued(leaf, key))


@pytest.mark.parametrize("case", REFUSED_AT_LOGIN)
def test_a_running_server_refuses(daemon: Daemon, maker: Maker, tmp_path: Path, case: str) -> None:
    make, why = REFUSED_AT_LOGIN[case]
    # Equal refusals are counted in one line later: each case has an address of its own.
    address = f"127.9.{list(REFUSED_AT_LOGIN).index(case)}.1"
    context = careless_client(tmp_path, *make(maker))
    context.set_alpn_protocols(["chatd/1"])
    connection = socket.create_connection(("127.0.0.1", daemon.port), source_address=(address, 0))
    connection.settimeout(TIMEOUT_SECONDS)
    with suppress(ConnectionError, ssl.SSLError), context.wrap_socket(connection) as channel:
        assert channel.recv(1) == b""

    def refusals() -> list[str]:
        # Beyond ten lines a second, the log counts refusals by reason and block of addresses.
        block = address.rpartition(".")[0] + ".0/24"
        lines = daemon.log_lines("security.log")
        return [
            line["why"]
            for line in lines
            if line.get("address") == address or block in line.get("sources", ())
        ]

    assert why in wait_until(refusals, what="the refusal in the log")[0].lower().replace("_", " ")


def logged_in(daemon: Daemon, issued: Issued, ca: Issued) -> str:
    """Log in with a certificate as the product does; return whom the server takes it for."""
    pem = issued.key_pem + issued.certificate_pem + ca.certificate_pem
    identity = dataclasses.replace(
        read_identity(daemon.identity("mallory")), certificate_der=der(issued), pem=pem.decode()
    )
    with Client(identity, live=False, reconnect=False) as client:
        return client.wait_connected(TIMEOUT_SECONDS).user


# Certificates of the CA that TLS and the profile accept: the registry knows only those that it was told of.
UNREGISTERED: dict[str, Callable[[Maker], Issued]] = {
    "the same device with another key": lambda m: m.leaf(),
    "the same device and key": lambda m: m.leaf(key=m.mallory.key),  # type: ignore[arg-type]
    "the same key under an admin's name": lambda m: m.leaf(key=m.mallory.key, san=san(ADMIN)),  # type: ignore[arg-type]
    "two common names": lambda m: forge(
        m.ca, DEVICE | {"san": san(MALLORY)}, common_names=("mallory", "alice")
    ),
    "NUL in the common name": lambda m: forge(
        m.ca, DEVICE | {"san": san(MALLORY)}, common_names=("alice\x00mallory",)
    ),
    "a wildcard as common name": lambda m: forge(m.ca, DEVICE | {"san": san(MALLORY)}, common_names=("*",)),
}


@pytest.mark.parametrize("case", UNREGISTERED)
def test_a_certificate_of_the_ca_is_not_enough(daemon: Daemon, maker: Maker, case: str) -> None:
    with pytest.raises(ChatdError) as refused:
        logged_in(daemon, UNREGISTERED[case](maker), maker.ca)
    assert refused.value.code == "E205"
    assert logged_in(daemon, maker.mallory, maker.ca) == "mallory"


def test_a_revoked_certificate_is_refused_for_good(daemon: Daemon) -> None:
    path = daemon.add_user("eve")
    daemon.chatctl("revoke", "eve/laptop", "--yes")
    for _ in range(2):
        with Client(read_identity(path), reconnect=False) as client, pytest.raises(ChatdError, match="E206"):
            client.wait_connected(TIMEOUT_SECONDS)
