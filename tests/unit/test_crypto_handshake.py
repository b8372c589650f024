"""The handshake against altered, truncated and relayed messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

from chatd.crypto.handshake import HANDSHAKE_LIMIT, ClientHandshake, ServerHandshake, SessionKeys, pack
from chatd.crypto.records import MAX_PAYLOAD
from chatd.errors import ChatdError

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CERTIFICATE = b"envelope certificate"
BOUND: dict[str, Any] = {"binding": b"b" * 48, "server_leaf": b"server leaf", "client_leaf": b"client leaf"}
M1_SIZE, M2_HEAD, CT_SIZE = 72, 88, 256

# Points of small order on Curve25519, and non-canonical encodings of them (RFC 7748, 6.1).
SMALL_ORDER = [
    bytes(32),
    b"\x01" + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
]


def client(**other: Any) -> ClientHandshake:
    return ClientHandshake(**{**BOUND, "envelope_key_of": lambda der: KEY.public_key(), **other})


def server(**other: Any) -> ServerHandshake:
    arguments = {**BOUND, "envelope_certificate": CERTIFICATE, "private_key": KEY, "max_frame": 5000, **other}
    return ServerHandshake(**arguments)


class Ends(NamedTuple):
    client: SessionKeys
    server: SessionKeys


Alter = Callable[[bytes], bytes]


def run(
    client_end: ClientHandshake, server_end: ServerHandshake, alter: dict[int, Alter] | None = None
) -> Ends:
    """Run a handshake; ``alter`` maps a message's number to a function that alters it on the way."""

    def pass_on(number: int, message: bytes) -> bytes:
        return alter[number](message) if alter and number in alter else message

    m2 = server_end.respond(pass_on(1, client_end.hello()))
    m3 = client_end.exchange(pass_on(2, m2))
    m4, server_keys = server_end.accept(pass_on(3, m3))
    return Ends(client_end.finish(pass_on(4, m4)), server_keys)


def refusal(call: Callable[[], object]) -> ChatdError:
    with pytest.raises(ChatdError) as caught:
        call()
    return caught.value


def flip(position: int, mask: int = 0x01) -> Alter:
    def alter(message: bytes) -> bytes:
        altered = bytearray(message)
        altered[position] ^= mask
        return bytes(altered)

    return alter


def put(position: int, new: bytes) -> Alter:
    return lambda message: message[:position] + new + message[position + len(new) :]


def test_both_ends_get_matching_keys() -> None:
    seen: list[bytes] = []

    def key_of(der: bytes) -> rsa.RSAPublicKey:
        seen.append(der)
        return KEY.public_key()

    ends = run(client(envelope_key_of=key_of), server())
    assert seen == [CERTIFICATE]
    assert ends.client.session_id == ends.server.session_id
    assert (ends.client.max_frame, ends.server.max_frame) == (5000, 5000)
    assert ends.server.opener.feed(ends.client.sealer.seal(b"up")) == [b"up"]
    assert ends.client.opener.feed(ends.server.sealer.seal(b"down")) == [b"down"]


def test_every_handshake_gives_different_keys() -> None:
    one, other = run(client(), server()), run(client(), server())
    assert one.client.session_id != other.client.session_id
    assert refusal(lambda: other.server.opener.feed(one.client.sealer.seal(b"x"))).code == "E104"


def test_a_reflected_record_is_refused() -> None:
    ends = run(client(), server())
    for keys in ends:
        record = keys.sealer.seal(b"x")
        assert refusal(lambda k=keys, r=record: k.opener.feed(r)).code == "E104"  # type: ignore[misc]


# -- the man in the middle


@pytest.mark.parametrize("name", list(BOUND))
def test_relay_to_another_tls_connection_fails(name: str) -> None:
    """The two ends have different connections or certificates."""
    error = refusal(lambda: run(client(), server(**{name: b"another" * 8})))
    assert (error.code, error.reason) == ("E104", "the client's proof is wrong")


def _every_byte() -> Iterator[tuple[int, int]]:
    yield from ((1, at) for at in range(M1_SIZE))
    yield from ((2, at) for at in range(M2_HEAD + len(CERTIFICATE)))
    yield from ((3, at) for at in [*range(0, CT_SIZE, 17), CT_SIZE - 1, *range(CT_SIZE, CT_SIZE + 32)])
    yield from ((4, at) for at in range(32))


def test_every_altered_byte_is_refused() -> None:
    for number, position in _every_byte():
        versions = (number == 1 and 4 <= position < 8) or (number == 2 and position < 4)
        error = refusal(lambda n=number, p=position: run(client(), server(), {n: flip(p)}))  # type: ignore[misc]
        assert error.code == ("E107" if versions else "E104"), (number, position)


@pytest.mark.parametrize(
    ("number", "sizes"),
    [
        (1, [*range(65), M1_SIZE - 1]),
        (2, [*range(65), M2_HEAD - 1, M2_HEAD]),
        (3, [*range(65), CT_SIZE, CT_SIZE + 31]),
        (4, range(32)),
    ],
)
def test_every_truncated_message_is_refused(number: int, sizes: list[int]) -> None:
    for size in sizes:
        error = refusal(lambda s=size: run(client(), server(), {number: lambda m: m[:s]}))  # type: ignore[misc]
        assert error.code == "E104", size


@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize("more", [b"\0", bytes(HANDSHAKE_LIMIT)], ids=["byte", "limit"])
def test_a_longer_message_is_refused(number: int, more: bytes) -> None:
    assert refusal(lambda: run(client(), server(), {number: lambda m: m + more})).code == "E104"


def test_an_oversized_message_is_refused_at_once() -> None:
    """Without checking a signature or decrypting with RSA first."""
    m1 = client().hello()
    assert refusal(lambda: server().respond(b"CHD2" + m1[4:])).code == "E104"
    m2 = server().respond(m1)
    for bad in (m2[:M2_HEAD], m2 + bytes(HANDSHAKE_LIMIT)):
        one = client(envelope_key_of=lambda der: pytest.fail("asked about a certificate"))
        one.hello()
        assert refusal(lambda o=one, b=bad: o.exchange(b)).code == "E104"  # type: ignore[misc]


@pytest.mark.parametrize(("number", "position"), [(1, 4), (1, 6), (2, 0), (2, 2)])
@pytest.mark.parametrize("value", [0, 2, 0xFFFF])
def test_another_version_or_suite_is_refused(number: int, position: int, value: int) -> None:
    """Even if the rest of the message has another layout."""
    alter = put(position, value.to_bytes(2, "big"))
    assert refusal(lambda: run(client(), server(), {number: alter})).code == "E107"
    assert refusal(lambda: run(client(), server(), {number: lambda m: alter(m)[:8]})).code == "E107"


@pytest.mark.parametrize("point", SMALL_ORDER, ids=lambda p: p.hex()[:8])
@pytest.mark.parametrize(("number", "position"), [(1, 40), (2, 36)])
def test_an_exchange_key_of_small_order_is_refused(number: int, position: int, point: bytes) -> None:
    error = refusal(lambda: run(client(), server(), {number: put(position, point)}))
    assert (error.code, error.reason) == ("E104", "the peer's exchange key is invalid")


@pytest.mark.parametrize(("number", "position"), [(1, 71), (2, 67)])
def test_the_transcript_covers_the_bit_that_x25519_ignores(number: int, position: int) -> None:
    error = refusal(lambda: run(client(), server(), {number: flip(position, 0x80)}))
    assert (error.code, error.reason) == ("E104", "the client's proof is wrong")


@pytest.mark.parametrize("size", [0, MAX_PAYLOAD + 1, 0xFFFFFFFF])
def test_an_invalid_frame_size_is_refused(size: int) -> None:
    assert refusal(lambda: run(client(), server(max_frame=size))).code == "E104"


@pytest.mark.parametrize("size", [1, MAX_PAYLOAD])
def test_a_valid_frame_size_is_accepted(size: int) -> None:
    assert run(client(), server(max_frame=size)).client.max_frame == size


# -- the envelope key


def test_a_certificate_of_another_authority_is_refused() -> None:
    def key_of(der: bytes) -> rsa.RSAPublicKey:
        raise ChatdError("E209", "not from the authority")

    assert refusal(lambda: run(client(envelope_key_of=key_of), server())).code == "E209"


def test_a_server_without_the_key_of_its_certificate_is_refused() -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert refusal(lambda: run(client(), server(private_key=other))).code == "E104"


def test_a_weak_envelope_key_is_refused() -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505
    error = refusal(
        lambda: run(client(envelope_key_of=lambda der: weak.public_key()), server(private_key=weak))
    )
    assert error.code == "E104"


def test_a_secret_of_another_size_is_refused() -> None:
    draws = iter([bytes(32), b"x" * 32, b"p" * 31])
    error = refusal(lambda: run(client(random=lambda size: next(draws)), server()))
    assert (error.code, error.reason) == ("E104", "the client's proof is wrong")


def _label(transcript: bytes) -> bytes:
    return b"chatd/env/1 pms\0" + transcript


def _padding(transcript: bytes, hash_: SHA1 | SHA256, label: Callable[[bytes], bytes | None]) -> OAEP:
    return OAEP(mgf=MGF1(SHA256()), algorithm=hash_, label=label(transcript))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda th: bytes(CT_SIZE),
        lambda th: b"\xff" * CT_SIZE,
        lambda th: KEY.public_key().encrypt(b"p" * 32, _padding(th, SHA256(), lambda t: None)),
        lambda th: KEY.public_key().encrypt(b"p" * 32, _padding(b"t" * 32, SHA256(), _label)),
        lambda th: KEY.public_key().encrypt(b"p" * 32, _padding(th, SHA1(), _label)),  # noqa: S303
        lambda th: KEY.public_key().encrypt(b"p" * 31, _padding(th, SHA256(), _label)),
        lambda th: KEY.public_key().encrypt(b"", _padding(th, SHA256(), _label)),
        lambda th: KEY.public_key().encrypt(b"p" * 32, _padding(th, SHA256(), _label)),
    ],
    ids=["zero", "over modulus", "no label", "other label", "other hash", "short", "empty", "valid"],
)
def test_decryption_is_not_an_oracle(wrap: Callable[[bytes], bytes]) -> None:
    """The answer to any chosen ciphertext is the answer to a wrong proof."""
    client_end, server_end = client(), server()
    server_end.respond(client_end.hello())
    error = refusal(lambda: server_end.accept(wrap(server_end._transcript()) + bytes(32)))
    assert (error.code, error.reason) == ("E104", "the client's proof is wrong")
    assert error.__cause__ is None
    assert error.__context__ is None


# -- arguments


@pytest.mark.parametrize("make", [client, server])
@pytest.mark.parametrize(
    "lacking",
    [{"binding": b""}, {"binding": b"b" * 12}, {"server_leaf": b""}, {"client_leaf": b""}],
    ids=["none", "TLS 1.2", "no server", "no client"],
)
def test_missing_or_short_binding_values_are_refused(
    make: Callable[..., object], lacking: dict[str, bytes]
) -> None:
    assert refusal(lambda: make(**lacking)).code == "E104"


def test_a_message_is_packed_with_its_length() -> None:
    assert pack(b"body") == b"\0\0\0\x04body"
    assert len(pack(bytes(HANDSHAKE_LIMIT))) == 4 + HANDSHAKE_LIMIT
    for body in (b"", bytes(HANDSHAKE_LIMIT + 1)):
        with pytest.raises(ValueError, match="handshake message"):
            pack(body)


def test_no_error_shows_a_secret() -> None:
    """Reasons are logged: they contain only fixed words and small numbers."""
    for number, position in ((1, 0), (1, 5), (2, 1), (2, 50), (3, 9), (3, 260), (4, 3)):
        error = refusal(lambda n=number, p=position: run(client(), server(), {n: flip(p)}))  # type: ignore[misc]
        assert re.fullmatch(r"[a-z0-9', ]{10,80}", error.reason)
