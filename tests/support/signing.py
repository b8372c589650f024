"""A server's certificates without a home, and signed exports of a log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from chatd.pki.authority import Authority
from chatd.pki.record_key import SigningKey, ensure_record_key, key_id
from chatd.proto.signatures import EXPORT_DOMAIN, Signature, SignedHead
from chatd.store.kept_heads import read_head
from chatd.store.record_export import Choice, export
from tests.support.certificates import NOW

MADE = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")


class Signer(NamedTuple):
    """A CA, and the record key that it has certified."""

    authority: Authority
    record: SigningKey

    def sign(self, first_line: bytes, server: str = "lab", at: str = MADE) -> Signature:
        """Sign the first line of an export, even if a verifier will not accept it."""
        signature = self.record.make_signature(EXPORT_DOMAIN, server="lab", at=MADE)
        value = self.record.private.sign(EXPORT_DOMAIN + first_line).hex()
        return signature.model_copy(update={"signature": value})

    def head(self, data: Path, seq: int) -> SignedHead:
        """Sign the head that the log in ``data`` had at ``seq``."""
        point, log, branch = read_head(data, seq)
        public = self.record.public
        head = SignedHead(
            "lab", point.seq, point.chain_hash.hex(), log.hex(), branch, MADE, key_id(public.key)
        )
        return head._replace(signature=self.record.sign(head.signed, server="lab", at=MADE))


def make_signer(certs: Path, instance: str = "lab") -> Signer:
    """Create a CA and a record key in a new folder ``certs``."""
    certs.mkdir()
    authority = Authority.create(instance, now=NOW)
    authority.save(certs)
    return Signer(authority, ensure_record_key(certs, authority, now=NOW)[0])


def export_lines(data: Path, **choice: Any) -> list[bytes]:
    """The lines of a signed export but the last, its signature."""
    lines = export(data, "lab", Choice(**choice), MADE, lambda n, of: None, signed=True)
    return [json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines]


def signed_export(data: Path, signer: Signer, **choice: Any) -> list[bytes]:
    lines = export_lines(data, **choice)
    return [*lines, last_line(signer.sign(lines[0].removesuffix(b"\n")))]


def last_line(signature: Signature) -> bytes:
    return signature.model_dump_json().encode() + b"\n"


def change(lines: Sequence[bytes], number: int, **fields: Any) -> list[bytes]:
    """Return the lines with some fields of one line replaced."""
    changed = json.loads(lines[number]) | fields
    encoded = json.dumps(changed, separators=(",", ":")).encode() + b"\n"
    return [*lines[:number], encoded, *lines[number:][1:]]
