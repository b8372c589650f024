"""Choices, texts and JSON values made from a fuzzer's bytes.

The same bytes always give the same choices, so a crash file reproduces a failure without the fuzzer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from tests.support.hostile import TEXTS

T = TypeVar("T")

# One byte is one character: the fuzzer reaches hostile characters as easily as letters.
_SHARP = (
    "\n\r\t\0\x07\x08\x0b\x1b\x7f\x80\x85\x9b\xa0\xad\u034f\u0301\u0300\u0e47\u093e\u094d\u0915\u0640\u0627"
    "\u115f\u1160\u200b\u200c\u200d\u200e\u2028\u2029\u202e\u2066\u2069\u2800\u20e3\u3000\u3164\ufe00\ufe0f"
    "\ufeff\uff21\uff0a\uffa0\ufffe\ud800\udfff\ue000\u0130\u0131\u01c5\u00df\ufb01\u1e9e\u212a\u03a3\u03c2"
    "\u2764\u65e5\u1100\u1161\uac00\U0001f1e6\U0001f3fb\U0001f469\U0001f680\U000e0041\U000e0101\U00016fe4"
)
_PLAIN = "".join(map(chr, range(0x20, 0x7F)))
ALPHABET = (_PLAIN + _SHARP)[:255]
_ANY = 255  # the next three bytes are a code point
_INTEGERS = (0, 1, -1, 2, 7, 255, 2**31, 2**53, 2**53 + 1, -(2**53), 2**63, 2**64, 10**17)


def encode_text(text: str) -> bytes:
    """Return the bytes that `ByteSource.rest_of_text` turns into ``text``."""
    places = (ALPHABET.find(character) for character in text)
    return b"".join(
        bytes([_ANY]) + ord(character).to_bytes(3, "big") if place < 0 else bytes([place])
        for place, character in zip(places, text, strict=True)
    )


def decode_text(data: bytes) -> str:
    """Map bytes to characters: an index of `ALPHABET`, or 255 and a code point."""
    shown: list[str] = []
    index = 0
    while index < len(data):
        byte = data[index]
        if byte == _ANY:
            shown.append(chr(int.from_bytes(data[index + 1 : index + 4], "big") % 0x110000))
            index += 4
        else:
            shown.append(ALPHABET[byte % len(ALPHABET)])
            index += 1
    return "".join(shown)


class ByteSource:
    """Reads choices from ``data``; gives zeros and empty strings once it is used up."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    @property
    def left(self) -> int:
        """The bytes that are not used yet."""
        return len(self._data) - self._place

    def take(self, size: int) -> bytes:
        """Return the next ``size`` bytes, or what is left."""
        start, self._place = self._place, min(self._place + size, len(self._data))
        return self._data[start : self._place]

    def rest(self) -> bytes:
        return self.take(self.left)

    def byte(self) -> int:
        piece = self.take(1)
        return piece[0] if piece else 0

    def below(self, limit: int) -> int:
        """Return a number 0 <= n < ``limit``; 0 for an empty range."""
        size = max(1, (limit.bit_length() + 7) // 8)
        return int.from_bytes(self.take(size), "big") % limit if limit > 0 else 0

    def choice(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]

    def blob(self, limit: int = 255) -> bytes:
        """Return up to ``limit`` bytes, after a byte with their number."""
        return self.take(self.byte() % (limit + 1))

    def text(self, limit: int = 255) -> str:
        """Return a text of up to ``limit`` bytes; sometimes a hostile one."""
        length = self.byte()
        if length == _ANY:
            return self.choice(tuple(TEXTS.values()))
        return decode_text(self.take(length % (limit + 1)))

    def rest_of_text(self) -> str:
        return decode_text(self.rest())

    def pieces(self, data: bytes) -> list[bytes]:
        """Cut ``data`` at random places; empty pieces may occur."""
        found: list[bytes] = []
        while data and self.left and len(found) < 64:
            size = self.below(len(data) + 1)
            found.append(data[:size])
            data = data[size:]
        return [*found, data]

    def altered(self, data: bytes) -> bytes:
        """Make up to four changes to ``data``: flip bits, cut, insert, repeat."""
        changed = bytearray(data)
        for _ in range(self.below(5)):
            kind, place = self.below(5), self.below(len(changed) + 1)
            if kind == 0 and changed:
                changed[place % len(changed)] ^= 1 << self.below(8)
            elif kind == 1:
                del changed[place : place + self.below(64)]
            elif kind == 2:
                changed[place:place] = self.blob(64)
            elif kind == 3:
                changed[place:place] = changed[place : place + self.below(256)]
            else:
                piece = self.blob(16)
                changed[place : place + len(piece)] = piece
        return bytes(changed)

    def value(self, depth: int = 3) -> Any:
        """Return any JSON value."""
        kind = self.below(9 if depth else 7)
        if kind < 2:
            return (None, self.byte() & 1 == 1)[kind]
        if kind < 4:
            return self.choice(_INTEGERS) if kind == 2 else self.below(2**16)
        if kind == 4:
            return self.choice((0.5, -0.0, 1e300, 1.0))
        if kind < 7:
            return self.text()
        if kind == 7:
            return [self.value(depth - 1) for _ in range(self.below(4))]
        return {self.text(8): self.value(depth - 1) for _ in range(self.below(4))}

    def fields(self, names: Sequence[str], likely: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """Return an object with these fields: mostly ``likely`` values, some missing, some of any type."""
        made: dict[str, Any] = {}
        for name in names:
            kind = self.below(16)
            if kind == 0:
                continue
            if kind == 1:
                made[name] = self.value()
            elif name in likely and kind > 4:
                made[name] = self.choice(likely[name])
            else:
                made[name] = self.text()
        if self.below(16) == 1:
            made[self.text(16)] = self.value()
        return made
