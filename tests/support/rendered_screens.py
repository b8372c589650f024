"""Read a terminal's screen with its styles from the output of ``tmux capture-pane -e``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

# The sixteen ANSI colours on a dark background; the other 240 are computed as in xterm.
PALETTE = (
    *("#3a3f4b", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#c8ccd4"),
    *("#7f8796", "#ff7b86", "#b5e890", "#ffd98e", "#84c7ff", "#e29bf5", "#7fd7e3", "#ffffff"),
)
_SGR = re.compile(r"\x1b\[([\d;:]*)m|\x1b[()].|[\x0e\x0f]")
_FLAGS = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "reverse"}
_UNSET = {22: ("bold", "dim"), 23: ("italic",), 24: ("underline",), 27: ("reverse",)}
_LEVELS = (0, 95, 135, 175, 215, 255)


class Style(NamedTuple):
    """Colours are ``#rrggbb``, or empty for the terminal's default."""

    foreground: str = ""
    background: str = ""
    bold: bool = False
    dim: bool = False
    italic: bool = False
    underline: bool = False
    reverse: bool = False

    def sgr(self) -> str:
        """Return the escape sequence that switches from the default style to this one."""
        codes = [str(code) for code, flag in _FLAGS.items() if getattr(self, flag)]
        for colour, code in ((self.foreground, 38), (self.background, 48)):
            if colour in PALETTE:
                index = PALETTE.index(colour)
                # The eight colours start at 30 and 40, the bright ones at 90 and 100.
                codes.append(str(code - 8 + index if index < 8 else code + 44 + index))
            elif colour:
                parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
                codes.append(f"{code};2;" + ";".join(map(str, parts)))
        return f"\x1b[{';'.join(codes)}m" if codes else ""


class Span(NamedTuple):
    """A piece of a row in one style; columns count from 0."""

    column: int
    text: str
    style: Style


Row = tuple[Span, ...]


class Screen(NamedTuple):
    """The rows of a screen and the cursor's (column, row), counted from 0."""

    rows: tuple[Row, ...]
    cursor: tuple[int, int]


def read_rows(captured: str) -> tuple[Row, ...]:
    """Parse a captured pane; as tmux writes it, a style continues from one row to the next."""
    rows, style = [], Style()
    for line in captured.splitlines():
        spans: list[Span] = []
        column = at = 0
        for match in _SGR.finditer(line):
            spans.append(Span(column, line[at : match.start()], style))
            column += match.start() - at
            at = match.end()
            if match[1] is not None:
                style = _apply_sgr(style, match[1])
        spans.append(Span(column, line[at:], style))
        rows.append(_visible(spans))
    return tuple(rows)


def _visible(spans: list[Span]) -> Row:
    """Drop what cannot be seen: empty pieces and blanks without a colour or line."""
    kept = []
    for column, text, style in spans:
        seen = text
        if not (style.background or style.reverse or style.underline):
            seen = text.strip()
            column += len(text) - len(text.lstrip())
        if seen:
            kept.append(Span(column, seen, style))
    return tuple(kept)


def _apply_sgr(style: Style, codes: str) -> Style:
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


def _coloured(style: Style, number: int, codes: Iterator[int]) -> Style:
    tens, ones = divmod(number - (60 if number >= 90 else 0), 10)
    if tens not in (3, 4):
        return style
    if ones == 8:
        colour = _long_colour(codes)
    elif ones == 9:
        colour = ""
    else:
        colour = PALETTE[ones + (8 if number >= 90 else 0)]
    return style._replace(foreground=colour) if tens == 3 else style._replace(background=colour)


def _long_colour(codes: Iterator[int]) -> str:
    if next(codes) == 2:
        red, green, blue = next(codes), next(codes), next(codes)
        return f"#{red:02x}{green:02x}{blue:02x}"
    index = next(codes)
    if index < 16:
        return PALETTE[index]
    if index >= 232:
        return f"#{8 + 10 * (index - 232):02x}" + f"{8 + 10 * (index - 232):02x}" * 2
    cube = index - 16
    return "#" + "".join(f"{_LEVELS[cube // step % 6]:02x}" for step in (36, 6, 1))
