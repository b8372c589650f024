"""Records that an attacker on the wire or a broken peer could send."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd.crypto.records import CLIENT_TO_SERVER as C2S
from chatd.crypto.records import (
    CLOSE,
    DATA,
    HEADER,
    MAX_PAYLOAD,
    REKEY,
    SERVER_TO_CLIENT,
    TAG_SIZE,
    RecordOpener,
    RecordSealer,
)
from chatd.errors import ChatdError

SECRET = b"s" * 32
SESSION = b"i" * 16
# Longer than any record: bytes after a bad length must not hide it.
FILLER = bytes(2 * MAX_PAYLOAD)


def sealer() -> RecordSealer:
    return RecordSealer(SECRET, C2S, SESSION)


def opener() -> RecordOpener:
    return RecordOpener(SECRET, C2S, SESSION)


def refused(side: RecordOpener, data: bytes) -> str:
    with pytest.raises(ChatdError) as caught:
        side.feed(data)
    return caught.value.code


@pytest.mark.parametrize("size", [1, 15, 16, 17, 1000, MAX_PAYLOAD - 1, MAX_PAYLOAD])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_sealed_payload_is_opened(size: int, kind: Callable[[bytes], bytes]) -> None:
    payload = bytes(i & 0xFF for i in range(size))
    record = sealer().seal(kind(payload))
    assert type(record) is bytes
    assert len(record) == HEADER.size + size + TAG_SIZE
    assert opener().feed(record) == [payload]


@pytest.mark.parametrize(("size", "error"), [(0, ValueError), (MAX_PAYLOAD + 1, ChatdError)])
def test_payloads_of_invalid_size_are_not_sealed(size: int, error: type[Exception]) -> None:
    side = sealer()
    with pytest.raises(error):
        side.seal(bytes(size))
    assert opener().feed(side.seal(b"next")) == [b"next"]


# -- altered on the wire


def test_every_flipped_bit_is_refused() -> None:
    record = sealer().seal(b"payload")
    for position in range(len(record)):
        for bit in range(8):
            flipped = bytearray(record)
            flipped[position] ^= 1 << bit
            code = refused(opener(), bytes(flipped) + FILLER)
            assert code == "E104" or (code == "E101" and position < 4)


def test_every_other_type_is_refused() -> None:
    record = sealer().seal(b"payload")
    for kind in set(range(256)) - {DATA}:
        assert refused(opener(), record[:4] + bytes([kind]) + record[5:]) == "E104"


def test_a_truncated_record_gives_no_payload() -> None:
    record = sealer().seal(b"payload")
    for size in range(len(record)):
        side = opener()
        assert side.feed(record[:size]) == []
        assert not side.closed
        assert refused(side, FILLER) in {"E101", "E104"}


@pytest.mark.parametrize(
    "order",
    [(0, 0), (0, 1, 1), (0, 1, 0), (1,), (1, 0), (0, 2), (0, 2, 1)],
    ids=["replay", "replay later", "replay first", "first lost", "swapped", "lost", "reordered"],
)
def test_reordered_records_are_refused(order: tuple[int, ...]) -> None:
    side = sealer()
    sent = [side.seal(b"payload") for _ in range(3)]
    assert refused(opener(), b"".join(sent[i] for i in order)) == "E104"


@pytest.mark.parametrize(
    "other",
    [
        RecordSealer(SECRET, SERVER_TO_CLIENT, SESSION),
        RecordSealer(SECRET, C2S, b"j" * 16),
        RecordSealer(b"t" * 32, C2S, SESSION),
    ],
    ids=["reflected", "another session", "another key"],
)
def test_records_of_another_key_direction_or_session_are_refused(other: RecordSealer) -> None:
    assert refused(opener(), other.seal(b"payload")) == "E104"


@pytest.mark.parametrize("length", [*range(65), MAX_PAYLOAD + TAG_SIZE, MAX_PAYLOAD + TAG_SIZE + 1])
@pytest.mark.parametrize("kind", [0, DATA, REKEY, CLOSE, 4, 255])
def test_invented_record_of_any_length_is_refused(length: int, kind: int) -> None:
    assert refused(opener(), HEADER.pack(length, kind, 0, 0) + FILLER) in {"E101", "E104"}


@pytest.mark.parametrize("length", [MAX_PAYLOAD + TAG_SIZE + 1, 1 << 24, 1 << 31, (1 << 32) - 1])
def test_a_length_over_the_limit_is_refused_at_once(length: int) -> None:
    side = opener()
    assert side.feed(length.to_bytes(4, "big")[:3]) == []
    assert refused(side, length.to_bytes(4, "big")[3:]) == "E101"
    assert not side._buffer


@pytest.mark.parametrize("length", [0, 1, TAG_SIZE - 1])
def test_a_length_below_the_tag_size_is_refused_at_once(length: int) -> None:
    assert refused(opener(), length.to_bytes(4, "big")) == "E104"


def test_the_first_failure_is_final() -> None:
    side, good = opener(), sealer().seal(b"payload")
    assert refused(side, b"\xff" * 4) == "E101"
    assert refused(side, good) == "E101"
    assert refused(side, b"") == "E101"


@pytest.mark.parametrize("step", [1000, 50_000])
def test_buffer_never_holds_more_than_one_record(step: int) -> None:
    side, sender = opener(), sealer()
    stream = b"".join(sender.seal(bytes(MAX_PAYLOAD)) for _ in range(3))
    got = 0
    for start in range(0, len(stream), step):
        got += len(side.feed(stream[start : start + step]))
        assert len(side._buffer) < HEADER.size + MAX_PAYLOAD + TAG_SIZE
    assert got == 3


def test_an_incomplete_record_is_parsed_once() -> None:
    """Parsing it at every byte would let a cheap trickle of bytes cost much CPU."""
    side, record = opener(), sealer().seal(bytes(1000))
    side.feed(record[: HEADER.size])
    assert side._needed == len(record)


# -- the end


def test_close_ends_the_direction() -> None:
    sender, side = sealer(), opener()
    assert side.feed(sender.seal(b"last") + sender.close()) == [b"last"]
    assert side.closed
    assert side.feed(b"") == []
    for call in (sender.close, lambda: sender.seal(b"more")):
        with pytest.raises(ChatdError, match="E105"):
            call()


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    "more", [b"\0", b"\0\0\0\x11", sealer().seal(b"x")], ids=["byte", "length", "record"]
)
def test_anything_after_close_is_refused(more: bytes, together: bool) -> None:
    side, close = opener(), sealer().close()
    if together:
        assert refused(side, close + more) == "E104"
        return
    assert side.feed(close) == []
    assert refused(side, more) == "E104"


def test_record_after_close_is_refused_even_if_it_is_authentic() -> None:
    sender, side = sealer(), opener()
    close = sender.close()
    sender.closed = False
    assert refused(side, close + sender.seal(b"more")) == "E104"


@pytest.mark.parametrize(
    ("kind", "payload"),
    [(DATA, b""), (REKEY, b""), (REKEY, b"x"), (CLOSE, b"x"), (0, b""), (0, b"x"), (4, b"x"), (255, b"")],
    ids=str,
)
def test_authentic_but_invalid_records_are_refused(kind: int, payload: bytes) -> None:
    """Including rekeys of unused keys and empty payloads, which would cost only the receiver."""
    for used in (False, True):
        sender, side = sealer(), opener()
        if used:
            side.feed(sender.seal(b"first"))
            if (kind, payload) == (REKEY, b""):
                continue
        assert refused(side, sender._record(kind, payload, len(payload))) == "E104"
        assert not side.closed


# -- any split of the stream


def _stream() -> tuple[bytes, list[bytes]]:
    sender = sealer()
    payloads = [b"a", b"bb" * 40, bytes(300), b"\xff" * 17]
    return b"".join(sender.seal(p) for p in payloads) + sender.close(), payloads


STREAM, PAYLOADS = _stream()


def test_a_stream_is_opened_byte_by_byte() -> None:
    side = opener()
    assert [p for byte in STREAM for p in side.feed(bytes([byte]))] == PAYLOADS
    assert side.closed


@given(st.lists(st.integers(0, len(STREAM)), max_size=40))
def test_a_stream_is_opened_however_it_is_split(cuts: list[int]) -> None:
    side = opener()
    edges = [0, *sorted(cuts), len(STREAM)]
    got = [p for start, end in itertools.pairwise(edges) for p in side.feed(STREAM[start:end])]
    assert got == PAYLOADS
    assert side.closed


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_random_bytes_raise_errors_and_give_no_payload(noise: list[bytes]) -> None:
    side = opener()
    for data in noise:
        try:
            assert side.feed(data) == []
        except ChatdError as error:
            assert error.code in {"E101", "E104"}


@given(st.integers(0, len(STREAM) - 1), st.integers(1, 255), st.integers(1, 400))
def test_no_altered_byte_is_ever_delivered(position: int, mask: int, step: int) -> None:
    altered = bytearray(STREAM)
    altered[position] ^= mask
    data, side = bytes(altered), opener()
    got: list[bytes] = []
    with pytest.raises(ChatdError):
        for start in range(0, len(data), step):
            got += side.feed(data[start : start + step])
        side.feed(FILLER)
    assert got == PAYLOADS[: len(got)]
    assert not side.closed
