"""Frames in the browser are those of the server: the same bytes, the same limits."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from chatd.proto import frames
from tests.support.browser import Modules

ENCODE = """
const { encode } = await load("wire.js");
return given.map((frame) => {
  try { return btoa(String.fromCharCode(...encode(frame))); } catch (error) { return error.code; }
});
"""
SPLIT = """
const { split } = await load("wire.js");
return given.map((message) => {
  const bytes = Uint8Array.from(atob(message), (c) => c.charCodeAt(0));
  try { return split(bytes.buffer); } catch (error) { return error.code ?? String(error); }
});
"""
STREAM = """
const { FrameBuffer } = await load("wire.js");
const buffer = new FrameBuffer();
const bytes = Uint8Array.from(atob(given), (c) => c.charCodeAt(0));
const found = [];
for (let at = 0; at < bytes.length; at += 3) found.push(...buffer.push(bytes.slice(at, at + 3).buffer));
return found;
"""


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _frame(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


def test_frames_have_the_bytes_that_the_server_reads(shared_modules: Modules) -> None:
    sent: list[dict[str, Any]] = [
        {"type": "ping", "id": 1},
        {"type": "send", "id": 2**53, "body": "söme \U0001f600 text \x1b\u202e"},
        {"type": "x", "__proto__x": {"a": [1, None, True]}},
    ]
    received = [base64.b64decode(text) for text in shared_modules.run(ENCODE, sent)]
    for frame, data in zip(sent, received, strict=True):
        (body,) = frames.split(data)
        assert frames.decode(body) == frame


def test_what_no_server_accepts_is_refused_before_it_is_sent(shared_modules: Modules) -> None:
    too_long = {"type": "send", "body": "x" * frames.FRAME_LIMIT}
    fits = {"type": "send", "body": "x" * (frames.FRAME_LIMIT - 100)}
    assert shared_modules.run(ENCODE, [too_long]) == ["E401"]
    assert shared_modules.run(ENCODE, [fits])[0] != "E401"
    told = shared_modules.run("""
        const { encode } = await load("wire.js");
        try { encode({ a: ["\\ud800"] }); } catch (error) { return error.code; }
    """)
    assert told == "E402"


def test_a_message_of_several_frames_is_split(shared_modules: Modules) -> None:
    wanted = [{"type": "a"}, {"type": "b", "text": "ü"}, {"type": "c", "n": [1, 2]}]
    message = b"".join(_frame(json.dumps(one).encode()) for one in wanted)
    assert shared_modules.run(SPLIT, [_base64(message)]) == [wanted]
    assert shared_modules.run(STREAM, _base64(message)) == wanted


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"\x00\x00\x00", "E100"),
        (_frame(b"{}")[:-1], "E100"),
        (b"\xff\xff\xff\xff{}", "E101"),
        (_frame(b"[]"), "E102"),
        (_frame(b"{"), "E102"),
        (_frame(b'{"a":"\xff"}'), "E102"),
        (_frame(b'{"a":9007199254740994}'), "E102"),
        (_frame(b'{"a":' * 9 + b"1" + b"}" * 9), "E102"),
        (_frame(json.dumps({str(n): 0 for n in range(65)}).encode()), "E102"),
        (_frame(json.dumps({"a": [0] * 1025}).encode()), "E102"),
    ],
    ids=["cut-head", "cut", "long", "array", "junk", "not-utf8", "number", "deep", "keys", "items"],
)
def test_malformed_messages_are_refused(shared_modules: Modules, message: bytes, code: str) -> None:
    assert shared_modules.run(SPLIT, [_base64(message)]) == [code]
