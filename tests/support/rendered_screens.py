"""What stands on a terminal's screen, read from the output of ``tmux capture-pane -e``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

# The sixteen colours on a dark background; the others are computed as xterm does.
PALETTE = (
    *("#3a3f4b", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#c8ccd4"),
    *("#7f8796", "#ff7b86", "#b5e890", "#ffd98e", "#84c7ff", "#e29bf5", "#7fd7e3", "#ffffff"),
)
_SGR = re.compile(r"\x1b\[([\d;:]*)m|\x1b[()].|[\x0e\x0f]")
_FLAGS = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "reverse"}
_UNSET = {22: ("bold", "dim"), 23: ("italic",), 24: ("underline",), 27: ("reverse",)}
_LEVELS = (0, 95, 135, 175, 215, 255)


class Style(NamedTuple):
    """Colours as ``#rrggbb``, empty for the terminal's own."""

    ink: str = ""
    ground: str = ""
    bold: bool = False
    dim: bool = False
    italic: bool = False
    underline: bool = False
    reverse: bool = False

    def sgr(self) -> str:
        """The escape sequence that switches from plain to this style."""
        codes = [str(code) for code, flag in _FLAGS.items() if getattr(self, flag)]
        for colour, code in ((self.ink, 38), (self.ground, 48)):
            if colour in PALETTE:
                index = PALETTE.index(colour)
                # 30 and 40 begin the eight colours, 90 and 100 the bright ones.
                codes.append(str(code - 8 + index if index < 8 else code + 44 + index))
            elif colour:
                parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
                codes.append(f"{code};2;" + ";".join(map(str, parts)))
        return f"\x1b[{';'.join(codes)}m" if codes else ""


class Span(NamedTuple):
    """A piece of a row in one style, beginning at a column from 0."""

    column: int
    text: str
    style: Style


Row = tuple[Span, ...]


class Screen(NamedTuple):
    """The rows and where the cursor stands, counted from 0."""

    rows: tuple[Row, ...]
    cursor: tuple[int, int]


def read_rows(captured: str) -> tuple[Row, ...]:
    """The rows of a captured pane; a style goes on from one row to the next, as tmux writes it."""
    rows, style = [], Style()
    for line in captured.splitlines():
        spans: list[Span] = []
        column = at = 0
        for match in _SGR.finditer(line):
            spans.append(Span(column, line[at : match.start()], style))
            column += match.start() - at
            at = match.end()
            if match[1] is not None:
                style = _changed(style, match[1])
        spans.append(Span(column, line[at:], style))
        rows.append(_tidied(spans))
    return tuple(rows)


def _tidied(spans: list[Span]) -> Row:
    """Without what cannot be seen: empty pieces and blanks that have no colour."""
    kept = []
    for column, text, style in spans:
        seen = text
        if not (style.ground or style.reverse or style.underline):
            seen = text.strip()
            column += len(text) - len(text.lstrip())
        if seen:
            kept.append(Span(column, seen, style))
    return tuple(kept)


def _changed(style: Style, codes: str) -> Style:
    numbers = iter([int(code or 0) for code in re.split("[;:]", codes)])
    for number in numbers:
        if number == 0:
            style = Style()
        elif number in _FLAGS:
            style = _flagged(style, (_FLAGS[number],), True)
        elif number in _UNSET:
            style = _flagged(style, _UNSET[number], False)
        else:
            style = _coloured(style, number, numbers)
    return style


def _flagged(style: Style, names: tuple[str, ...], value: bool) -> Style:
    return Style(**{**style._asdict(), **dict.fromkeys(names, value)})


def _coloured(style: Style, number: int, rest: Iterator[int]) -> Style:
    tens, ones = divmod(number - (60 if number >= 90 else 0), 10)
    if tens not in (3, 4):
        return style
    if ones == 8:
        colour = _long_colour(rest)
    elif ones == 9:
        colour = ""
    else:
        colour = PALETTE[ones + (8 if number >= 90 else 0)]
    return style._replace(ink=colour) if tens == 3 else style._replace(ground=colour)


def _long_colour(rest: Iterator[int]) -> str:
    if next(rest) == 2:
        red, green, blue = next(rest), next(rest), next(rest)
        return f"#{red:02x}{green:02x}{blue:02x}"
    index = next(rest)
    if index < 16:
        return PALETTE[index]
    if index >= 232:
        return f"#{8 + 10 * (index - 232):02x}" + f"{8 + 10 * (index - 232):02x}" * 2
    cube = index - 16
    return "#" + "".join(f"{_LEVELS[cube // step % 6]:02x}" for step in (36, 6, 1))
