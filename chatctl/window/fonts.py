"""Fonts and distances: a scale of type, and a grid whose unit is half a line of text."""

from __future__ import annotations

import subprocess
import tkinter as tk
from collections.abc import Mapping
from tkinter import font

BASE_POINTS = 10
ZOOM_RANGE = (7, 24)
_STANDARD_DPI = 96.0
# Text is no larger than lets so many lines fit on the screen: header, messages, input and status line.
LINES_ON_SCREEN = 14


class Fonts:
    """The fonts of one window, and the pixels that all distances and shapes are multiples of.

    ``unit`` is half the height of a line: 8 pixels at 96 dpi. ``radius``: of round corners; ``ring``: the
    width of the border that shows the focus; ``bar_width``: of a scrollbar.
    """

    def __init__(self, root: tk.Tk, *, scale: float | None, environ: Mapping[str, str]) -> None:
        self._root = root
        factor = scale or screen_scale(environ)
        if factor:
            # Pixels per point. All sizes are in points, or derived from a font.
            root.tk.call("tk", "scaling", factor * _STANDARD_DPI / 72)
        self.points = BASE_POINTS
        family = font.nametofont("TkDefaultFont", root).actual("family")
        fixed = font.nametofont("TkFixedFont", root).actual("family")
        self.body = font.Font(root, family=family)
        self.bold = font.Font(root, family=family, weight="bold")
        self.italic = font.Font(root, family=family, slant="italic")
        self.fixed = font.Font(root, family=fixed)
        self.small = font.Font(root, family=family)
        self.small_bold = font.Font(root, family=family, weight="bold")
        self.title = font.Font(root, family=family, weight="bold")
        self._resize(BASE_POINTS)

    def _resize(self, points: int) -> None:
        self.points = max(ZOOM_RANGE[0], min(ZOOM_RANGE[1], points))
        points = self._fitting(self.points)
        for sized in (self.bold, self.italic, self.fixed):
            sized.configure(size=points)
        for sized in (self.small, self.small_bold):
            sized.configure(size=max(1, points - 1))
        self.title.configure(size=points + min(3, points))
        self.unit = max(4, self.body.metrics("linespace") // 2)
        self.radius = max(3, self.unit * 3 // 4)
        self.ring = max(2, self.unit // 4)
        self.bar_width = max(6, self.unit)

    def _fitting(self, points: int) -> int:
        """Set the size of text, or the largest that leaves `LINES_ON_SCREEN`; return it."""
        self.body.configure(size=points)
        height = self._root.winfo_screenheight()
        while points > 1 and self.body.metrics("linespace") * LINES_ON_SCREEN > height:
            points -= 1
            self.body.configure(size=points)
        return points


def screen_scale(environ: Mapping[str, str]) -> float | None:
    """Return the desktop's scale (1.0 is 96 dpi), or None if it sets none.

    It is GDK_SCALE, else Xft.dpi of the X resources, which desktops set for fractional scales.
    Tk itself looks at neither.
    """
    try:
        if (scale := float(environ.get("GDK_SCALE", "0"))) >= 1:
            return min(scale, 4.0)
        done = subprocess.run(
            ["xrdb", "-query"],  # noqa: S607
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=2,
            check=False,
        )
        found = [line.split(":", 1)[1] for line in done.stdout.splitlines() if line.startswith("Xft.dpi:")]
        dpi = float(found[0]) if found else 0.0
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return dpi / _STANDARD_DPI if _STANDARD_DPI / 2 <= dpi <= 4 * _STANDARD_DPI else None
