"""Draw anti-aliased shapes as PNG images on the colour that is behind them. No Tk here.

Tk draws its own ovals and polygons without anti-aliasing, and images with transparency slowly: it reads the
screen back for each.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from math import hypot

Pixel = bytes  # red, green, blue
Colours = tuple[str, str, str]  # behind the shape, its border, its fill

# Lines (x1, y1, x2, y2) of each icon, in sixteenths of its size; a line of no length is a dot.
_SEARCH_RING = (6.8, 6.8, 4.2)
ICONS: dict[str, tuple[tuple[float, float, float, float], ...]] = {
    "search": ((10, 10, 13.6, 13.6),),
    "plus": ((8, 3, 8, 13), (3, 8, 13, 8)),
    "menu": tuple((3, y, 13, y) for y in (4.2, 8, 11.8)),
    "browse": tuple((x1, y, x2, y) for y in (4.2, 8, 11.8) for x1, x2 in ((3, 3), (6, 13))),
    "check": ((3.5, 8.5, 6.6, 11.6), (6.6, 11.6, 12.6, 4.6)),
}
_STROKE = 1.5 / 16


def rounded(
    width: int, height: int, radius: int, behind: str, fill: str, border: str = "", stroke: int = 0
) -> bytes:
    """Draw a rectangle with round corners on the colour ``behind``; a circle if ``radius`` is half its size.

    The border is ``stroke`` pixels wide.
    """
    radius = max(0, min(radius, width // 2, height // 2))
    stroke = min(stroke, width // 2, height // 2)
    colours = (behind, border or fill, fill)
    top = []
    for row in range((height + 1) // 2):
        side = _side(row, radius, stroke, colours)
        inside = _mix(1.0, float(row >= stroke), colours)
        top.append(b"".join(side) + inside * (width - 2 * len(side)) + b"".join(reversed(side)))
    return _png(width, height, [*top, *reversed(top[: height // 2])])


def discs(size: int, behind: str, *circles: tuple[float, float, float, str]) -> bytes:
    """Draw circles (x, y, radius, colour) one over the other into a square."""
    colours = [(x, y, radius, rgb(colour)) for x, y, radius, colour in circles]
    rows = [
        b"".join(bytes(_over(rgb(behind), column + 0.5, row + 0.5, colours)) for column in range(size))
        for row in range(size)
    ]
    return _png(size, size, rows)


def _over(
    shown: tuple[int, ...],
    x: float,
    y: float,
    circles: list[tuple[float, float, float, tuple[int, int, int]]],
) -> tuple[int, ...]:
    for centre_x, centre_y, radius, colour in circles:
        share = _share(radius - hypot(x - centre_x, y - centre_y))
        if share >= 1:
            shown = colour
        elif share > 0:
            shown = tuple(round(share * c + (1 - share) * s) for c, s in zip(colour, shown, strict=True))
    return shown


def icon(name: str, size: int, behind: str, colour: str) -> bytes:
    """Draw one of `ICONS` on the colour ``behind``."""
    colours = (behind, colour, colour)
    scale, stroke = size / 16, max(size * _STROKE, 1.2)
    lines = [tuple(scale * value for value in line) for line in ICONS[name]]

    def distance(x: float, y: float) -> float:
        found = min(_from_line(x, y, *line) for line in lines)
        if name == "search":
            centre_x, centre_y, radius = (scale * value for value in _SEARCH_RING)
            found = min(found, abs(hypot(x - centre_x, y - centre_y) - radius))
        return found

    rows = [
        b"".join(_mix(_share(stroke / 2 - distance(x + 0.5, y + 0.5)), 1.0, colours) for x in range(size))
        for y in range(size)
    ]
    return _png(size, size, rows)


def rgb(colour: str) -> tuple[int, int, int]:
    """Return the red, green and blue of "#rrggbb"."""
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue


def _from_line(x: float, y: float, x1: float, y1: float, x2: float, y2: float) -> float:
    dx, dy = x2 - x1, y2 - y1
    length = dx * dx + dy * dy
    along = max(0.0, min(1.0, ((x - x1) * dx + (y - y1) * dy) / length)) if length else 0.0
    return hypot(x - x1 - along * dx, y - y1 - along * dy)


def _side(row: int, radius: int, stroke: int, colours: Colours) -> list[Pixel]:
    """Return the pixels of a row from the outside to where they all are alike."""
    if row >= radius:
        return [_mix(1.0, 0.0, colours)] * stroke
    return [
        _mix(_share(radius - far), _share(radius - stroke - far), colours)
        for far in (hypot(radius - column - 0.5, radius - row - 0.5) for column in range(radius))
    ]


def _share(depth: float) -> float:
    """Return how much of a pixel is covered whose centre is so far inside an edge."""
    return max(0.0, min(1.0, depth + 0.5))


def _mix(outer: float, inner: float, colours: Colours) -> Pixel:
    """Return a pixel of which the shape covers the share ``outer``, and the fill ``inner``."""
    behind, border, fill = map(rgb, colours)
    shares = (1.0 - outer, outer - inner, inner)
    return bytes(
        round(sum(s * c for s, c in zip(shares, of, strict=True)))
        for of in zip(behind, border, fill, strict=True)
    )


def _png(width: int, height: int, rows: Iterable[bytes]) -> bytes:
    """Encode rows of RGB pixels (ISO/IEC 15948)."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows), 1)
    chunks = ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
