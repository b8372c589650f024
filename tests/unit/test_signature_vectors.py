"""chatd agrees with the published test vectors of the record key's signatures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chatd.pki.profiles import spki
from chatd.pki.record_key import key_id, verify_head
from chatd.proto.signatures import BACKUP_DOMAIN, EXPORT_DOMAIN, SignedHead, parse_heads

FILE: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "heads.json").read_text("ascii"))
KEY = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(FILE["private_key"]))


def vector_head() -> SignedHead:
    (head,) = parse_heads(FILE["head"]["line"])
    return head


def test_the_key_and_its_id() -> None:
    assert spki(KEY.public_key()).hex() == FILE["public_key"]
    assert key_id(KEY.public_key()) == FILE["head"]["fields"]["key_id"]


def test_the_head() -> None:
    vector = FILE["head"]
    head = SignedHead(**vector["fields"])
    assert head.signed == vector["signed"].encode("ascii")
    assert KEY.sign(head.signed).hex() == vector["signature"]
    assert head._replace(signature=vector["signature"]).line == vector["line"]
    assert vector_head() == head._replace(signature=vector["signature"])
    verify_head(vector_head(), [], [KEY.public_key()])


@pytest.mark.parametrize(("name", "domain"), [("export", EXPORT_DOMAIN), ("backup", BACKUP_DOMAIN)])
def test_the_signature_of(name: str, domain: bytes) -> None:
    vector = FILE[name]
    signed = domain + vector["content"].encode()
    assert signed.hex() == vector["signed"]
    assert KEY.sign(signed).hex() == vector["signature"]


def test_a_signature_of_one_kind_is_none_of_another() -> None:
    content = FILE["export"]["content"].encode()
    for domain in (BACKUP_DOMAIN, b""):
        with pytest.raises(InvalidSignature):
            KEY.public_key().verify(bytes.fromhex(FILE["export"]["signature"]), domain + content)
