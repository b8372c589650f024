"""Terminals that break their rows anew when they are made narrower, so that the line being typed takes more.

prompt_toolkit hears of the new size when that is done, and still erases as many rows as it has drawn: the
others stay there as copies. Where the terminal is known to do it, this tells how many rows there are now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prompt_toolkit.application import Application
from prompt_toolkit.data_structures import Point
from prompt_toolkit.layout.screen import Screen

# tmux tells of further changes within 0.25 s.
QUIET_SECONDS = 0.3


def breaks_anew(environ: Mapping[str, str]) -> bool:
    """Whether the terminal is tmux, whose rules are followed here.

    xterm breaks nothing anew: to take it for one that does would erase what others have said.
    """
    term = environ.get("TERM", "")
    return term.startswith("tmux") or (
        term.startswith("screen") and "TMUX" in environ and "STY" not in environ
    )


def rows_above(rows: Sequence[Sequence[int]], cursor: tuple[int, int], columns: int) -> int:
    """How many rows there are above the cursor after the terminal was made ``columns`` wide.

    ``rows``: for each row as it was drawn, the widths of its characters. ``cursor``: column and row of then.
    """
    x, y = cursor
    return sum(_breaks(row, columns, None) + 1 for row in rows[:y]) + (
        _breaks(rows[y], columns, x) if y < len(rows) else 0
    )


def _breaks(row: Sequence[int], columns: int, until: int | None) -> int:
    """How often a row is broken, or how often before its column ``until``."""
    breaks = at = seen = 0
    for width in row:
        if at + width > columns:
            breaks, at = breaks + 1, 0
        if until is not None and seen + width > until:
            return breaks
        at, seen = at + width, seen + width
    return breaks  # also for a cursor behind the last character: it stays in that one's row


class Reflow:
    """Draws the line being typed of ``app`` where it belongs after a change of size.

    tmux changes its rows at once and tells of it later, of several changes not even all: what is drawn in
    between, with a width that is no longer or not yet true, cannot be found again. So nothing is drawn until
    there was no news for a moment; ``on_settled`` is called then. Without ``active`` nothing is different.
    """

    def __init__(self, app: Application[Any], *, active: bool, on_settled: Callable[[], None]) -> None:
        self._app = app
        self._on_settled = on_settled
        self._timer: asyncio.TimerHandle | None = None
        # The widths of all that was written to each row since it was erased as a whole: where a row has
        # become shorter, the terminal still counts what is blank now.
        self._rows: list[list[int]] = []
        self._active = active
        self._draw_anew, self._redraw = app._on_resize, app._redraw
        if active:
            # Nothing public comes before prompt_toolkit's own erasing.
            app._on_resize = self._changed  # type: ignore[method-assign]
            app._redraw = self._redraw_if_settled  # type: ignore[method-assign]
            app.before_render += lambda _: self.begin()
            app.after_render += lambda _: self.note()

    def holds(self) -> bool:
        """Whether nothing may be drawn now."""
        if self._timer is None and self._is_other_size():
            self._changed()
        return self._timer is not None

    def begin(self) -> None:
        """Call before the line being typed is drawn."""
        if self._app.renderer._last_screen is None:
            self._rows = []

    def note(self) -> None:
        """Call after it was drawn."""
        screen, size = self._app.renderer.last_rendered_screen, self._app.renderer._last_size
        if not self._active or screen is None or size is None:
            return
        for y in range(screen.height):
            written = self._written(screen, y, size.columns)
            if y == len(self._rows):
                self._rows.append(written)
            else:
                beyond = sum(self._rows[y]) - sum(written)
                self._rows[y] = written + [1] * beyond

    def _is_other_size(self) -> bool:
        drawn = self._app.renderer._last_size
        return self._active and drawn is not None and drawn != self._app.output.get_size()

    def _changed(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(QUIET_SECONDS, self._settled)

    def _settled(self) -> None:
        self._timer = None
        if self._app.is_running:
            self._settle()
            self._draw_anew()
            self._on_settled()

    def _redraw_if_settled(self, render_as_done: bool = False) -> None:
        if render_as_done:
            self._settle()
        elif self.holds():
            return
        self._redraw(render_as_done)

    def _settle(self) -> None:
        """Correct what the renderer believes of its cursor."""
        renderer = self._app.renderer
        if renderer._last_screen is None or not self._is_other_size():
            return
        place, columns = renderer._cursor_pos, self._app.output.get_size().columns
        renderer._cursor_pos = Point(x=columns, y=rows_above(self._rows, (place.x, place.y), columns))
        renderer._last_screen = None  # all is to be drawn anew

    def _written(self, screen: Screen, y: int, columns: int) -> list[int]:
        """The widths of the characters that the renderer has written; blanks at the end it leaves out."""
        row, styled = screen.data_buffer[y], self._app.renderer._style_string_has_style
        used = (
            x for x, cell in row.items() if cell.char != " " or (styled is not None and styled[cell.style])
        )
        end = min(max(used, default=0), columns - 1)
        widths = []
        x = 0
        while x <= end:
            widths.append(row[x].width or 1)
            x += widths[-1]
        return widths
