"""Vectors that must be refused, and samples of frames and identity files.

``python -m tests.vectors.samples`` writes negative.json, frames.json and identity.json. The expected results
stand here, from docs/protocol.md; tests/unit/test_published_samples.py tries them.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.vectors.reference import VECTORS

FOLDER = Path(__file__).parent
NEGATIVE, FRAMES, IDENTITIES = (FOLDER / f"{name}.json" for name in ("negative", "frames", "identity"))

_ENVELOPE: dict[str, Any] = json.loads(VECTORS.read_text("ascii"))
_M = {name: bytes.fromhex(_ENVELOPE["outputs"]["handshake"][name]) for name in ("m1", "m2", "m3", "m4")}
_C2S, _S2C = (
    [bytes.fromhex(item["record"]) for item in _ENVELOPE["outputs"]["records"][direction]]
    for direction in ("c2s", "s2c")
)
Case = dict[str, Any]


def flip(data: bytes, at: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def put(data: bytes, at: int, new: str) -> bytes:
    raw = bytes.fromhex(new)
    return data[:at] + raw + data[at + len(raw) :]


def _to_server() -> Iterator[tuple[str, tuple[bytes, ...], str, str]]:
    """Yield name, bodies that the server gets, the one at which it stops, and the code."""
    m1, m3 = _M["m1"], _M["m3"]
    yield "m1: magic", (put(m1, 0, "43484432"),), "m1", "E104"
    yield "m1: version 2", (put(m1, 4, "0002"),), "m1", "E107"
    yield "m1: suite 2", (put(m1, 6, "0002"),), "m1", "E107"
    yield "m1: client_random", (flip(m1, 8), m3), "m3", "E104"
    yield "m1: X25519_c", (flip(m1, 40), m3), "m3", "E104"
    yield (
        "m1: highest bit of X25519_c, which X25519 ignores",
        (put(m1, 71, f"{m1[71] ^ 0x80:02x}"), m3),
        "m3",
        "E104",
    )
    yield "m1: X25519_c of zeros", (put(m1, 40, "00" * 32), m3), "m3", "E104"
    yield "m1: one byte short", (m1[:-1],), "m1", "E104"
    yield "m1: one byte long", (m1 + b"\x00",), "m1", "E104"
    yield "m3: first byte of ct", (m1, flip(m3, 0)), "m3", "E104"
    yield "m3: ct of zeros", (m1, put(m3, 0, "00" * (len(m3) - 32))), "m3", "E104"
    yield "m3: ct above the modulus", (m1, put(m3, 0, "ff" * (len(m3) - 32))), "m3", "E104"
    yield "m3: fin_C", (m1, flip(m3, -1)), "m3", "E104"
    yield "m3: one byte short", (m1, m3[:-1]), "m3", "E104"
    yield "m3: one byte long", (m1, m3 + b"\x00"), "m3", "E104"
    yield "m3: m1 again", (m1, m1), "m3", "E104"


def _to_client() -> Iterator[tuple[str, tuple[bytes, ...], str, str]]:
    m2, m4 = _M["m2"], _M["m4"]
    yield "m2: version 2", (put(m2, 0, "0002"),), "m2", "E107"
    yield "m2: suite 2", (put(m2, 2, "0002"),), "m2", "E107"
    yield "m2: only another version and suite", (bytes.fromhex("00020001"),), "m2", "E107"
    yield "m2: only version and suite", (m2[:4],), "m2", "E104"
    yield "m2: server_random", (flip(m2, 4), m4), "m4", "E104"
    yield "m2: X25519_s", (flip(m2, 36), m4), "m4", "E104"
    yield "m2: X25519_s of zeros", (put(m2, 36, "00" * 32),), "m2", "E104"
    yield "m2: session_id", (flip(m2, 68), m4), "m4", "E104"
    yield "m2: max_frame 65535", (put(m2, 84, "0000ffff"), m4), "m4", "E104"
    yield "m2: max_frame 0", (put(m2, 84, "00000000"),), "m2", "E104"
    yield "m2: max_frame 65537", (put(m2, 84, "00010001"),), "m2", "E104"
    yield "m2: signature of the certificate", (flip(m2, -1),), "m2", "E209"
    yield "m2: no certificate", (m2[:88],), "m2", "E104"
    yield "m4: fin_S", (m2, flip(m4, 0)), "m4", "E104"
    yield "m4: one byte short", (m2, m4[:-1]), "m4", "E104"
    yield "m4: one byte long", (m2, m4 + b"\x00"), "m4", "E104"
    yield "m4: m3 again", (m2, _M["m3"]), "m4", "E104"


def _records() -> Iterator[tuple[str, bytes, str]]:
    """Yield name, all bytes that the server gets after the handshake, and the code of its bye."""
    first, second, rekey = _C2S[:3]
    yield "length: 15", put(first, 0, "0000000f"), "E104"
    yield "length: over 65552", put(first, 0, "00010011"), "E100"
    yield "length: one less", put(first, 0, f"{len(first) - 16:08x}"), "E104"
    yield "type: close instead of data", put(first, 4, "03"), "E104"
    yield "type: 4", put(first, 4, "04"), "E104"
    yield "epoch: 1", put(first, 5, "0001"), "E104"
    yield "seq: 1", put(first, 7, f"{1:016x}"), "E104"
    yield "ciphertext", flip(first, 15), "E104"
    yield "tag", flip(first, -1), "E104"
    yield "a record twice", first + first, "E104"
    yield "a record left out", second, "E104"
    yield "a rekey record left out", b"".join(_C2S[:2] + _C2S[3:4]), "E104"
    yield "a rekey record after one data record, not two", first + rekey, "E104"
    yield "the server's own record", _S2C[0], "E104"
    yield "a record after the close record", b"".join([*_C2S, first]), "E104"


def negative() -> dict[str, list[Case]]:
    sides: dict[str, list[Case]] = {}
    for side, cases in (("server", _to_server()), ("client", _to_client())):
        sides[f"{side}_receives"] = [
            {"case": case, "bodies": [body.hex() for body in bodies], "refused_at": at, "code": code}
            for case, bodies, at, code in cases
        ]
    sides["server_receives_records"] = [
        {"case": case, "bytes": data.hex(), "bye": code} for case, data, code in _records()
    ]
    return sides


_SEND = '{"type":"send","id":7,"msg_id":"9f0c6e0d2f7b4c0c8f3f6d1e5a7b8c90","to":"#lobby","body":"%s"}'
# Case -> JSON text of one request, and the code of the reply; None if it is accepted.
_REQUESTS: dict[str, tuple[str | bytes, str | None]] = {
    "a request": ('{"type":"ping","id":1}', None),
    "spaces, another order of keys": (' {"id": 1, "type": "ping"} ', None),
    "the largest id": ('{"type":"ping","id":9007199254740992}', None),
    "a message in UTF-8": (_SEND % "Grüße, 世界 🙂", None),
    "the same message with escapes": (_SEND % r"Gr\u00fc\u00dfe, \u4e16\u754c \ud83d\ude42", None),
    "an optional field that is null": ('{"type":"resume","id":1,"after":null}', None),
    "an optional field that is absent": ('{"type":"resume","id":1}', None),
    "a key twice": ('{"type":"ping","id":1,"id":1}', "E102"),
    "NaN": ('{"type":"resume","id":1,"after":NaN}', "E102"),
    "2^53 + 1": ('{"type":"resume","id":1,"after":9007199254740993}', "E102"),
    "a lone surrogate": (_SEND % r"\ud83d", "E102"),
    "text after the object": ('{"type":"ping","id":1}x', "E102"),
    "an array": ('["ping",1]', "E102"),
    "a byte order mark": (b'\xef\xbb\xbf{"type":"ping","id":1}', "E102"),
    "not UTF-8": (b'{"type":"ping","id":1,"x":"\xff"}', "E102"),
    "depth 9": ('{"type":"ping","id":1,"x":%s}' % ("[" * 8 + "]" * 8), "E102"),
    "an unknown key": ('{"type":"ping","id":1,"x":1}', "E102"),
    "an id of 0": ('{"type":"ping","id":0}', "E102"),
    "no id": ('{"type":"ping"}', "E102"),
    "a string for an integer": ('{"type":"resume","id":1,"after":"5"}', "E102"),
    "a fraction for an integer": ('{"type":"resume","id":1,"after":5.0}', "E102"),
    "a msg_id in capitals": (_SEND.replace("9f0c", "9F0C") % "x", "E102"),
    "an unknown type": ('{"type":"dance","id":1}', "E103"),
}
# Case -> plaintext of a record that ends the connection with E100.
_BROKEN_RECORDS = {
    "a frame of length 0": "00000000",
    "half a length": "000000",
    "half a frame": "000000167b22",
    "a byte after the frame": "000000167b2274797065223a2270696e67222c226964223a317d00",
}
# Case -> JSON text of one frame from the server, and whether a client ignores it.
_EVENTS = {
    "a reply": ('{"type":"ok","id":1,"result":{"events":[],"cursor":7,"more":false}}', False),
    "an unknown key": ('{"type":"slowed","seconds":3,"newer":[1,{}]}', False),
    "an unknown type": ('{"type":"newer","seq":8,"at":1795471721042,"room":"#lobby"}', True),
    "a bye": ('{"type":"bye","code":"E502","reason":"the server is stopping","fix":"","retry":true}', False),
}


def framed(text: str | bytes) -> str:
    data = text.encode() if isinstance(text, str) else text
    return (len(data).to_bytes(4, "big") + data).hex()


def frames() -> dict[str, list[Case]]:
    two = framed('{"type":"ping","id":1}') + framed('{"type":"ping","id":2}')
    return {
        "requests": [
            {"case": case, "frame": framed(text), "code": code} for case, (text, code) in _REQUESTS.items()
        ],
        "records": [
            {"case": "two frames", "plaintext": two, "frames": 2, "bye": None},
            *(
                {"case": case, "plaintext": plain, "frames": None, "bye": "E100"}
                for case, plain in _BROKEN_RECORDS.items()
            ),
        ],
        "from_server": [
            {"case": case, "frame": framed(text), "ignored": ignored}
            for case, (text, ignored) in _EVENTS.items()
        ],
    }


_NAMES = "instance: lab\nuser: bob\ndevice: laptop\n"
_HEADER = f"schema: 1\n{_NAMES}"
_BLOCKS = "KEY CERTIFICATE CA"
# Case -> header, blocks, and the servers that a reader finds; None if it refuses the file.
_FILES: dict[str, tuple[str, str, list[str] | None]] = {
    "as the server writes it": (_HEADER + "server: 192.0.2.7:5000\n", _BLOCKS, ["192.0.2.7:5000"]),
    "two servers, one IPv6": (
        _HEADER + "server: [2001:db8::7]:5000\nserver: chat.example.org:443\n",
        _BLOCKS,
        ["[2001:db8::7]:5000", "chat.example.org:443"],
    ),
    "no server": (_HEADER, _BLOCKS, []),
    "header lines in another order": (_NAMES + "schema: 1\n", _BLOCKS, []),
    "a byte order mark and CR LF": ("\ufeff" + _HEADER.replace("\n", "\r\n"), _BLOCKS, []),
    "blocks in another order": (_HEADER, "CA CERTIFICATE KEY", []),
    "an unknown line": (_HEADER + "colour: blue\n", _BLOCKS, None),
    "a line twice": (_HEADER + "user: bob\n", _BLOCKS, None),
    "no space after the colon": (_HEADER.replace(": lab", ":lab"), _BLOCKS, None),
    "a newer schema": (_HEADER.replace("schema: 1", "schema: 2"), _BLOCKS, None),
    "another user than in the certificate": (_HEADER.replace("bob", "eve"), _BLOCKS, None),
    "a server without a port": (_HEADER + "server: 192.0.2.7\n", _BLOCKS, None),
    "17 servers": (_HEADER + "server: h:1\n" * 17, _BLOCKS, None),
    "no CA": (_HEADER, "KEY CERTIFICATE", None),
    "no key": (_HEADER, "CERTIFICATE CA", None),
}


def identity_file(header: str, order: str, blocks: dict[str, str]) -> str:
    return header + "".join(blocks[name] for name in order.split())


def identities() -> dict[str, Any]:
    """Samples with new keys and certificates."""
    from tests.support.certificates import make_world

    with tempfile.TemporaryDirectory() as folder:
        path = make_world(Path(folder)).identity.path
        pem = path.read_text("ascii").partition("-----BEGIN ")
    key, certificate, ca = (f"-----BEGIN {block}" for block in (pem[1] + pem[2]).split("-----BEGIN ")[1:])
    blocks = {"KEY": key, "CERTIFICATE": certificate, "CA": ca}
    files = [
        {"case": case, "file": identity_file(header, order, blocks), "servers": servers}
        for case, (header, order, servers) in _FILES.items()
    ]
    return {"instance": "lab", "user": "bob", "device": "laptop", "files": files}


def main() -> None:
    for path, made in ((NEGATIVE, negative()), (FRAMES, frames()), (IDENTITIES, identities())):
        path.write_text(json.dumps(made, indent=1) + "\n", "ascii")


if __name__ == "__main__":
    main()
