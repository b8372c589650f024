"""Enrolments whose TLS ends in the gateway: the same frames, judged in the same way."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from chatd.child.handed_socket import hand_over_socket, take_socket
from chatd.errors import ChatdError
from chatd.gateway.plain_enrolment import PlainEnrolments
from chatd.pki.profiles import key_hash_of
from chatd.pki.renewal_proof import sign_renewal
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


def test_only_what_is_handed_over_as_plain_is_spoken_to_without_tls() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client, other_end = socket.socketpair()
    with ours, theirs, client, other_end:
        ours.setblocking(False)
        for plain in (False, True):
            hand_over_socket(theirs, client, ADDRESS, b"P\0first", 0, plain=plain)
            # The receiver has not answered in time, but what it would take is there.
            packet = ours.recv(1000)
            assert packet == (b"P" if plain else b"T") + ADDRESS.encode() + b"\0P\0first"
