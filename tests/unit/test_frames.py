"""Frames: completeness, strict JSON, all limits."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd.errors import ChatdError
from chatd.proto import frames
from chatd.proto.frames import decode, encode, frame, split
from chatd.proto.unsealed import PlainOpener, PlainSealer


def code_of(payload: bytes) -> str:
    with pytest.raises(ChatdError) as caught:
        decode(payload)
    return caught.value.code


def nested(depth: int) -> bytes:
    """An object with nesting depth ``depth``."""
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def keys(count: int) -> bytes:
    return json.dumps({f"k{n}": 0 for n in range(count)}).encode()


AT_LIMIT = {
    "payload": b'{"a":1}'.ljust(frames.PAYLOAD_LIMIT),
    "depth": nested(8),
    "depth in a string": b'{"a":"' + b"[{" * 5000 + b'"}',
    "depth after an escaped quote": b'{"a":"\\"' + b"[" * 100 + b'"}',
    "map": keys(64),
    "array": b'{"a":[' + b"0," * 1023 + b"0]}",
    "string": b'{"a":"' + b"x" * 32768 + b'"}',
    "key": b'{"' + b"x" * 32768 + b'":1}',
    "integer": b'{"a":%d,"b":-%d}' % (2**53, 2**53),
    "fraction": b'{"a":1.5e3}',
    "pair of surrogates": b'{"a":"\\ud83d\\ude00"}',
}
OVER: dict[str, tuple[bytes, str]] = {
    "payload": (b'{"a":1}'.ljust(frames.PAYLOAD_LIMIT + 1), "E101"),
    "depth": (nested(9), "E102"),
    "map": (keys(65), "E102"),
    "inner map": (b'{"a":[' + keys(65) + b"]}", "E102"),
    "array": (b'{"a":[' + b"0," * 1024 + b"0]}", "E101"),
    "string": (b'{"a":"' + b"x" * 32769 + b'"}', "E101"),
    "key": (b'{"' + b"x" * 32769 + b'":1}', "E101"),
    "integer": (b'{"a":%d}' % (2**53 + 1), "E102"),
    "negative integer": (b'{"a":-%d}' % (2**53 + 1), "E102"),
    "integer 2^63": (b'{"a":%d}' % 2**63, "E102"),
    "integer of 60,000 digits": (b'{"a":' + b"9" * 60_000 + b"}", "E102"),
    "fraction out of range": (b'{"a":1e999}', "E102"),
    "long fraction": (b'{"a":0.' + b"1" * 40 + b"}", "E102"),
    "NaN": (b'{"a":NaN}', "E102"),
    "infinity": (b'{"a":-Infinity}', "E102"),
    "key twice": (b'{"a":1,"a":1}', "E102"),
    "key twice, escaped": (b'{"a":1,"\\u0061":2}', "E102"),
    "inner key twice": (b'{"o":{"a":1,"a":1}}', "E102"),
    "trailing bytes": (b"{}x", "E102"),
    "two objects": (b"{}{}", "E102"),
    "array at the top": (b"[]", "E102"),
    "null": (b"null", "E102"),
    "empty": (b"", "E102"),
    "byte order mark": (b"\xef\xbb\xbf{}", "E102"),
    "UTF-16": ("{}".encode("utf-16-le"), "E102"),
    "invalid UTF-8": (b'{"a":"\xff"}', "E102"),
    "overlong UTF-8": (b'{"a":"\xc0\x80"}', "E102"),
    "surrogate in UTF-8": (b'{"a":"\xed\xa0\x80"}', "E102"),
    "lone surrogate": (b'{"a":"\\ud800"}', "E102"),
    "lone surrogate in a key": (b'{"\\udfff":1}', "E102"),
    "NUL in a string": (b'{"a":"\x00"}', "E102"),
    "comment": (b"{/**/}", "E102"),
}


@pytest.mark.parametrize("name", AT_LIMIT)
def test_a_payload_at_a_limit_is_accepted(name: str) -> None:
    assert decode(AT_LIMIT[name]) == json.loads(AT_LIMIT[name])


@pytest.mark.parametrize("name", OVER)
def test_a_payload_over_a_limit_is_refused(name: str) -> None:
    payload, code = OVER[name]
    assert code_of(payload) == code


def test_errors_do_not_quote_the_payload() -> None:
    with pytest.raises(ChatdError) as caught:
        decode(b'{"a": secret}')
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "bomb",
    [
        b"[" * frames.PAYLOAD_LIMIT,
        b'{"a":' * (frames.PAYLOAD_LIMIT // 5),
        b"[" * 32_000 + b"]" * 32_000,
        b"[{" * 16_000,
        # A naive pattern would try each quote as the start of an unterminated string: quadratic time.
        b"[" * 9 + b'"' + b'\\"' * 32_000,
        b"[" * 9 + b'"' * 60_001,
        b"[" * 9 + b'"' + b"\\" * 60_001,
    ],
    ids=lambda bomb: repr(bomb[:12]),
)
def test_deep_nesting_does_not_overflow_a_small_stack(bomb: bytes) -> None:
    codes: list[str] = []
    old = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=lambda: codes.append(code_of(bomb)))
        thread.start()
    finally:
        threading.stack_size(old)
    thread.join()
    assert codes == ["E102"]


PAIRS = st.text('[]{}":,\\0-9eE.ntrufalse \ud83d\u202e\x00a', max_size=60)


@given(st.one_of(st.binary(max_size=200), PAIRS.map(lambda t: t.encode("utf-8", "surrogatepass"))))
def test_decode_returns_an_object_or_raises(payload: bytes) -> None:
    try:
        value = decode(payload)
    except ChatdError as error:
        assert error.code in ("E101", "E102")
    else:
        assert isinstance(value, dict)
        assert decode(encode(value)[frames.HEADER_SIZE :]) == value


BLANKS = st.sampled_from(["", " ", "\n"])
ITEMS = st.tuples(
    BLANKS,
    st.sampled_from(["a", "b", "", "\\u0061"]),
    BLANKS,
    BLANKS,
    st.sampled_from(
        ["1", "-0", '"b"', '":"', '"x\\""', "null", "true", "1.5", "[]", '{"a":"b"}', str(2**53 + 1)]
    ),
)
FLAT = st.lists(ITEMS, max_size=5).map(
    lambda items: ("{" + ",".join(f'{b}"{k}"{c}:{d}{v}' for b, k, c, d, v in items) + "}").encode()
)


@given(st.one_of(FLAT, PAIRS.map(lambda t: t.encode("utf-8", "surrogatepass"))))
def test_the_fast_decoder_accepts_no_more_than_the_strict_one(payload: bytes) -> None:
    value = frames._decode_flat(payload)
    if value is not None:
        assert json.dumps(value) == json.dumps(frames._decode_any(payload))


def test_the_fast_decoder_accepts_a_message() -> None:
    assert frames._decode_flat('{"type":"send","id":1,"to":"#lobby","body":"[grüße] {x}: \'y\'"}'.encode())


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS


@given(st.lists(st.dictionaries(TEXTS, SCALARS | st.lists(SCALARS), max_size=5), max_size=4))
def test_encoded_messages_are_decoded_again(messages: list[dict[str, Any]]) -> None:
    record = b"".join(encode(message) for message in messages)
    assert [decode(payload) for payload in split(record)] == messages


def test_a_frame_is_limited_to_its_size() -> None:
    largest = frame(b"x" * frames.PAYLOAD_LIMIT)
    assert len(largest) == frames.FRAME_LIMIT
    assert list(split(largest)) == [b"x" * frames.PAYLOAD_LIMIT]
    with pytest.raises(ValueError, match="is over"):
        frame(b"x" * (frames.PAYLOAD_LIMIT + 1))


@pytest.mark.parametrize("length", [0, 3, 2**31 - 1, 2**31, 2**32 - 1])
def test_a_wrong_length_is_refused(length: int) -> None:
    with pytest.raises(ChatdError) as caught:
        list(split(length.to_bytes(4, "big") + b"{}"))
    assert caught.value.code == "E100"


@pytest.mark.parametrize("cut", range(1, 14))
def test_an_incomplete_frame_is_refused(cut: int) -> None:
    record = encode({"a": 1}) + encode({"b": 2})
    assert len(record) == 22
    if cut != 11:
        with pytest.raises(ChatdError):
            list(split(record[:cut]))


def test_an_empty_record_has_no_frames() -> None:
    assert list(split(b"")) == []


def test_plain_records_are_reassembled_from_single_bytes() -> None:
    sealer, opener = PlainSealer(), PlainOpener()
    stream = sealer.seal(b"one") + sealer.seal(b"x" * frames.FRAME_LIMIT) + sealer.close()
    payloads = opener.feed(stream[:1])
    for position in range(1, 20):
        payloads += opener.feed(stream[position : position + 1])
    payloads += opener.feed(stream[20:])
    assert payloads == [b"one", b"x" * frames.FRAME_LIMIT]
    assert opener.closed


@pytest.mark.parametrize("length", [frames.FRAME_LIMIT + 1, 2**31 - 1, 2**32 - 1])
def test_a_plain_record_over_the_limit_is_refused_by_its_header(length: int) -> None:
    with pytest.raises(ChatdError) as caught:
        PlainOpener().feed(length.to_bytes(4, "big"))
    assert caught.value.code == "E101"


def test_plain_data_after_the_close_is_refused() -> None:
    opener = PlainOpener()
    assert opener.feed(bytes(4)) == []
    with pytest.raises(ChatdError) as caught:
        opener.feed(PlainSealer().seal(b"more"))
    assert caught.value.code == "E100"
