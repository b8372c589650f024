"""Bytes as they arrive -> whole lines, with a bound on what may wait for its newline."""

from __future__ import annotations


class LineBuffer:
    """Collects lines of at most ``limit`` bytes (newline not counted).

    What is longer is handed on in pieces of ``limit`` bytes, as if each were a line: text stays
    readable, and a reader of JSON sees a piece that does not parse.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._partial = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that ``data`` completes, without their newlines."""
        first, *rest = data.split(b"\n")
        lines: list[bytes] = []
        self._extend(first, lines)
        for piece in rest:
            lines.append(bytes(self._partial))
            self._partial.clear()
            self._extend(piece, lines)
        return lines

    def rest(self) -> bytes:
        """What came after the last newline; forgets it. For the end of the stream."""
        rest = bytes(self._partial)
        self._partial.clear()
        return rest

    def _extend(self, piece: bytes, lines: list[bytes]) -> None:
        self._partial += piece
        while len(self._partial) > self._limit:
            lines.append(bytes(self._partial[: self._limit]))
            del self._partial[: self._limit]
