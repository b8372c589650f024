"""Hostile device certificates over real TLS: which are refused, by what, and what the client is told."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from chatd.errors import ChatdError
from chatd.pki.authority import Authority
from chatd.pki.contexts import (
    server_context,
)
from chatd.pki.issued import Issued
from chatd.pki.profiles import CERTIFICATE_LIMIT, device_of
from tests.support.certificates import (
    DEVICE,
    INTERMEDIATE,
    NOW,
    URI,
    Extension,
    World,
    code_shown,
    der,
    forge,
    key_usage,
    purposes,
    san,
    self_issued,
    signer,
)
from tests.support.daemon import Daemon, wait_until
from tests.support.tlspair import Outcome, connect

ALPN = "chatd/1"
HOUR = timedelta(hours=1)
ADMIN = "chatd://lab/user/admin/device/console"
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")


def careless_client(folder: Path, *chain: Issued) -> ssl.SSLContext:
    """A client that shows this chain, whatever it is, and accepts every server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    if chain:
        path = folder / "shown.pem"
        path.write_bytes(chain[0].key_pem + b"".join(issued.certificate_pem for issued in chain))
        context.load_cert_chain(path)
    return context


def attempt(world: World, folder: Path, *chain: Issued, certs: Path | None = None) -> Outcome:
    return connect(server_context(certs or world.certs, alpn=ALPN), careless_client(folder, *chain))


def verify_message(outcome: Outcome) -> str:
    """Return OpenSSL's reason for refusing the client's certificate."""
    error = outcome.server_error
    assert isinstance(error, ssl.SSLCertVerificationError), error
    return error.verify_message


def device_extensions(**changes: Extension | None) -> dict[str, Extension | None]:
    return DEVICE | changes


# -- refused by TLS, before the server reads any application data

# Case -> what makes the certificate, OpenSSL's reason at the server, the code shown to the client's user.
REFUSED_BY_TLS: dict[str, tuple[Callable[[World], Issued], str, str]] = {
    "wrong CA": (lambda w: of_foreign_ca("other"), "unable to get local issuer certificate", "E201"),
    "same-name CA": (lambda w: of_foreign_ca("lab"), "unable to get local issuer certificate", "E201"),
    "same name and key identifier": (
        lambda w: forge(Issued(w.ca.certificate, ec.generate_private_key(ec.SECP256R1())), DEVICE),
        "certificate signature failure",
        "E210",
    ),
    "self-signed": (lambda w: forge(None, DEVICE), "self-signed certificate", "E201"),
    "expired": (
        lambda w: forge(w.ca, DEVICE, start=-2 * HOUR, end=-HOUR),
        "certificate has expired",
        "E204",
    ),
    "not yet valid": (
        lambda w: forge(w.ca, DEVICE, start=HOUR, end=2 * HOUR),
        "certificate is not yet valid",
        "E204",
    ),
    "purpose of a server": (
        lambda w: forge(w.ca, device_extensions(purpose=purposes("server"))),
        "unsuitable certificate purpose",
        "E210",
    ),
    "any purpose": (
        lambda w: forge(w.ca, device_extensions(purpose=purposes("any"))),
        "unsuitable certificate purpose",
        "E210",
    ),
    "key not for signing": (
        lambda w: forge(w.ca, device_extensions(usage=key_usage("key_encipherment"))),
        "unsuitable certificate purpose",
        "E210",
    ),
    "RSA-1024": (
        lambda w: forge(w.ca, DEVICE, key=rsa.generate_private_key(65537, 1024)),  # noqa: S505
        "EE certificate key too weak",
        "E210",
    ),
    "unknown critical extension": (
        lambda w: forge(w.ca, device_extensions(unknown=(UNKNOWN, True))),
        "unhandled critical extension",
        "E210",
    ),
    "the server's own": (
        lambda w: w.authority.issue_server([], now=NOW),
        "unsuitable certificate purpose",
        "E210",
    ),
    "the envelope's": (
        lambda w: w.authority.issue_envelope(2048, now=NOW),
        "unsuitable certificate purpose",
        "E210",
    ),
}


def of_foreign_ca(instance: str) -> Issued:
    return forge(signer(Authority.create(instance, now=NOW)), DEVICE)


@pytest.mark.parametrize("case", REFUSED_BY_TLS)
def test_tls_refuses_a_certificate_that_the_ca_did_not_issue_to_a_valid_device(
    world: World, tmp_path: Path, case: str
) -> None:
    make, message, code = REFUSED_BY_TLS[case]
    issued = make(world)
    outcome = attempt(world, tmp_path, issued)
    assert message in verify_message(outcome)
    assert outcome.server_saw == b""
    assert code_shown(world, outcome.client_error, der(issued)) == code


def test_tls_refuses_a_client_without_a_certificate(world: World, tmp_path: Path) -> None:
    outcome = attempt(world, tmp_path)
    assert isinstance(outcome.server_error, ssl.SSLError)
    assert outcome.server_error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE"
    assert code_shown(world, outcome.client_error) == "E200"


def test_a_device_certificate_cannot_issue_another(world: World, tmp_path: Path) -> None:
    bob = world.authority.issue_device("bob", "laptop", now=NOW)
    outcome = attempt(world, tmp_path, forge(bob, device_extensions(san=san(ADMIN))), bob)
    assert "invalid CA certificate" in verify_message(outcome)
    assert code_shown(world, outcome.client_error) == "E201"


@pytest.mark.parametrize("length", [1, 100])
def test_a_chain_with_intermediate_cas_is_refused(world: World, tmp_path: Path, length: int) -> None:
    chain = [world.ca]
    for number in range(length):
        chain.append(forge(chain[-1], INTERMEDIATE, common_names=(f"ca {number}",)))
    outcome = attempt(world, tmp_path, forge(chain[-1], DEVICE), *reversed(chain[1:]))
    assert verify_message(outcome) in ("path length constraint exceeded", "certificate chain too long")
    assert code_shown(world, outcome.client_error) in ("E201", "E210")


def test_a_self_issued_intermediate_is_refused(world: World, tmp_path: Path) -> None:
    """RFC 5280 does not count it against the CA's path length, so TLS accepts the chain."""
    intermediate, leaf = self_issued(world.ca, DEVICE)
    outcome = attempt(world, tmp_path, leaf, intermediate)
    assert outcome.server_error is None
    with pytest.raises(ChatdError) as caught:
        device_of(outcome.server_saw, world.ca.certificate)
    assert caught.value.code == "E210"
    assert "directly" in caught.value.reason


def test_a_daemon_refuses_a_self_issued_intermediate(daemon: Daemon, tmp_path: Path) -> None:
    authority = Authority.load(daemon.home / "certs")
    uri = san(f"chatd://{authority.instance}/user/mallory/device/laptop")
    intermediate, leaf = self_issued(signer(authority), device_extensions(san=uri))
    client = careless_client(tmp_path, leaf, intermediate)
    client.set_alpn_protocols([ALPN])
    connection = socket.create_connection(("127.0.0.1", daemon.port))
    with suppress(OSError), client.wrap_socket(connection) as channel:
        assert channel.recv(1) == b""

    def refusals() -> list[str]:
        lines = daemon.log_lines("security.log")
        return [line["why"] for line in lines if line["event"] == "login_failed" and line["code"] == "E210"]

    assert "directly" in wait_until(refusals, what="the refusal in the log")[-1]


def test_a_sha1_signature_is_refused_although_its_ca_is_trusted(world: World, tmp_path: Path) -> None:
    ca = forge(None, INTERMEDIATE, key=rsa.generate_private_key(65537, 2048), common_names=("old CA",))
    certs = home_trusting(world, ca, tmp_path)
    modern = forge(ca, DEVICE)
    assert attempt(world, tmp_path, modern, certs=certs).client_error is None
    outcome = attempt(world, tmp_path, signed_with_sha1(modern, ca), certs=certs)
    assert "CA signature digest algorithm too weak" in verify_message(outcome)
    assert code_shown(world, outcome.client_error) != "E607"


def home_trusting(world: World, ca: Issued, folder: Path) -> Path:
    """Make a server's files that trust ``ca`` for clients; the server's own certificate stays the same."""
    for name in ("server.pem", "server.key"):
        (folder / name).write_bytes((world.certs / name).read_bytes())
    (folder / "ca.pem").write_bytes(ca.certificate_pem)
    return folder


def signed_with_sha1(issued: Issued, ca: Issued) -> Issued:
    """Sign the certificate again with SHA-1, by hand because cryptography no longer does it."""
    assert isinstance(ca.key, rsa.RSAPrivateKey)
    new, old = bytes.fromhex("06092a864886f70d01010b"), bytes.fromhex("06092a864886f70d010105")
    whole, body = der(issued), issued.certificate.tbs_certificate_bytes.replace(new, old)
    signature = ca.key.sign(body, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303 - the point of the test
    head = whole[: whole.index(issued.certificate.tbs_certificate_bytes)]
    tail = whole[len(head) + len(body) : -len(signature)].replace(new, old)
    return Issued(x509.load_der_x509_certificate(head + body + tail + signature), issued.key)


def test_an_expired_ca_admits_nobody(world: World, tmp_path: Path) -> None:
    ca = forge(None, INTERMEDIATE, common_names=("old CA",), start=-2 * HOUR, end=-HOUR)
    outcome = attempt(world, tmp_path, forge(ca, DEVICE), certs=home_trusting(world, ca, tmp_path))
    assert "certificate has expired" in verify_message(outcome)


def test_tls_refuses_a_certificate_with_10000_names(world: World, tmp_path: Path) -> None:
    outcome = attempt(world, tmp_path, forge(world.ca, device_extensions(san=san(*[URI] * 10_000))))
    assert isinstance(outcome.server_error, ssl.SSLError)
    assert outcome.server_error.reason == "EXCESSIVE_MESSAGE_SIZE"


def test_tls_1_2_is_refused_with_e107(world: World, tmp_path: Path) -> None:
    client = careless_client(tmp_path, forge(world.ca, DEVICE))
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    outcome = connect(server_context(world.certs, alpn=ALPN), client)
    assert isinstance(outcome.server_error, ssl.SSLError)
    assert code_shown(world, outcome.client_error) == "E107"


# -- accepted by TLS, refused by the device profile

REFUSED_BY_PROFILE: dict[str, Callable[[World], Issued]] = {
    "no SAN": lambda w: forge(w.ca, device_extensions(san=None), common_names=(URI,)),
    "two devices": lambda w: forge(w.ca, device_extensions(san=san(URI, ADMIN))),
    "the same device twice": lambda w: forge(w.ca, device_extensions(san=san(URI, URI))),
    "a host beside the device": lambda w: forge(w.ca, device_extensions(san=san(URI, x509.DNSName("lab")))),
    "a wildcard host": lambda w: forge(w.ca, device_extensions(san=san(x509.DNSName("*")))),
    "1,000 names": lambda w: forge(w.ca, device_extensions(san=san(*[URI] * 1000))),
    "two purposes": lambda w: forge(w.ca, device_extensions(purpose=purposes("client", "server"))),
    "no purpose": lambda w: forge(w.ca, device_extensions(purpose=None)),
    "no key usage": lambda w: forge(w.ca, device_extensions(usage=None)),
    "more key usages": lambda w: forge(
        w.ca, device_extensions(usage=key_usage("digital_signature", "key_agreement"))
    ),
    "key usage not critical": lambda w: forge(
        w.ca, device_extensions(usage=(key_usage("digital_signature")[0], False))
    ),
    "no constraints": lambda w: forge(w.ca, device_extensions(constraints=None)),
    "P-384": lambda w: forge(w.ca, DEVICE, key=ec.generate_private_key(ec.SECP384R1())),
    "RSA-2048": lambda w: forge(w.ca, DEVICE, key=rsa.generate_private_key(65537, 2048)),
}


@pytest.mark.parametrize("case", REFUSED_BY_PROFILE)
def test_a_certificate_outside_the_device_profile_is_refused(world: World, tmp_path: Path, case: str) -> None:
    issued = REFUSED_BY_PROFILE[case](world)
    outcome = attempt(world, tmp_path, issued)
    assert outcome.server_saw == der(issued), outcome
    with pytest.raises(ChatdError) as caught:
        device_of(outcome.server_saw, world.ca.certificate)
    assert caught.value.code == "E210"


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "chatd://lab/server",
        "chatd://lab/envelope",
        "chatd://lab/user/*/device/laptop",
        "chatd://*/user/bob/device/laptop",
        "chatd://lab/user/bob/device/laptop\x00",
        "chatd://lab/user/bob\x00eve/device/laptop",
        "chatd://lab/user/bob/device/laptop\n",
        "chatd://lab/user/bob/device/laptop/",
        "chatd://lab/user/bob/device/laptop?x",
        "chatd://lab/user/bob/device/",
        "chatd://lab/user//device/laptop",
        "chatd://lab/user/Bob/device/laptop",
        "chatd://lab/user/bob%2fx/device/laptop",
        "chatd://lab/user/../device/laptop",
        "chatd://lab/user/bob/device/\x1b]52;c;eA==\x07",
        f"chatd://lab/user/{'b' * 33}/device/laptop",
        "chatd://eve@lab/user/bob/device/laptop",
        "chatd:///user/bob/device/laptop",
        "CHATD://lab/user/bob/device/laptop",
        "https://lab/user/bob/device/laptop",
        " chatd://lab/user/bob/device/laptop",
    ],
)
def test_a_uri_that_does_not_name_one_device_is_refused(world: World, uri: str) -> None:
    with pytest.raises(ChatdError) as caught:
        device_of(der(forge(world.ca, device_extensions(san=san(uri)))), world.ca.certificate)
    assert caught.value.code == "E210"
    assert caught.value.reason.isprintable()


@pytest.mark.parametrize("common_names", [("alice",), ("bob", "admin"), ("admin\x00bob",), (ADMIN,)])
def test_the_common_name_does_not_count(world: World, tmp_path: Path, common_names: tuple[str, ...]) -> None:
    outcome = attempt(world, tmp_path, forge(world.ca, DEVICE, common_names=common_names))
    assert outcome.client_error is None
    assert device_of(outcome.server_saw, world.ca.certificate).name == ("lab", "bob", "laptop")


def test_one_key_under_two_names_is_two_devices(world: World, tmp_path: Path) -> None:
    bob = forge(world.ca, DEVICE)
    assert isinstance(bob.key, ec.EllipticCurvePrivateKey)
    admin = forge(world.ca, device_extensions(san=san(ADMIN)), key=bob.key)
    seen = [
        device_of(attempt(world, tmp_path, issued).server_saw, world.ca.certificate)
        for issued in (bob, admin)
    ]
    assert [device.name.user for device in seen] == ["bob", "admin"]
    assert seen[0].serial != seen[1].serial


def test_a_certificate_is_not_parsed_beyond_its_limit(world: World) -> None:
    with pytest.raises(ChatdError) as caught:
        device_of(b"\x30" * (CERTIFICATE_LIMIT + 1), world.ca.certificate)
    assert str(CERTIFICATE_LIMIT) in caught.value.reason


@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")
def test_parsing_a_damaged_certificate_raises_nothing_but_e210(world: World) -> None:
    """The certificate is truncated at every position, and every byte is changed once."""
    good = world.identity.certificate_der
    for position in range(len(good)):
        for damaged in (
            good[:position],
            good[:position] + bytes([good[position] ^ 0xFF]) + good[position + 1 :],
        ):
            try:
                device_of(damaged, world.ca.certificate)
            except ChatdError as error:
                assert error.code == "E210"
