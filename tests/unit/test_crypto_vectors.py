"""chatd and a second implementation of the envelope agree with the published test vectors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_private_key
from cryptography.x509 import load_der_x509_certificate

from chatd.crypto.handshake import ClientHandshake, ServerHandshake, SessionKeys
from chatd.crypto.keys import record_key
from chatd.crypto.records import RecordOpener, RecordSealer
from tests.vectors.reference import VECTORS, outputs

FILE: dict[str, Any] = json.loads(VECTORS.read_text("ascii"))
GIVEN: dict[str, Any] = FILE["inputs"]["handshake"]
VALUES: dict[str, str] = FILE["outputs"]["handshake"]
RECORDS: dict[str, list[dict[str, Any]]] = FILE["outputs"]["records"]

_SECRET_NAMES = ("client_x25519", "server_x25519", "pms", "envelope_private_key")
_SECRET_VALUES = ("x25519_shared", "prk", "fin_c_key", "fin_s_key", "c2s_secret", "s2c_secret")


class RecordedKey:
    """The envelope key with the recorded ciphertext, because the randomness of OAEP cannot be injected."""

    key_size = 2048

    def encrypt(self, plaintext: bytes, padding: object) -> bytes:
        assert plaintext == given("pms")
        return value("ct")


def given(name: str) -> bytes:
    return bytes.fromhex(GIVEN[name])


def value(name: str) -> bytes:
    return bytes.fromhex(VALUES[name])


def drawing(*names: str) -> Callable[[int], bytes]:
    draws = iter([given(name) for name in names])

    def random(size: int) -> bytes:
        drawn = next(draws)
        assert len(drawn) == size
        return drawn

    return random


def client() -> ClientHandshake:
    return ClientHandshake(
        binding=given("tls_binding"),
        server_leaf=given("server_leaf"),
        client_leaf=given("client_leaf"),
        envelope_key_of=lambda der: cast(RSAPublicKey, RecordedKey()),
        random=drawing("client_random", "client_x25519", "pms"),
    )


def server() -> ServerHandshake:
    return ServerHandshake(
        binding=given("tls_binding"),
        server_leaf=given("server_leaf"),
        client_leaf=given("client_leaf"),
        envelope_certificate=given("envelope_certificate"),
        private_key=cast(RSAPrivateKey, load_der_private_key(given("envelope_private_key"), None)),
        max_frame=GIVEN["max_frame"],
        random=drawing("server_random", "session_id", "server_x25519"),
    )


def client_keys() -> SessionKeys:
    side = client()
    assert side.hello() == value("m1")
    assert side.exchange(value("m2")) == value("m3")
    return side.finish(value("m4"))


def server_keys() -> SessionKeys:
    side = server()
    assert side.respond(value("m1")) == value("m2")
    answer, keys = side.accept(value("m3"))
    assert answer == value("m4")
    return keys


def seal_all(sealer: RecordSealer, items: Iterable[dict[str, Any]], patch: pytest.MonkeyPatch) -> list[bytes]:
    """Seal the payloads of the vectors; lowers the key limit to force a recorded rekey."""
    sealed: list[bytes] = []
    rekey = False
    for item in items:
        if item["type"] == "rekey":
            rekey = True
            continue
        patch.setattr("chatd.crypto.records.RECORDS_PER_KEY", 0 if rekey else 1 << 20)
        rekey = False
        sealed.append(
            sealer.close() if item["type"] == "close" else sealer.seal(bytes.fromhex(item["payload"]))
        )
    return sealed


def test_the_second_implementation_reproduces_the_vectors() -> None:
    assert outputs(FILE["inputs"]) == FILE["outputs"]


def test_certificate_key_and_modulus_of_the_vectors_match() -> None:
    key = load_der_x509_certificate(given("envelope_certificate")).public_key()
    assert isinstance(key, RSAPublicKey)
    assert key.public_numbers().n == int.from_bytes(given("envelope_modulus"), "big")
    assert key.public_numbers().e == GIVEN["envelope_exponent"]


@pytest.mark.parametrize(("side", "direction"), [(client_keys, "c2s"), (server_keys, "s2c")])
def test_sealed_records_match_the_vectors(
    side: Callable[[], SessionKeys], direction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = side()
    assert (keys.session_id, keys.max_frame) == (given("session_id"), GIVEN["max_frame"])
    sealed = seal_all(keys.sealer, RECORDS[direction], monkeypatch)
    assert b"".join(sealed).hex() == "".join(item["record"] for item in RECORDS[direction])


@pytest.mark.parametrize(("side", "direction"), [(client_keys, "s2c"), (server_keys, "c2s")])
def test_records_of_the_vectors_open(side: Callable[[], SessionKeys], direction: str) -> None:
    opener: RecordOpener = side().opener
    payloads = [p for item in RECORDS[direction] for p in opener.feed(bytes.fromhex(item["record"]))]
    assert payloads == [bytes.fromhex(i["payload"]) for i in RECORDS[direction] if i["type"] == "data"]
    assert opener.closed


def test_no_repr_shows_a_secret() -> None:
    """Neither its own repr nor that of its attributes, as a logged traceback would show."""
    sides = [client(), server()]
    shown = repr([sides, client_keys(), server_keys()])
    shown += repr([record_key(value(name)) for name in ("c2s_secret", "s2c_secret")])
    for keys in (client_keys(), server_keys()):
        shown += repr(keys) + str(keys) + repr(keys.sealer) + repr(keys.opener) + repr(keys.sealer._cipher)
    secrets = [given(name) for name in _SECRET_NAMES] + [value(name) for name in _SECRET_VALUES]
    secrets += [
        bytes.fromhex(item[name]) for items in RECORDS.values() for item in items for name in ("key", "iv")
    ]
    for secret in secrets:
        assert secret.hex() not in shown.lower()
        assert repr(secret)[2:-1] not in shown
        assert str(int.from_bytes(secret, "big")) not in shown
