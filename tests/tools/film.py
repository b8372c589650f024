"""Turn a sequence of screens into asciicast v2 and into an animated SVG."""

from __future__ import annotations

import json
from collections import defaultdict
from html import escape
from pathlib import Path
from typing import NamedTuple

from tests.support.rendered_screens import Row, Screen, Style

# Units of the SVG. textLength forces this advance in any font that the viewer has.
ADVANCE, LINE, FONT, MARGIN, TITLE = 8.4, 18, 14, 16, 34
INK, GROUND, FAINT, CURSOR, ALERT = "#d7dae0", "#16181d", "#8b93a5", "#98c379", "#e5c07b"


class Frame(NamedTuple):
    """A screen shown from ``start`` (seconds) on, with a caption in the window's title bar."""

    start: float
    screen: Screen
    caption: str
    alert: bool = False


class Film(NamedTuple):
    """All frames of a recording, and its length in ``seconds``."""

    frames: tuple[Frame, ...]
    seconds: float
    columns: int
    rows: int

    def save(self, cast: Path, picture: Path, title: str) -> None:
        """Write the film as asciicast and as animated SVG."""
        cast.write_text(self.cast(title), "utf-8")
        picture.write_text(self.svg(title), "utf-8")

    def cast(self, title: str) -> str:
        """Format the film as asciicast v2, which rewrites only changed rows."""
        header = {"version": 2, "width": self.columns, "height": self.rows, "title": title}
        lines = [json.dumps(header)]
        shown: tuple[Row, ...] = ((),) * self.rows
        caption = ""
        for frame in self.frames:
            if frame.caption != caption:
                caption = frame.caption
                lines.append(json.dumps([frame.start, "m", caption], ensure_ascii=False))
            written = "".join(
                _terminal_output(number, row)
                for number, (row, old) in enumerate(zip(frame.screen.rows, shown, strict=True))
                if row != old
            )
            shown = frame.screen.rows
            column, line = frame.screen.cursor
            text = f"\x1b[?25l{written}\x1b[{line + 1};{column + 1}H\x1b[?25h"
            lines.append(json.dumps([frame.start, "o", text], ensure_ascii=False))
        # Players stop at the last event: an empty one at the end leaves time to read.
        lines.append(json.dumps([self.seconds, "o", ""]))
        return "\n".join(lines) + "\n"

    def svg(self, label: str, at: float | None = None) -> str:
        """Format the film as an animated SVG, or as a still picture of the second ``at``.

        Viewers that do not animate, and people who prefer reduced motion, see the last frame.
        """
        width, height = round(self.columns * ADVANCE + 2 * MARGIN), self.rows * LINE + TITLE + MARGIN
        parts = self._parts()
        groups, rules = [], []
        for number, ((start, end), drawn) in enumerate(sorted(parts.items())):
            last = end >= self.seconds
            if at is not None:
                if start <= at < end or (last and at >= end):
                    groups.append("".join(drawn))
            elif start == 0 and last:
                groups.append("".join(drawn))
            else:
                rules.append(self._rule(number, start, end))
                hidden = "" if last else ' visibility="hidden"'
                groups.append(f'<g class="k{number}"{hidden}>{"".join(drawn)}</g>')
        style = f"g{{animation:{self.seconds:g}s step-end infinite}}" + "".join(rules)
        style += "@media (prefers-reduced-motion:reduce){g{animation:none!important}}"
        return "\n".join(
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
                f'viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}" '
                f"font-family=\"ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace\" "
                f'font-size="{FONT}" fill="{INK}" xml:space="preserve">',
                f"<style>{style if at is None else ''}</style>",
                f'<rect x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="8" '
                f'fill="{GROUND}" stroke="#3a3f4b"/>',
                f'<path d="M1 {TITLE - 8}H{width - 1}" stroke="#2a2e37"/>',
                *groups,
                "</svg>\n",
            )
        )

    def _rule(self, number: int, start: float, end: float) -> str:
        # step-end holds each value until the next key, and the last one until the loop ends.
        keys = [(0.0, "visible" if start == 0 else "hidden"), (start, "visible"), (end, "hidden")]
        text = "".join(
            f"{100 * second / self.seconds:.5g}%{{visibility:{value}}}"
            for index, (second, value) in enumerate(keys)
            if index == 0 or 0 < second < self.seconds
        )
        if end >= self.seconds:
            text += "to{visibility:visible}"
        return f".k{number}{{animation-name:k{number}}}@keyframes k{number}{{{text}}}"

    def _parts(self) -> dict[tuple[float, float], list[str]]:
        """Group all drawn pieces by the (start, end) in which they are visible."""
        parts: dict[tuple[float, float], list[str]] = defaultdict(list)
        visible_since: dict[str, float] = {}
        for start, drawn in [*((f.start, _draw(f, self.columns)) for f in self.frames), (self.seconds, [])]:
            for piece in [piece for piece in visible_since if piece not in drawn]:
                parts[visible_since.pop(piece), start].append(piece)
            for piece in drawn:
                visible_since.setdefault(piece, start)
        return parts


def _terminal_output(number: int, row: Row) -> str:
    """The escape sequences that redraw a row."""
    text = f"\x1b[{number + 1};1H\x1b[0m\x1b[K"
    for column, piece, style in row:
        text += f"\x1b[{column + 1}G{style.sgr()}{piece}" + ("\x1b[0m" if style.sgr() else "")
    return text


def _draw(frame: Frame, columns: int) -> list[str]:
    """Draw a frame as pieces of SVG, with the cursor below the text."""
    column, line = frame.screen.cursor
    cursor = _box(column, line, 1, CURSOR).replace("/>", ' opacity=".75"/>')
    ink = ALERT if frame.alert else FAINT
    caption = f'<text x="{MARGIN}" y="{TITLE - 15}" fill="{ink}">{escape(frame.caption)}</text>'
    rows = ("".join(_row(row, number)) for number, row in enumerate(frame.screen.rows))
    return [caption, cursor, *(row for row in rows if row)]


def _row(row: Row, number: int) -> list[str]:
    drawn = []
    for column, text, style in row:
        ink, ground = style.foreground or INK, style.background
        if style.reverse:
            ink, ground = ground or GROUND, ink
        if ground:
            drawn.append(_box(column, number, len(text), ground))
        shown = text.strip()
        if shown:
            column += len(text) - len(text.lstrip())
            x, y = MARGIN + column * ADVANCE, TITLE + number * LINE + FONT
            drawn.append(
                f'<text x="{x:g}" y="{y}" textLength="{len(shown) * ADVANCE:.5g}"{_attributes(style, ink)}>'
                f"{escape(shown, quote=False)}</text>"
            )
    return drawn


def _attributes(style: Style, ink: str) -> str:
    return "".join(
        text
        for text, is_set in (
            (f' fill="{ink}"', ink != INK),
            (' font-weight="bold"', style.bold),
            (' opacity=".6"', style.dim),
            (' font-style="italic"', style.italic),
            (' text-decoration="underline"', style.underline),
        )
        if is_set
    )


def _box(column: int, line: int, count: int, colour: str) -> str:
    x, y = MARGIN + column * ADVANCE, TITLE + line * LINE
    return f'<rect x="{x:g}" y="{y}" width="{count * ADVANCE:.5g}" height="{LINE}" fill="{colour}"/>'
