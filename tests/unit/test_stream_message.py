"""The messages of a cluster's stream: what is sealed comes back, anything else is refused."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd.cluster.stream_message import (
    MessageKind,
    StreamBatch,
    StreamHeader,
    UnreadableError,
    open_message,
    pack_batch,
    read_header,
    seal_message,
    unpack_batch,
)
from chatd.store.chain import SALT_BYTES, draw_salts
from chatd.store.entry import Entry, Point
from tests.support.storelog import entries

KEY = bytes(range(32))
POINT = Point(41, bytes(32))
BATCH = entries(42, 7)
HEADER = StreamHeader(MessageKind.BATCH, 1, 3, "alpha", POINT, len(BATCH), 5)

SEQS = st.integers(1, 2**60)
TEXT = st.text(max_size=20).filter(lambda text: "\ud800" not in text)
ENTRIES = st.builds(
    Entry,
    seq=st.just(0),
    at=st.integers(-(2**62), 2**62),
    kind=TEXT,
    room=st.none() | TEXT,
    device=st.none() | TEXT,
    msg_id=st.none() | st.binary(min_size=16, max_size=16),
    digest=st.none() | st.binary(min_size=16, max_size=16),
    body=st.binary(max_size=300),
)


def sealed() -> bytes:
    return seal_message(HEADER, pack_batch(BATCH, draw_salts(len(BATCH)), {}), KEY)


@given(
    st.lists(ENTRIES, min_size=1, max_size=5), st.dictionaries(st.integers(1, 2**60), st.integers(1, 2**60))
)
def test_a_batch_comes_back_as_it_was(drawn: list[Entry], redact: dict[int, int]) -> None:
    batch = [entry._replace(seq=POINT.seq + 1 + index) for index, entry in enumerate(drawn)]
    salts = draw_salts(len(batch))
    header = HEADER._replace(entries=len(batch))
    data = seal_message(header, pack_batch(batch, salts, redact), KEY)
    assert read_header(data) == header
    assert unpack_batch(header, open_message(data, KEY)) == StreamBatch(batch, salts, redact)


@pytest.mark.parametrize("place", ["header", "nonce", "body", "tag"])
def test_a_changed_bit_anywhere_is_noticed(place: str) -> None:
    data = bytearray(sealed())
    index = {"header": 20, "nonce": 110, "body": len(data) // 2, "tag": -1}[place]
    data[index] ^= 1
    with pytest.raises(UnreadableError):
        open_message(bytes(data), KEY)


def test_another_key_does_not_open_it() -> None:
    with pytest.raises(UnreadableError):
        open_message(sealed(), os.urandom(32))


def test_a_message_shows_nothing_of_its_entries() -> None:
    data = sealed()
    assert not [entry for entry in BATCH if entry.body[10:30] in data or b"alice" in data]


@given(st.binary(max_size=400))
def test_any_other_bytes_are_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        header = read_header(data)
        open_message(data, KEY)
        raise AssertionError(header)


@given(st.binary(max_size=400))
def test_a_body_of_another_form_is_unreadable(tail: bytes) -> None:
    body = pack_batch(BATCH, bytes(SALT_BYTES * len(BATCH)), {}) + b"x" + tail
    with pytest.raises(UnreadableError):
        unpack_batch(HEADER, body)
