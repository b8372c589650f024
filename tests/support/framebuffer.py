"""Take pictures of a virtual X display: read the screen that Xvfb keeps in a file, write it as PNG."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from pathlib import Path
from typing import NamedTuple

# Fields of an XWD header (X11/XWDFile.h) by their place among its 32-bit numbers.
_HEADER_SIZE, _WIDTH, _HEIGHT, _BITS, _LINE_BYTES, _COLOURS = 0, 4, 5, 11, 12, 19
_COLOUR_BYTES = 12
PALETTE = 256


class Picture(NamedTuple):
    """An image as rows of RGB bytes."""

    width: int
    height: int
    rows: list[bytes]

    def pixel(self, x: int, y: int) -> tuple[int, int, int]:
        """Return the colour at a position."""
        red, green, blue = self.rows[y][3 * x : 3 * x + 3]
        return red, green, blue

    def crop(self, x: int, y: int, width: int, height: int) -> Picture:
        """Cut out a rectangle."""
        rows = [row[3 * x : 3 * (x + width)] for row in self.rows[y : y + height]]
        return Picture(len(rows[0]) // 3, len(rows), rows)

    def png(self) -> bytes:
        """Encode the image with the 256 colours that occur most; others become the nearest of these."""
        pixels = [[row[at : at + 3] for at in range(0, 3 * self.width, 3)] for row in self.rows]
        counts = Counter(pixel for row in pixels for pixel in row)
        palette = [colour for colour, _ in counts.most_common(PALETTE)]
        index = {colour: _nearest(palette, colour) for colour in counts}
        lines = b"".join(b"\0" + bytes(index[pixel] for pixel in row) for row in pixels)
        header = struct.pack(">IIBBBBB", self.width, self.height, 8, 3, 0, 0, 0)
        parts = [
            (b"IHDR", header),
            (b"PLTE", b"".join(palette)),
            (b"IDAT", zlib.compress(lines, 9)),
            (b"IEND", b""),
        ]
        return b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, parts))


def _nearest(palette: list[bytes], colour: bytes) -> int:
    return min(
        range(len(palette)),
        key=lambda at: sum((a - b) ** 2 for a, b in zip(palette[at], colour, strict=True)),
    )


def _chunk(part: tuple[bytes, bytes]) -> bytes:
    name, data = part
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def read_screen(folder: Path) -> Picture:
    """Read the first screen of an Xvfb that was started with ``-fbdir folder`` and 24 bits of depth."""
    data = (folder / "Xvfb_screen0").read_bytes()
    header = struct.unpack(">25I", data[:100])
    assert header[_BITS] == 32
    width, height, line = header[_WIDTH], header[_HEIGHT], header[_LINE_BYTES]
    begin = header[_HEADER_SIZE] + header[_COLOURS] * _COLOUR_BYTES
    rows = []
    for y in range(height):
        pixels = data[begin + y * line : begin + y * line + 4 * width]
        row = bytearray(3 * width)
        row[0::3], row[1::3], row[2::3] = pixels[2::4], pixels[1::4], pixels[0::4]
        rows.append(bytes(row))
    return Picture(width, height, rows)
