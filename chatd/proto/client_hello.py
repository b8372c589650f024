"""Read which protocols a TLS client offers from its first bytes (RFC 8446, 4.1.2; RFC 7301).

A worker decides by them who serves the connection, before it spends anything on TLS. Nothing else is read,
and nothing is trusted: whoever terminates TLS parses the same bytes again.
"""

from __future__ import annotations

from typing import Final

_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_RECORD_HEADER: Final = 5
# A record has at most 2^14 bytes (RFC 8446, 5.1).
_RECORD_LIMIT: Final = 1 << 14
_VERSION_AND_RANDOM: Final = 2 + 32
_ALPN: Final = 16


class _Malformed(Exception):
    """The bytes are no ClientHello in one record."""


def offered_protocols(data: bytes) -> list[bytes] | None:
    """Return the protocols that a ClientHello offers with ALPN; None if more bytes are needed to tell.

    Empty for anything that is no ClientHello within one record, whatever it is.
    """
    try:
        record = _record(data)
        return None if record is None else _protocols(record)
    except _Malformed:
        return []


def _record(data: bytes) -> bytes | None:
    """Return the content of the first record; None if it is incomplete."""
    if data[:1] and data[0] != _HANDSHAKE:
        raise _Malformed
    if len(data) < _RECORD_HEADER:
        return None
    size = int.from_bytes(data[3:_RECORD_HEADER], "big")
    if not 0 < size <= _RECORD_LIMIT:
        raise _Malformed
    end = _RECORD_HEADER + size
    return None if len(data) < end else data[_RECORD_HEADER:end]


def _protocols(record: bytes) -> list[bytes]:
    if not record or record[0] != _CLIENT_HELLO:
        raise _Malformed
    hello, _ = _vector(record, 1, 3)
    _, at = _vector(hello, _VERSION_AND_RANDOM, 1)  # session id
    _, at = _vector(hello, at, 2)  # cipher suites
    _, at = _vector(hello, at, 1)  # compression methods
    extensions, _ = _vector(hello, at, 2)
    at = 0
    while at < len(extensions):
        kind = int.from_bytes(extensions[at : at + 2], "big")
        content, at = _vector(extensions, at + 2, 2)
        if kind == _ALPN:
            return _names(content)
    return []


def _names(content: bytes) -> list[bytes]:
    listed, _ = _vector(content, 0, 2)
    names, at = [], 0
    while at < len(listed):
        name, at = _vector(listed, at, 1)
        names.append(name)
    return names


def _vector(data: bytes, at: int, length_bytes: int) -> tuple[bytes, int]:
    """Return the vector at ``at`` with a length of so many bytes before it, and where it ends."""
    start = at + length_bytes
    if start > len(data):
        raise _Malformed
    end = start + int.from_bytes(data[at:start], "big")
    if end > len(data):
        raise _Malformed
    return data[start:end], end
