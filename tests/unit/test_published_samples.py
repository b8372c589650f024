"""chatd refuses the negative vectors where they say, and reads the samples of frames and identity files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509 import load_der_x509_certificate

from chatd.errors import ChatdError
from chatd.pki.identity import read_identity
from chatd.proto.events import parse_from_server
from chatd.proto.frames import HEADER_SIZE, decode, split
from chatd.proto.requests import parse_request
from tests.tools.doctables import PROTOCOL
from tests.unit.test_crypto_vectors import GIVEN, RecordedKey, client, server, server_keys, value
from tests.vectors.reference import x25519_public
from tests.vectors.samples import FRAMES, IDENTITIES, NEGATIVE, frames, negative

Case = dict[str, Any]
NEGATIVES: dict[str, list[Case]] = json.loads(NEGATIVE.read_text("ascii"))
SAMPLES: dict[str, list[Case]] = json.loads(FRAMES.read_text("ascii"))
FILES: dict[str, Any] = json.loads(IDENTITIES.read_text("ascii"))


def cases(of: list[Case]) -> pytest.MarkDecorator:
    assert of
    return pytest.mark.parametrize("case", of, ids=lambda case: str(case["case"]))


def self_signed_key(der: bytes) -> RSAPublicKey:
    """The envelope certificate of the vectors is its own issuer."""
    certificate = load_der_x509_certificate(der)
    try:
        certificate.verify_directly_issued_by(certificate)
    except InvalidSignature:
        raise ChatdError("E209") from None
    return cast(RSAPublicKey, RecordedKey())


def steps(side: str) -> list[tuple[str, Callable[[bytes], object]]]:
    if side == "server":
        its_end = server()
        return [("m1", its_end.respond), ("m3", its_end.accept)]
    end = client()
    end._envelope_key_of = self_signed_key
    end.hello()
    return [("m2", end.exchange), ("m4", end.finish)]


@pytest.mark.parametrize("side", ["server", "client"])
def test_each_tampered_handshake_is_refused_where_the_vectors_say(side: str) -> None:
    for case in NEGATIVES[f"{side}_receives"]:
        taking = zip(steps(side), map(bytes.fromhex, case["bodies"]), strict=False)
        seen = []
        for (name, take), body in taking:
            try:
                take(body)
            except ChatdError as error:
                seen.append((name, error.code))
        assert seen == [(case["refused_at"], case["code"])], case["case"]


@cases(NEGATIVES["server_receives_records"])
def test_a_tampered_record_is_refused(case: Case) -> None:
    with pytest.raises(ChatdError) as caught:
        server_keys().opener.feed(bytes.fromhex(case["bytes"]))
    # As `Connection._read` tells the peer.
    assert ("E104" if caught.value.code == "E104" else "E100") == case["bye"]


@cases(SAMPLES["requests"])
def test_a_sample_request_is_accepted_or_refused(case: Case) -> None:
    (payload,) = split(bytes.fromhex(case["frame"]))
    code = None
    try:
        parse_request(decode(payload))
    except ChatdError as error:
        code = error.code
    assert code == case["code"]


@cases(SAMPLES["records"])
def test_a_record_holds_whole_frames(case: Case) -> None:
    plain = bytes.fromhex(case["plaintext"])
    if case["bye"] is None:
        assert len(list(split(plain))) == case["frames"]
        return
    with pytest.raises(ChatdError) as caught:
        list(split(plain))
    assert caught.value.code == case["bye"]


@cases(SAMPLES["from_server"])
def test_a_client_reads_a_sample_frame(case: Case) -> None:
    parsed = parse_from_server(decode(bytes.fromhex(case["frame"])[HEADER_SIZE:]))
    assert (parsed is None) == case["ignored"]


@cases(FILES["files"])
def test_a_sample_identity_is_read_or_refused(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "identity"
    path.touch(0o600)
    path.write_text(case["file"], "utf-8", newline="")
    if case["servers"] is None:
        with pytest.raises(ChatdError) as caught:
            read_identity(path)
        assert caught.value.code == "E608"
        return
    identity = read_identity(path)
    assert (identity.instance, identity.user, identity.device) == ("lab", "bob", "laptop")
    assert list(identity.servers) == case["servers"]


def test_the_files_are_those_of_the_generator() -> None:
    assert (negative(), frames()) == (NEGATIVES, SAMPLES)


def test_the_offsets_in_the_document_are_those_of_the_vectors() -> None:
    rows = re.findall(r" (\d+) +(\d+)  (\w+)", PROTOCOL.read_text("utf-8"))
    fields = {name: (int(offset), int(offset) + int(size)) for offset, size, name in rows}
    for message, name, given in (
        ("m1", "client_random", "client_random"),
        ("m2", "server_random", "server_random"),
        ("m2", "session_id", "session_id"),
    ):
        start, end = fields[name]
        assert value(message)[start:end].hex() == GIVEN[given]
    start, end = fields["max_frame"]
    assert int.from_bytes(value("m2")[start:end], "big") == GIVEN["max_frame"]
    for message, name in (("m1", "X25519_c"), ("m2", "X25519_s")):
        start, end = fields[name]
        private = bytes.fromhex(GIVEN["client_x25519" if message == "m1" else "server_x25519"])
        assert value(message)[start:end] == x25519_public(private)
