"""Split a byte stream into lines, with a bound on the incomplete last line."""

from __future__ import annotations


class LineBuffer:
    """Collects lines of at most ``limit`` bytes, newline not counted.

    Longer lines are split into pieces of ``limit`` bytes: text stays readable, and a piece of JSON fails to
    parse.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._partial = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that ``data`` completes, without their newlines."""
        first, *others = data.split(b"\n")
        lines: list[bytes] = []
        self._extend(first, lines)
        for piece in others:
            lines.append(bytes(self._partial))
            self._partial.clear()
            self._extend(piece, lines)
        return lines

    def take_partial(self) -> bytes:
        """Remove and return the bytes after the last newline. For the end of the stream."""
        partial = bytes(self._partial)
        self._partial.clear()
        return partial

    def _extend(self, piece: bytes, lines: list[bytes]) -> None:
        self._partial += piece
        while len(self._partial) > self._limit:
            lines.append(bytes(self._partial[: self._limit]))
            del self._partial[: self._limit]
