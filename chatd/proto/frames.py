"""Frames: the length-prefixed JSON objects inside envelope records.

A frame is a u32 big-endian length and that many bytes of UTF-8 JSON, one object. A record carries whole
frames only, so no peer has to buffer part of a frame. Decoding is stricter than JSON: no duplicate keys, no
NaN or infinity, integers within +-2**53 (exact in every language's JSON library), bounded depth and width.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from chatd.errors import ChatdError

HEADER_SIZE = 4
# The plaintext of one record: every frame fits a record.
FRAME_LIMIT = 64 * 1024
PAYLOAD_LIMIT = FRAME_LIMIT - HEADER_SIZE
# The deepest frame is a reply: reply > result > list > event. Requests need 2.
DEPTH_LIMIT = 8
MAP_LIMIT = 64
ARRAY_LIMIT = 1024
STRING_LIMIT = 32 * 1024
INTEGER_LIMIT = 2**53

JsonObject = dict[str, Any]


def encode(message: JsonObject) -> bytes:
    """Encode one frame, header included. Raises ValueError over `FRAME_LIMIT`: a defect of the caller."""
    return frame(compact(message))


def compact(value: Any) -> bytes:
    """Encode ``value`` as UTF-8 JSON without whitespace. Raises UnicodeEncodeError for a lone surrogate."""
    try:
        return orjson.dumps(value)
    except TypeError:  # lone surrogates, integers over 64 bits: the json module handles or reports them
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def frame(payload: bytes) -> bytes:
    """Put the length before an encoded JSON object."""
    if len(payload) > PAYLOAD_LIMIT:
        raise ValueError(f"frame of {len(payload)} bytes is over {PAYLOAD_LIMIT}")
    return len(payload).to_bytes(HEADER_SIZE, "big") + payload


def split(record: bytes) -> Iterator[bytes]:
    """Yield the payload of each frame in a record's plaintext. Raises E100 unless it holds whole frames."""
    position, end = 0, len(record)
    while position < end:
        start = position + HEADER_SIZE
        length = int.from_bytes(record[position:start], "big")
        position = start + length
        if start > end or position > end or not length:
            raise ChatdError("E100", "a record does not hold whole frames")
        yield record[start:position]


def decode(payload: bytes) -> JsonObject:
    """Decode one frame's payload strictly. Raises E101 over a limit, E102 for anything but an object."""
    if len(payload) > PAYLOAD_LIMIT:
        raise ChatdError("E101", f"a frame is over {PAYLOAD_LIMIT} bytes")
    return _decode_flat(payload) or _decode_any(payload)


def _decode_flat(payload: bytes) -> JsonObject | None:
    """Decode a short, flat object without escapes, as nearly all requests are; return None for all others.

    Takes a quarter of the time of `_decode_any` and enforces the same limits. orjson keeps only the last of
    two equal keys. Without escapes each string has two quotes, so counting quotes reveals a dropped key.
    """
    brackets = payload.count(b"{") + payload.count(b"[")  # before parsing, see `_check_depth`
    if len(payload) > STRING_LIMIT or brackets > DEPTH_LIMIT or b"\\" in payload:
        return None
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None  # `_decode_any` reports the error
    if type(value) is not dict or len(value) > MAP_LIMIT:
        return None
    strings = len(value)
    for item in value.values():
        kind = type(item)
        if kind is str:
            strings += 1
        elif kind is int:
            if not -INTEGER_LIMIT <= item <= INTEGER_LIMIT:
                return None
        elif kind is not bool and item is not None:
            return None
    return value if payload.count(b'"') == 2 * strings else None


def _decode_any(payload: bytes) -> JsonObject:
    try:
        # Not json.loads(bytes): it guesses UTF-16 and UTF-32 and accepts surrogates.
        text = payload.decode("utf-8")
        _check_depth(text)
        value = _DECODER.decode(text)
    except UnicodeDecodeError:
        raise ChatdError("E102", "a frame is not valid UTF-8") from None
    except ValueError as error:
        raise ChatdError("E102", f"a frame is not valid JSON: {_brief(error)}") from None
    if not isinstance(value, dict):
        raise ChatdError("E102", "a frame is not a JSON object")
    _check_bounds(value)
    return value


def _check_depth(text: str) -> None:
    """Raises E102 over `DEPTH_LIMIT`. Must run before parsing: the parser recurses on the C stack, and
    64 KiB of "[" crash a thread whose stack has 128 KiB or less."""
    if text.count("[") + text.count("{") <= DEPTH_LIMIT:
        return
    brackets = _STRINGS.sub("", text)
    for _ in range(DEPTH_LIMIT):
        brackets, removed = _INNERMOST.subn("", brackets)
        if not removed:
            break
    if "[" in brackets or "{" in brackets:
        raise ChatdError("E102", f"a frame is nested deeper than {DEPTH_LIMIT}")


def _brief(error: ValueError) -> str:
    return error.msg if isinstance(error, json.JSONDecodeError) else str(error)[:80]


def _unique(pairs: list[tuple[str, Any]]) -> JsonObject:
    if len(pairs) > MAP_LIMIT:
        raise ValueError(f"an object has more than {MAP_LIMIT} keys")
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("an object has a duplicate key")
    return result


def _integer(digits: str) -> int:
    # 2**53 has 16 digits. Check the length first: int() is quadratic in the number of digits.
    if len(digits) > 17 or abs(value := int(digits)) > INTEGER_LIMIT:
        raise ValueError("an integer is over 2^53")
    return value


def _fraction(text: str) -> float:
    # Only stats have fractions; no request does.
    if len(text) > 32 or not math.isfinite(value := float(text)):
        raise ValueError("a number is out of range")
    return value


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _check_bounds(value: JsonObject | list[Any]) -> None:
    items: Iterable[Any] = value
    if isinstance(value, dict):
        for key in value:
            _check_string(key)
        items = value.values()
    elif len(value) > ARRAY_LIMIT:
        raise ChatdError("E101", f"an array has more than {ARRAY_LIMIT} items")
    for item in items:
        if isinstance(item, str):
            _check_string(item)
        elif isinstance(item, dict | list):
            _check_bounds(item)


def _check_string(text: str) -> None:
    if len(text) > STRING_LIMIT:
        raise ChatdError("E101", f"a string is over {STRING_LIMIT} characters")
    # JSON escapes can express a lone surrogate, which could not be encoded again.
    if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
        raise ChatdError("E102", "a string has a lone surrogate")


# Also matches an unterminated string. Otherwise each of its escaped quotes would be tried as the start of
# a string, which is quadratic: 8 s of CPU for one frame of 64 KiB.
_STRINGS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_INNERMOST = re.compile(r"[\[{][^\[\]{}]*[\]}]")
_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_integer, parse_float=_fraction, parse_constant=_no_constant
)
