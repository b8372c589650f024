"""A second reader of the stream's messages, written from chatd/cluster/stream_message.py; nothing of chatd.

    magic, format, kind, generation, epoch, node, first seq, count, previous chain hash, key number

then a nonce of 12 bytes and the body under AES-256-GCM, with the header as associated data. A batch has
the seqs that it redacts, a salt for each entry, and the entries. The first chain hash of an entry follows
the header's.
"""

from __future__ import annotations

import json
from struct import Struct
from struct import error as StructError
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.chaos.log_chain import hash_body, link

GENESIS, CLAIM, BATCH, SETTINGS = 1, 2, 3, 4
_FORMAT = 1
_HEAD = Struct(">4sBBIQ32sQI32sQ")
_NONCE = 12
_SALT = 16
_ENTRY = Struct(">qHHHHHI")
_NONE = 0xFFFF


class StreamEntry(NamedTuple):
    """An entry of a batch: the chain hash after it, and if it is a message its sender, id and text."""

    seq: int
    chain: str
    device: str
    msg_id: str
    text: str


class StreamMessage(NamedTuple):
    """A message of the stream. ``after`` is the seq before it; ``entries`` is None without its key."""

    place: int
    kind: int
    generation: int
    epoch: int
    node: str
    after: int
    size: int
    previous: str
    entries: list[StreamEntry] | None


def read_message(place: int, data: bytes, keys: dict[int, bytes]) -> StreamMessage | str:
    """Return a message, or why it is none."""
    try:
        magic, written, kind, generation, epoch, node, first, count, chain, number = _HEAD.unpack_from(data)
        if magic != b"CHST" or written != _FORMAT or not GENESIS <= kind <= SETTINGS:
            return f"magic {magic!r}, format {written}, kind {kind}"
        name = node.rstrip(b"\0").decode("ascii")
        entries: list[StreamEntry] | None = None
        if key := keys.get(number):
            head, nonce, sealed = data[: _HEAD.size], data[_HEAD.size :][:_NONCE], data[_HEAD.size + _NONCE :]
            body = AESGCM(key).decrypt(nonce, sealed, head)
            entries = _entries(body, first, count, chain) if kind == BATCH else []
        return StreamMessage(place, kind, generation, epoch, name, first - 1, count, chain.hex(), entries)
    except (StructError, ValueError, InvalidTag) as error:
        return f"{type(error).__name__} {error}"


def _entries(body: bytes, first: int, count: int, previous: bytes) -> list[StreamEntry]:
    redacted = int.from_bytes(body[:4], "big")
    salts = 4 + redacted * 16
    offset = salts + count * _SALT
    entries = []
    for index in range(count):
        at, *lengths, size = _ENTRY.unpack_from(body, offset)
        offset += _ENTRY.size
        columns: list[bytes | None] = []
        for length in lengths:
            columns.append(None if length == _NONE else body[offset : offset + length])
            offset += 0 if length == _NONE else length
        kind, _, device, msg_id, digest = columns
        text = body[offset : offset + size]
        offset += size
        salt = body[salts + index * _SALT :][:_SALT]
        previous = link(previous, first + index, at, columns[:4], hash_body(salt, digest, text))
        said = str(json.loads(text)["body"]) if kind == b"message" else ""
        known = ((device or b"").decode(), (msg_id or b"").hex())
        entries.append(StreamEntry(first + index, previous.hex(), *known, said))
    if offset != len(body):
        raise ValueError(f"{len(body) - offset} bytes are left")
    return entries
