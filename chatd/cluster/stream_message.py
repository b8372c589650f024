"""The messages of the stream: a header in the clear, and a body under AES-256-GCM.

    magic, format, kind, generation, epoch, node, first seq, count, previous chain hash, key number

The header is the body's associated data, so that nobody without the key can write a message that counts. A
body is sealed with one of the tail keys, which no stream holds (`chatd.cluster.tail_keys`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from struct import Struct
from struct import error as StructError
from typing import Any, Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from chatd.errors import ChatdError
from chatd.store.chain import SALT_BYTES
from chatd.store.entry import Entry, Point

_MAGIC = b"CHST"
# The format of what is in the stream: of messages, their kinds, and the kinds of events in them. A leader
# writes the newest that all nodes have said they read, and the oldest while it does not know (ADR 55).
OLDEST_FORMAT: Final = 1
NEWEST_FORMAT: Final = 1
# magic, format, kind, generation, epoch, node, first seq, count, previous chain hash, key number
_HEAD = Struct(">4sBBIQ32sQI32sQ")
_NONCE_BYTES = 12
KEY_BYTES = 32
NODE_BYTES = 32
# Of the body of a message with settings: it fits into a message between two hubs as well.
SETTINGS_BYTES = 512 * 1024

# at, lengths of kind, room, device, msg_id, digest and body; the seq follows from the place.
_ENTRY = Struct(">qHHHHHI")
_NONE = 0xFFFF
_COUNT = Struct(">I")
_REDACTED = Struct(">QQ")


class MessageKind(IntEnum):
    """The kinds of messages; the numbers are on the wire."""

    GENESIS = 1  # begins a generation: the log as its members have it
    CLAIM = 2  # begins an epoch: its node decides from here on
    BATCH = 3
    SETTINGS = 4  # what all nodes share of their settings


class StreamHeader(NamedTuple):
    """The part of a message that is in the clear.

    ``previous`` is the point of the log after which the message belongs: of a batch its first entry follows
    it. ``node`` is the name of the sender, at most `NODE_BYTES` ASCII characters. ``entries`` is the count of
    those of a batch; of settings it is their number, which grows.
    """

    kind: MessageKind
    generation: int
    epoch: int
    node: str
    previous: Point
    entries: int
    key_id: int
    format: int = OLDEST_FORMAT


class StreamBatch(NamedTuple):
    """The body of a batch: the arguments of `EventLog.insert`."""

    entries: list[Entry]
    salts: bytes
    redact: dict[int, int]


class StreamSettings(NamedTuple):
    """The body of a message with settings: the shared ones (`chatd.config.shared`), and who has changed them.

    ``node`` is where that was; ``by``: the fields of an event that tell which operator acts.
    """

    shared: dict[str, Any]
    node: str
    by: dict[str, Any]


class NewerFormatError(ChatdError):
    """A message of a newer chatd. It is not void: the nodes that read it go on with it."""

    def __init__(self, found: int) -> None:
        reason = f"the cluster's stream has format {found}, this chatd reads up to {NEWEST_FORMAT}"
        super().__init__("E618", reason, "install the version of chatd that the other nodes have")


class UnreadableError(Exception):
    """A message that is no message of a chatd, or was changed, or whose key is gone."""


def seal_message(header: StreamHeader, body: bytes, key: bytes) -> bytes:
    """Return a message's bytes."""
    head = _pack_header(header)
    nonce = os.urandom(_NONCE_BYTES)
    return head + nonce + AESGCM(key).encrypt(nonce, body, head)


def read_header(data: bytes) -> StreamHeader:
    """Read the header of a message, which may be forged: see `open_message`.

    Raises UnreadableError, and NewerFormatError for a format above `NEWEST_FORMAT`.
    """
    try:
        magic, written, kind, generation, epoch, node, first, count, chain, key_id = _HEAD.unpack_from(data)
        if magic != _MAGIC or written < OLDEST_FORMAT or first < 1:
            raise UnreadableError("not a message of chatd")
        if written > NEWEST_FORMAT:
            raise NewerFormatError(written)
        name = node.rstrip(b"\0").decode("ascii")
        point = Point(first - 1, chain)
        return StreamHeader(MessageKind(kind), generation, epoch, name, point, count, key_id, written)
    except (StructError, ValueError) as error:
        raise UnreadableError(str(error)) from None


def open_message(data: bytes, key: bytes) -> bytes:
    """Return the body of a message. Raises UnreadableError if it was not sealed with this key."""
    head, nonce, sealed = data[: _HEAD.size], data[_HEAD.size : _HEAD.size + _NONCE_BYTES], data[_HEAD.size :]
    try:
        return AESGCM(key).decrypt(nonce, sealed[_NONCE_BYTES:], head)
    except (InvalidTag, ValueError):
        raise UnreadableError("it was changed, or sealed with another key") from None


def pack_batch(entries: Sequence[Entry], salts: bytes, redact: Mapping[int, int]) -> bytes:
    """Return the body of a batch."""
    parts = [_COUNT.pack(len(redact)), *(_REDACTED.pack(seq, by) for seq, by in redact.items()), salts]
    for entry in entries:
        columns = (
            entry.kind.encode(),
            *(None if text is None else text.encode() for text in (entry.room, entry.device)),
            entry.msg_id,
            entry.digest,
        )
        lengths = (_NONE if column is None else len(column) for column in columns)
        parts.append(_ENTRY.pack(entry.at, *lengths, len(entry.body)))
        parts += [column for column in columns if column is not None]
        parts.append(entry.body)
    return b"".join(parts)


def unpack_batch(header: StreamHeader, body: bytes) -> StreamBatch:
    """Read the body of a batch. Raises UnreadableError: its sender is not a chatd of this version."""
    try:
        (redacted,) = _COUNT.unpack_from(body)
        begin = _COUNT.size + redacted * _REDACTED.size
        redact = dict(_REDACTED.iter_unpack(body[_COUNT.size : begin]))
        end = begin + header.entries * SALT_BYTES
        entries = list(_unpack_entries(body, end, header))
        return StreamBatch(entries, body[begin:end], redact)
    except (StructError, ValueError) as error:
        raise UnreadableError(str(error)) from None


def pack_settings(settings: StreamSettings) -> bytes:
    """Return the body of a message with settings. Raises E600 if it is over `SETTINGS_BYTES`."""
    body = json.dumps(settings._asdict(), separators=(",", ":"), ensure_ascii=False).encode()
    if len(body) > SETTINGS_BYTES:
        reason = (
            f"what the nodes share of the settings takes {len(body)} bytes, and may take {SETTINGS_BYTES}"
        )
        raise ChatdError("E600", reason, "shorten filter, roles.assigned or rooms")
    return body


def unpack_settings(body: bytes) -> StreamSettings:
    """Read such a body. Raises UnreadableError; whether the settings are valid depends on the version."""
    if len(body) > SETTINGS_BYTES:
        raise UnreadableError("it is too long")
    try:
        tree = json.loads(body)
        shared, node, by = tree["shared"], tree["node"], tree["by"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise UnreadableError(str(error)) from None
    if not (isinstance(shared, dict) and isinstance(node, str) and isinstance(by, dict)):
        raise UnreadableError("it holds no settings")
    return StreamSettings(shared, node, by)


def _unpack_entries(body: bytes, offset: int, header: StreamHeader) -> Iterator[Entry]:
    for index in range(header.entries):
        at, *lengths, size = _ENTRY.unpack_from(body, offset)
        offset += _ENTRY.size
        columns: list[bytes | None] = []
        for length in lengths:
            columns.append(None if length == _NONE else body[offset : offset + length])
            offset += 0 if length == _NONE else length
        kind, room, device, msg_id, digest = columns
        if kind is None:
            raise UnreadableError("an entry without a kind")
        text = body[offset : offset + size]
        offset += size
        seq = header.previous.seq + 1 + index
        yield Entry(seq, at, kind.decode(), _text(room), _text(device), msg_id, digest, text)
    if offset != len(body):
        raise UnreadableError("its length is wrong")


def _text(column: bytes | None) -> str | None:
    return None if column is None else column.decode()


def _pack_header(header: StreamHeader) -> bytes:
    return _HEAD.pack(
        _MAGIC,
        header.format,
        header.kind,
        header.generation,
        header.epoch,
        header.node.encode("ascii"),
        header.previous.seq + 1,
        header.entries,
        header.previous.chain_hash,
        header.key_id,
    )
