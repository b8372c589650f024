"""Handles terminals that rewrap their rows on a resize, so that the input line occupies other rows.

prompt_toolkit learns of the resize afterwards and erases only as many rows as it has drawn, which leaves
copies of the rest. For terminals known to rewrap, this module computes how many rows there are now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prompt_toolkit.application import Application
from prompt_toolkit.data_structures import Point
from prompt_toolkit.layout.screen import Screen

# tmux reports further changes within 0.25 s.
QUIET_SECONDS = 0.3


def rewraps(environ: Mapping[str, str]) -> bool:
    """Whether the terminal is tmux, whose rules are implemented here.

    xterm does not rewrap: treating it as one that does would erase printed messages.
    """
    term = environ.get("TERM", "")
    return term.startswith("tmux") or (
        term.startswith("screen") and "TMUX" in environ and "STY" not in environ
    )


def rows_above(rows: Sequence[Sequence[int]], cursor: tuple[int, int], columns: int) -> int:
    """Return the number of rows above the cursor after a resize to ``columns``.

    ``rows``: the widths of the characters in each drawn row. ``cursor``: column and row before the resize.
    """
    x, y = cursor
    return sum(_breaks(row, columns, None) + 1 for row in rows[:y]) + (
        _breaks(rows[y], columns, x) if y < len(rows) else 0
    )


def _breaks(row: Sequence[int], columns: int, until: int | None) -> int:
    """Count the line breaks in a row, in total or before its column ``until``."""
    breaks = at = seen = 0
    for width in row:
        if at + width > columns:
            breaks, at = breaks + 1, 0
        if until is not None and seen + width > until:
            return breaks
        at, seen = at + width, seen + width
    return breaks  # a cursor after the last character stays in its row


class ResizeGuard:
    """Redraws the input of ``app`` in its place after a resize; does nothing unless ``active``.

    tmux rewraps at once and reports it later, and not every change: what is drawn in between, for another
    width, could not be found again. So drawing waits until no change was reported for `QUIET_SECONDS`;
    then ``on_settled`` is called.
    """

    def __init__(self, app: Application[Any], *, active: bool, on_settled: Callable[[], None]) -> None:
        self._app = app
        self._on_settled = on_settled
        self._timer: asyncio.TimerHandle | None = None
        # The widths of everything written to each row since it was erased: the terminal still counts
        # what is blank after a row got shorter.
        self._rows: list[list[int]] = []
        self._active = active
        self._draw_after_resize, self._redraw = app._on_resize, app._redraw
        if active:
            # prompt_toolkit has no public hook before its own erasing.
            app._on_resize = self._changed  # type: ignore[method-assign]
            app._redraw = self._redraw_if_settled  # type: ignore[method-assign]
            app.before_render += lambda _: self.begin_drawing()
            app.after_render += lambda _: self.end_drawing()

    def is_waiting(self) -> bool:
        """Whether drawing has to wait for a resize to settle."""
        if self._timer is None and self._is_other_size():
            self._changed()
        return self._timer is not None

    def begin_drawing(self) -> None:
        """Call before the input is drawn."""
        if self._app.renderer._last_screen is None:
            self._rows = []

    def end_drawing(self) -> None:
        """Call after the input was drawn."""
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
            self._draw_after_resize()
            self._on_settled()

    def _redraw_if_settled(self, render_as_done: bool = False) -> None:
        if render_as_done:
            self._settle()
        elif self.is_waiting():
            return
        self._redraw(render_as_done)

    def _settle(self) -> None:
        """Correct the renderer's cursor position."""
        renderer = self._app.renderer
        if renderer._last_screen is None or not self._is_other_size():
            return
        place, columns = renderer._cursor_pos, self._app.output.get_size().columns
        renderer._cursor_pos = Point(x=columns, y=rows_above(self._rows, (place.x, place.y), columns))
        renderer._last_screen = None  # draw everything again

    def _written(self, screen: Screen, y: int, columns: int) -> list[int]:
        """The widths of the characters that the renderer wrote; it omits blanks at the end."""
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
