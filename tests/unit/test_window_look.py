"""The window's colours have contrast, and its shapes are anti-aliased; without Tk."""

from __future__ import annotations

import struct
import zlib
from dataclasses import fields
from itertools import product

import pytest

from chatctl.window import shapes
from chatctl.window.palette import DARK, LIGHT, SHAPE_ON, TEXT_ON, Palette

PALETTES = {"light": LIGHT, "dark": DARK}


def luminance(colour: str) -> float:
    """The relative luminance of WCAG 2.2."""
    channels = [value / 255 for value in shapes.rgb(colour)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def colours(palette: Palette, name: str) -> tuple[str, ...]:
    value: str | tuple[str, ...] = getattr(palette, name)
    return value if isinstance(value, tuple) else (value,)


@pytest.mark.parametrize("name", PALETTES)
@pytest.mark.parametrize(("pairs", "least"), [(TEXT_ON, 4.5), (SHAPE_ON, 3.0)])
def test_what_meets_has_contrast(name: str, pairs: tuple[tuple[str, str], ...], least: float) -> None:
    palette = PALETTES[name]
    low = [
        f"{front} {one} on {behind} {other}: {contrast(one, other):.2f}"
        for front, behind in pairs
        for one, other in product(colours(palette, front), colours(palette, behind))
        if contrast(one, other) < least
    ]
    assert not low


def test_every_colour_of_text_is_in_the_table() -> None:
    surfaces = {behind for _, behind in TEXT_ON} | {"line", "edge"}
    assert {front for front, _ in TEXT_ON} | surfaces == {field.name for field in fields(Palette)}


def pixels(png: bytes) -> list[list[tuple[int, ...]]]:
    """Decode an image of `shapes` into rows of (red, green, blue)."""
    width, height = struct.unpack(">II", png[16:24])
    begin = png.index(b"IDAT") + 4
    (size,) = struct.unpack(">I", png[begin - 8 : begin - 4])
    data = zlib.decompress(png[begin : begin + size])
    assert len(data) == height * (3 * width + 1)
    rows = [data[y * (3 * width + 1) + 1 : (y + 1) * (3 * width + 1)] for y in range(height)]
    return [[tuple(row[3 * x : 3 * x + 3]) for x in range(width)] for row in rows]


BLACK, WHITE, RED = (0, 0, 0), (255, 255, 255), (255, 0, 0)


@pytest.mark.parametrize(
    "png",
    [
        shapes.rounded(20, 20, 10, "#000000", "#ffffff"),
        shapes.discs(20, "#000000", (10, 10, 10, "#ffffff")),
    ],
)
def test_a_circle_is_symmetric_and_has_soft_edges(png: bytes) -> None:
    drawn = pixels(png)
    assert drawn == drawn[::-1] == [row[::-1] for row in drawn]
    assert (drawn[10][10], drawn[0][0]) == (WHITE, BLACK)
    assert len({pixel for row in drawn for pixel in row}) > 4
    covered = sum(pixel[0] for row in drawn for pixel in row) / 255
    assert abs(covered - 314.16) < 3


@pytest.mark.parametrize(("width", "height", "radius"), [(30, 17, 5), (9, 40, 4), (2, 2, 9), (1, 1, 0)])
def test_a_box_has_its_size_and_border(width: int, height: int, radius: int) -> None:
    drawn = pixels(shapes.rounded(width, height, radius, "#ff0000", "#ffffff", "#000000", 1))
    assert (len(drawn), len(drawn[0])) == (height, width)
    if width > 2 * radius and height > 2:
        assert (drawn[0][width // 2], drawn[height // 2][width // 2]) == (BLACK, WHITE)
        assert drawn[0][0][0] > drawn[0][0][1] == drawn[0][0][2]  # mostly what is behind


def test_discs_cover_each_other_in_their_order() -> None:
    drawn = pixels(shapes.discs(12, "#000000", (6, 6, 6, "#ff0000"), (9, 9, 3, "#ffffff")))
    assert (drawn[3][3], drawn[9][9], drawn[0][0]) == (RED, WHITE, BLACK)


@pytest.mark.parametrize("name", shapes.ICONS)
def test_every_icon_can_be_drawn(name: str) -> None:
    drawn = pixels(shapes.icon(name, 16, "#ffffff", "#000000"))
    assert len(drawn) == 16
    inked = sum(pixel != WHITE for row in drawn for pixel in row)
    assert 16 <= inked <= 160


def test_initials_stand_for_a_name() -> None:
    from chatctl.window.avatars import initials

    assert [initials(name) for name in ("alice", "john.doe", "x-y_z", "-", "")] == ["A", "JD", "XY", "-", ""]
