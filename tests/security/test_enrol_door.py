"""The enrol door over the wire: parts of frames, slow clients, wrong keys and certificates, floods."""

from __future__ import annotations

import base64
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from chatctl.client import read_identity
from chatd.pki.contexts import joining_context
from chatd.pki.signing_request import make_request
from chatd.proto.alpn import ALPN_ENROL
from chatd.proto.frames import encode
from chatd.proto.invite_code import InviteCode
from tests.support.daemon import Daemon, running
from tests.support.joining import RawJoiner, devices_of, invite, outcome_of

WRONG = InviteCode("127.0.0.1:1", b"?" * 16, b"?" * 16)
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(tmp_path_factory.mktemp("door") / "home") as daemon:
        daemon.add_user("bob")
        yield daemon
        assert daemon.child("enrol")["restarts"] == 0


def _request(key: Key, *, padding: int = 0) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    if padding:
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.1"), b"x" * padding)
        builder = builder.add_extension(extension, critical=False)
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, digest).public_bytes(Encoding.DER)


def _broken_signature() -> bytes:
    good = bytearray(make_request(ec.generate_private_key(ec.SECP256R1())))
    good[-1] ^= 1
    return bytes(good)


def _of_another_key() -> bytes:
    """A request with the body of one key, signed by another."""
    pair = [make_request(ec.generate_private_key(ec.SECP256R1())) for _ in range(2)]
    one, other = map(x509.load_der_x509_csr, pair)
    return one.public_bytes(Encoding.DER).replace(one.signature, other.signature)


def _rsa(bits: int) -> bytes:
    return _request(rsa.generate_private_key(public_exponent=65537, key_size=bits))


REQUESTS: dict[str, Callable[[], bytes]] = {
    "RSA-1024": lambda: _rsa(1024),
    "RSA-4096": lambda: _rsa(4096),
    "P-521": lambda: _request(ec.generate_private_key(ec.SECP521R1())),
    "secp256k1": lambda: _request(ec.generate_private_key(ec.SECP256K1())),
    "Ed25519": lambda: _request(ed25519.Ed25519PrivateKey.generate()),
    "wrong signature": _broken_signature,
    "another key's signature": _of_another_key,
    "2 KiB": lambda: _request(ec.generate_private_key(ec.SECP256R1()), padding=1900),
}


def test_only_a_p256_key_that_signs_its_own_request_gets_a_certificate(daemon: Daemon) -> None:
    code = invite(daemon, "pat")
    for name, make in REQUESTS.items():
        csr = base64.b64encode(make()).decode()
        assert outcome_of(daemon.port, code, csr=csr) in ("E217", "E102"), name
    assert devices_of(daemon, "pat") == []
    assert outcome_of(daemon.port, code) == "enrolled", "the code is still good"


@pytest.mark.parametrize("size", [1, 3, 4, 5, 100], ids=lambda size: f"{size} bytes")
def test_a_part_of_a_frame_and_then_the_end_changes_nothing(daemon: Daemon, size: int) -> None:
    with RawJoiner(daemon.port) as joiner:
        assert joiner.receive()["type"] == "authority"
        joiner.sock.sendall(encode({"type": "redeem", "secret": "0" * 32, "csr": "A" * 200})[:size])
    assert outcome_of(daemon.port, WRONG) == "E211"


@pytest.mark.parametrize("head", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x00\x00\x10\x01", b"\0\0\0\x02[]"])
def test_a_wrong_length_or_no_object_is_refused_before_it_is_read(daemon: Daemon, head: bytes) -> None:
    with RawJoiner(daemon.port) as joiner:
        assert joiner.receive()["type"] == "authority"
        joiner.sock.sendall(head)
        assert joiner.receive().get("code", "cut") in ("E100", "E101", "E102", "cut")
        assert joiner.receive() == {}


def test_a_client_that_sends_a_byte_at_a_time_is_served_or_cut(daemon: Daemon) -> None:
    frame = encode({"type": "redeem", "secret": "0" * 32, "csr": "AAAA", "device": ""})
    with RawJoiner(daemon.port) as joiner:
        assert joiner.receive()["type"] == "authority"
        for byte in frame:
            joiner.sock.sendall(bytes((byte,)))
        assert joiner.receive()["code"] == "E217"


def test_a_second_frame_in_the_same_record_is_not_read(daemon: Daemon) -> None:
    code = invite(daemon, "quinn")
    with RawJoiner(daemon.port) as joiner:
        assert joiner.receive()["type"] == "authority"
        bad = encode({"type": "redeem", "secret": "0" * 32, "csr": "AAAA", "device": ""})
        joiner.sock.sendall(bad * 20)
        assert joiner.receive()["code"] == "E217"
        assert joiner.receive() == {}
    assert outcome_of(daemon.port, code) == "enrolled"


def _connect(daemon: Daemon, context: ssl.SSLContext) -> ssl.SSLSocket:
    return context.wrap_socket(socket.create_connection(("127.0.0.1", daemon.port), 30))


def test_the_enrol_door_asks_for_no_certificate_and_knows_nobody_by_one(daemon: Daemon) -> None:
    """A device that offers its certificate there is a stranger like everybody: it has to have a code."""
    identity = daemon.identity("bob")
    context = joining_context()
    context.load_cert_chain(identity)
    with _connect(daemon, context) as sock:
        assert sock.selected_alpn_protocol() == ALPN_ENROL
    assert read_identity(identity).user == "bob"
    assert outcome_of(daemon.port, WRONG) == "E211"


@pytest.mark.parametrize(
    "protocols", [["chatd/1"], [], ["chatd/1", "chatd-enrol/1"], ["chatd-enrol/1", "chatd/1"], ["http/1.1"]],
    ids=["chat", "none", "chat first", "enrol first", "http"],
)  # fmt: skip
def test_no_other_alpn_leads_to_a_session_without_a_certificate(daemon: Daemon, protocols: list[str]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if protocols:
        context.set_alpn_protocols(protocols)
    try:
        with _connect(daemon, context) as sock:
            sock.settimeout(30)
            heard = sock.recv(65536)
    except OSError:
        heard = b""
    assert b'"welcome"' not in heard
    assert b'"authority"' not in heard or protocols == ["chatd-enrol/1", "chatd/1"]


def test_tls_1_2_with_its_renegotiation_is_not_spoken(daemon: Daemon) -> None:
    context = joining_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(OSError):
        _connect(daemon, context).close()


def test_there_is_no_ticket_so_no_resumption_and_no_early_data(daemon: Daemon) -> None:
    with RawJoiner(daemon.port) as joiner:
        assert joiner.receive()["type"] == "authority"
        session = joiner.sock.session
        assert session is None or not session.has_ticket
        assert not joiner.sock.session_reused


def test_a_thousand_connections_are_bounded_and_chat_goes_on(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        bob = daemon.add_user("bob")
        memory = daemon.child("enrol")["rss"]
        with ThreadPoolExecutor(50) as pool:
            outcomes = Counter(pool.map(lambda _: outcome_of(daemon.port, WRONG), range(1000)))
        assert set(outcomes) <= {"E211", "cut"}, outcomes
        assert outcomes["E211"] <= 200, outcomes
        daemon.run("chat", "--identity", str(bob), "send", "lobby", "still here")
        enrol = daemon.child("enrol")
        assert enrol["restarts"] == 0
        assert enrol["rss"] < memory + 32 * 1024 * 1024
