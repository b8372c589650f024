"""Sealed files: reading returns the original content or raises an error."""

from __future__ import annotations

import io
import random
from collections.abc import Callable

import pytest

from chatd.errors import ChatdError
from chatd.store.sealed_file import CHUNK_BYTES, HEADER_BYTES, TAG_BYTES, FileOpener, FileSealer

PASSPHRASE = b"correct horse battery"
COST = 10  # enough for a test; real files take 17
PART = CHUNK_BYTES + TAG_BYTES
CONTENT = random.Random(7).randbytes(2 * CHUNK_BYTES + 1000)


def seal(content: bytes, *, piece: int = 300_000) -> bytes:
    file = io.BytesIO()
    sealer = FileSealer(file, PASSPHRASE, cost=COST)
    for start in range(0, len(content), piece):
        sealer.write(content[start : start + piece])
    sealer.finish()
    return file.getvalue()


def unseal(sealed: bytes, *, piece: int = 700_000) -> bytes:
    opener = FileOpener(io.BytesIO(sealed), len(sealed), PASSPHRASE)
    parts = []
    while opener.left > 0:
        parts.append(opener.read(min(piece, opener.left)))
    opener.read(0)
    return b"".join(parts)


SEALED = seal(CONTENT)


def reason_for_refusal(sealed: bytes) -> str:
    """Read a file that must be refused; return the reason."""
    with pytest.raises(ChatdError) as caught:
        unseal(sealed)
        FileOpener(io.BytesIO(sealed), len(sealed), PASSPHRASE).read(1)
    assert caught.value.code == "E613"
    return caught.value.reason


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES])
@pytest.mark.parametrize("piece", [CHUNK_BYTES, 333_333])
def test_a_sealed_file_reads_back(size: int, piece: int) -> None:
    content = CONTENT[:size]
    sealed = seal(content, piece=piece)
    assert unseal(sealed, piece=piece) == content
    assert len(sealed) == HEADER_BYTES + size + TAG_BYTES * max(1, -(-size // CHUNK_BYTES))


def test_sealing_the_same_content_twice_gives_different_files() -> None:
    assert SEALED[HEADER_BYTES:] != seal(CONTENT)[HEADER_BYTES:]
    assert CONTENT[:64] not in SEALED


def test_a_wrong_passphrase_is_reported() -> None:
    with pytest.raises(ChatdError, match="passphrase is wrong") as caught:
        FileOpener(io.BytesIO(SEALED), len(SEALED), PASSPHRASE + b"!")
    assert caught.value.code == "E613"


@pytest.mark.parametrize("size", [*range(0, HEADER_BYTES + TAG_BYTES + 2, 7), PART, len(SEALED) - 1])
def test_a_truncated_file_is_refused(size: int) -> None:
    assert reason_for_refusal(SEALED[:size])


def test_a_file_cut_between_two_parts_is_refused() -> None:
    """All remaining parts are authentic, but the last one is missing."""
    for parts in (1, 2):
        assert "cut short" in reason_for_refusal(SEALED[: HEADER_BYTES + parts * PART])


@pytest.mark.parametrize(
    "change",
    [
        lambda head, a, b, c: head + b + a + c,
        lambda head, a, b, c: head + a + a + c,
        lambda head, a, b, c: head + a + c,
        lambda head, a, b, c: head + a + b + c + c,
        lambda head, a, b, c: head + a + b + c + b"\0",
        lambda head, a, b, c: head + a + seal(CONTENT)[HEADER_BYTES + PART : HEADER_BYTES + 2 * PART] + c,
    ],
    ids=["swapped", "repeated", "left out", "appended", "a byte appended", "from another file"],
)
def test_misplaced_parts_are_refused(change: Callable[[bytes, bytes, bytes, bytes], bytes]) -> None:
    head, body = SEALED[:HEADER_BYTES], SEALED[HEADER_BYTES:]
    assert "damaged or cut short" in reason_for_refusal(
        change(head, body[:PART], body[PART : 2 * PART], body[2 * PART :])
    )


def test_any_altered_byte_is_detected() -> None:
    small = seal(b"some content")
    for place in range(len(small)):
        altered = bytearray(small)
        altered[place] ^= 0x10
        assert reason_for_refusal(bytes(altered)), place


@pytest.mark.parametrize(
    ("field", "value"), [(8, 0), (8, 9), (8, 19), (8, 31), (8, 255), (9, 0), (9, 255), (10, 0), (10, 5)]
)
def test_excessive_costs_in_the_header_are_refused(field: int, value: int) -> None:
    """The header is checked before scrypt allocates memory; 2^255 would take forever."""
    altered = bytearray(SEALED)
    altered[field] = value
    assert "header of the backup is damaged" in reason_for_refusal(bytes(altered))


def test_reading_past_the_end_is_refused() -> None:
    opener = FileOpener(io.BytesIO(SEALED), len(SEALED), PASSPHRASE)
    with pytest.raises(ChatdError, match="end is missing"):
        opener.read(len(CONTENT) + 1)


def test_a_file_that_shrinks_while_it_is_read_is_refused() -> None:
    opener = FileOpener(io.BytesIO(SEALED[:-500]), len(SEALED), PASSPHRASE)
    opener.read(CHUNK_BYTES)
    opener.read(CHUNK_BYTES)
    with pytest.raises(ChatdError, match="cut short"):
        opener.read(1)
