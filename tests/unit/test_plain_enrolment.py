"""Enrolments whose TLS ends in the gateway: the same frames, judged in the same way."""

from __future__ import annotations

import base64
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from chatd.child.handed_socket import Speaker, hand_over_socket, take_socket
from chatd.errors import ChatdError
from chatd.gateway.plain_enrolment import PlainEnrolments
from chatd.pki.profiles import key_hash_of
from chatd.pki.renewal_proof import sign_renewal
from chatd.pki.signing_request import make_request
from chatd.proto.invite_code import secret_hash
from tests.support.hubworld import World
from tests.support.plain_enrol import PlainJoiner, enrolling

Joiner = Callable[[], PlainJoiner]
SECRET, ADDRESS = b"s" * 16, "192.0.2.7"


@pytest.fixture
def world() -> World:
    world = World()
    world.create_configured_rooms()
    world.add_user("alice", "admin")
    world.ask("alice", "invite_create", user="carol", secret_hash=secret_hash(SECRET), seconds=86_400)
    return world


@pytest.fixture
def gateway(world: World) -> Iterator[PlainEnrolments]:
    with enrolling(world) as found:
        yield found


@pytest.fixture
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def joiner(gateway: PlainEnrolments) -> Iterator[Callable[[], PlainJoiner]]:
    with ExitStack() as stack:
        yield lambda: PlainJoiner(stack.enter_context(gateway.open_plain_enrolment(ADDRESS)))


def test_a_page_sees_the_ca_before_it_says_anything_and_gets_a_certificate_for_its_key(
    world: World, joiner: Joiner, key: ec.EllipticCurvePrivateKey
) -> None:
    page = joiner()
    ca = x509.load_pem_x509_certificate(page.authority["ca"].encode())
    assert page.authority["type"] == "authority"
    answer = page.redeem(SECRET, key)
    assert (answer["type"], answer["user"], answer["device"]) == ("enrolled", "carol", "laptop")
    certificate = x509.load_pem_x509_certificate(answer["certificate"].encode())
    assert certificate.public_key() == key.public_key()
    certificate.verify_directly_issued_by(ca)
    assert page.receive() == {}  # the process ends the connection
    assert world.state.users["carol"].devices["laptop"].serial == f"{certificate.serial_number:x}"


def test_an_invite_is_for_one_key_whichever_way_it_comes(
    joiner: Joiner, key: ec.EllipticCurvePrivateKey
) -> None:
    first = joiner().redeem(SECRET, key)
    again = joiner().redeem(SECRET, key)
    serials = {
        x509.load_pem_x509_certificate(one["certificate"].encode()).serial_number for one in (first, again)
    }
    assert len(serials) == 1
    other = joiner().redeem(SECRET, ec.generate_private_key(ec.SECP256R1()))
    assert (other["type"], other["code"]) == ("error", "E213")


def test_a_renewal_is_signed_over_the_number_of_its_own_connection(
    world: World, joiner: Joiner, key: ec.EllipticCurvePrivateKey
) -> None:
    enrolled = joiner().redeem(SECRET, key)
    der = x509.load_pem_x509_certificate(enrolled["certificate"].encode()).public_bytes(Encoding.DER)
    world.now += 2 * 86_400_000

    def renew(page: PlainJoiner, binding: str) -> dict[str, str]:
        proof = sign_renewal(key, bytes.fromhex(binding), der).hex()
        return page.send({"type": "renew", "certificate": enrolled["certificate"], "proof": proof})

    first, second = joiner(), joiner()
    assert first.authority["binding"] != second.authority["binding"]
    assert renew(first, second.authority["binding"])["code"] == "E217"
    answer = renew(second, second.authority["binding"])
    assert answer["type"] == "enrolled"
    renewed = x509.load_pem_x509_certificate(answer["certificate"].encode())
    assert key_hash_of(renewed) == world.state.users["carol"].devices["laptop"].key


def test_without_an_enrol_process_the_gateway_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ChatdError, match="E216"):
        PlainEnrolments(None).open_plain_enrolment(ADDRESS)
    monkeypatch.setattr("chatd.gateway.plain_enrolment.TAKEN_SECONDS", 0.01)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        gateway = PlainEnrolments(theirs.detach())
        ours.setblocking(False)
        with pytest.raises(ChatdError, match="E502"):
            gateway.open_plain_enrolment(ADDRESS)
        assert take_socket(ours) is None  # the gateway has given up, and so does the process
        gateway.close()


def test_a_frame_says_for_whom_it_is_handed_over_and_no_client_can_say_so_itself() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client, other_end = socket.socketpair()
    with ours, theirs, client, other_end:
        for speaker in Speaker:
            hand_over_socket(theirs, client, ADDRESS, b"G\0first", 0, speaker)
            # The receiver has not answered in time, but what it would take is there.
            assert ours.recv(1000) == speaker.value + ADDRESS.encode() + b"\0G\0first"


def test_a_client_cannot_renew_in_the_name_of_the_gateway(
    joiner: Joiner, key: ec.EllipticCurvePrivateKey
) -> None:
    enrolled = joiner().redeem(SECRET, key)
    csr = base64.b64encode(make_request(key)).decode()
    answer = joiner().send({"type": "reenrol", "certificate": enrolled["certificate"], "csr": csr})
    assert answer["code"] == "E102"


def test_the_gateway_renews_for_a_certificate_that_it_has_verified(
    world: World, gateway: PlainEnrolments, joiner: Joiner, key: ec.EllipticCurvePrivateKey
) -> None:
    enrolled = joiner().redeem(SECRET, key)
    world.now += 2 * 86_400_000

    def reenrol(asker: ec.EllipticCurvePrivateKey) -> str:
        csr = base64.b64encode(make_request(asker)).decode()
        frame = {"type": "reenrol", "certificate": enrolled["certificate"], "csr": csr}
        return gateway.exchange(ADDRESS, frame).certificate

    with pytest.raises(ChatdError, match="E217"):
        reenrol(ec.generate_private_key(ec.SECP256R1()))
    renewed = x509.load_pem_x509_certificate(reenrol(key).encode())
    assert renewed.public_key() == key.public_key()
    assert world.state.users["carol"].devices["laptop"].serial == f"{renewed.serial_number:x}"


def test_the_gateway_tells_what_the_enrol_process_refuses(
    gateway: PlainEnrolments, key: ec.EllipticCurvePrivateKey
) -> None:
    csr = base64.b64encode(make_request(key)).decode()
    frame = {"type": "redeem", "secret": SECRET.hex(), "csr": csr, "user": "alice"}
    with pytest.raises(ChatdError, match="E211"):
        gateway.exchange(ADDRESS, frame)
    assert gateway.exchange(ADDRESS, frame | {"user": "carol"}).user == "carol"
