"""Frames: the length-prefixed JSON objects inside envelope records.

A frame is a u32 big-endian length followed by that many bytes of UTF-8 JSON holding one object. A
record carries whole frames only, so no peer ever has to keep half a frame. The reader is stricter
than JSON: no duplicate keys, no NaN, no infinity, integers within +-2**53 (what every language's JSON
library keeps exactly), bounded depth and widths. All bounds are checked on at most 64 KiB.
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
# One record's plaintext, so that a full frame still fits one record (docs/protocol.md, "Limits").
FRAME_LIMIT = 64 * 1024
PAYLOAD_LIMIT = FRAME_LIMIT - HEADER_SIZE
# Deepest frame the server sends is reply > result > list > event; requests need 2.
DEPTH_LIMIT = 8
MAP_LIMIT = 64
ARRAY_LIMIT = 1024
STRING_LIMIT = 16 * 1024
INTEGER_LIMIT = 2**53

JsonObject = dict[str, Any]


def encode(message: JsonObject) -> bytes:
    """One frame, header included. Raises ValueError when it is over `FRAME_LIMIT`: a defect of ours."""
    return frame(compact(message))


def compact(value: Any) -> bytes:
    """``value`` as JSON without blanks, in UTF-8. Raises UnicodeEncodeError for a lone surrogate.

    Reading needs more than orjson: see `_decode_flat`.
    """
    try:
        return orjson.dumps(value)
    except TypeError:  # lone surrogates, integers over 64 bits: Python's own writer knows what to say
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def frame(payload: bytes) -> bytes:
    """Put the length before an encoded JSON object."""
    if len(payload) > PAYLOAD_LIMIT:
        raise ValueError(f"frame of {len(payload)} bytes is over {PAYLOAD_LIMIT}")
    return len(payload).to_bytes(HEADER_SIZE, "big") + payload


def split(record: bytes) -> Iterator[bytes]:
    """The payloads of the frames in one record's plaintext. Raises E100 unless it holds whole frames."""
    position, end = 0, len(record)
    while position < end:
        start = position + HEADER_SIZE
        length = int.from_bytes(record[position:start], "big")
        position = start + length
        if start > end or position > end or not length:
            raise ChatdError("E100", "a record does not hold whole frames")
        yield record[start:position]


def decode(payload: bytes) -> JsonObject:
    """Read one frame's payload strictly. Raises E101 over a limit, E102 for anything but an object."""
    if len(payload) > PAYLOAD_LIMIT:
        raise ChatdError("E101", f"a frame is over {PAYLOAD_LIMIT} bytes")
    return _decode_flat(payload) or _decode_any(payload)


def _decode_flat(payload: bytes) -> JsonObject | None:
    """A request as nearly all are: short, flat, without escapes; None for anything else or wrong.

    In a quarter of the time of `_decode_any`, to which the same limits apply. orjson takes the last of
    two equal keys; without escapes each string has two quotes, so the count of quotes tells of a lost key.
    """
    brackets = payload.count(b"{") + payload.count(b"[")  # before parsing: see `_check_depth`
    if len(payload) > STRING_LIMIT or brackets > DEPTH_LIMIT or b"\\" in payload:
        return None
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None  # the other way finds words for it
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
        # Not json.loads(bytes): that guesses UTF-16/32 and lets surrogates pass.
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
    """Before parsing, because the parser recurses on the C stack: 64 KiB of "[" end the process in a
    thread with a small stack (measured: stacks of 128 KiB and less)."""
    if text.count("[") + text.count("{") <= DEPTH_LIMIT:
        return
    rest = _STRINGS.sub("", text)
    for _ in range(DEPTH_LIMIT):
        rest, innermost = _INNERMOST.subn("", rest)
        if not innermost:
            break
    if "[" in rest or "{" in rest:
        raise ChatdError("E102", f"a frame is nested deeper than {DEPTH_LIMIT}")


def _brief(error: ValueError) -> str:
    return error.msg if isinstance(error, json.JSONDecodeError) else str(error)[:80]


def _unique(pairs: list[tuple[str, Any]]) -> JsonObject:
    if len(pairs) > MAP_LIMIT:
        raise ValueError(f"an object has more than {MAP_LIMIT} keys")
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("an object has a key twice")
    return result


def _integer(digits: str) -> int:
    # 2**53 has 16 digits; the check comes first because int() is quadratic in the digits.
    if len(digits) > 17 or abs(value := int(digits)) > INTEGER_LIMIT:
        raise ValueError("an integer is over 2^53")
    return value


def _fraction(text: str) -> float:
    # Figures in stats have fractions; no request does.
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
    # A lone surrogate can be written as an escape; it could never be encoded again.
    if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
        raise ChatdError("E102", "a string has a lone surrogate")


# An unterminated string ends with the text: were it no match, each of its escaped quotes would be tried
# as a start, which is quadratic (8 s of the hub's time for one frame of 64 KiB).
_STRINGS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_INNERMOST = re.compile(r"[\[{][^\[\]{}]*[\]}]")
_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_integer, parse_float=_fraction, parse_constant=_no_constant
)
