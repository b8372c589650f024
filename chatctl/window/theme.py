"""Colours and fonts: a light and a dark palette for ttk's "clam" theme, which looks the same everywhere."""

from __future__ import annotations

import subprocess
import tkinter as tk
from collections.abc import Mapping
from dataclasses import dataclass
from tkinter import font, ttk
from typing import Any

BASE_POINTS = 10
ZOOM_RANGE = (7, 24)
_STANDARD_DPI = 96.0
# Text is no larger than lets so many lines fit on the screen: header, messages, input and status line.
LINES_ON_SCREEN = 14


@dataclass(frozen=True)
class Palette:
    """Every colour in the window. Text has a contrast of at least 4.5 to its background (WCAG 2, AA)."""

    page: str
    panel: str
    field: str
    line: str
    hover: str
    text: str
    quiet: str
    accent: str
    accent_hover: str
    on_accent: str
    good: str
    warn: str
    bad: str
    mention: str
    names: tuple[str, str, str, str, str, str]


LIGHT = Palette(
    page="#ffffff",
    panel="#f3f4f6",
    field="#ffffff",
    line="#d8dce2",
    hover="#e4e8ee",
    text="#1b1f24",
    quiet="#5b6470",
    accent="#1d5fd1",
    accent_hover="#174ca7",
    on_accent="#ffffff",
    good="#18794e",
    warn="#9a5b00",
    bad="#b3261e",
    mention="#fff3cd",
    names=("#8a3ffc", "#00695c", "#9f1853", "#7a4f01", "#0b6e99", "#4d6b00"),
)
DARK = Palette(
    page="#15181d",
    panel="#1d2127",
    field="#23282f",
    line="#333a44",
    hover="#2b313a",
    text="#e4e7ec",
    quiet="#9aa4b2",
    accent="#6ea8fe",
    accent_hover="#9cc4ff",
    on_accent="#0d1117",
    good="#57c792",
    warn="#e3b341",
    bad="#ff8a80",
    mention="#3a3216",
    names=("#c4a1ff", "#5fd3bc", "#ff9ecb", "#e5b567", "#79c7f2", "#b5d46c"),
)


class Theme:
    """The fonts and colours of one window. Call `use` to change the palette."""

    def __init__(self, root: tk.Tk, *, scale: float | None, environ: Mapping[str, str]) -> None:
        self._root = root
        factor = scale or screen_scale(environ)
        if factor:
            # Pixels per point. All sizes are in points, or derived from a font.
            root.tk.call("tk", "scaling", factor * _STANDARD_DPI / 72)
        self.palette = LIGHT
        self.points = BASE_POINTS
        family = font.nametofont("TkDefaultFont", root).actual("family")
        fixed = font.nametofont("TkFixedFont", root).actual("family")
        self.body = font.Font(root, family=family)
        self.bold = font.Font(root, family=family, weight="bold")
        self.small = font.Font(root, family=family)
        self.italic = font.Font(root, family=family, slant="italic")
        self.fixed = font.Font(root, family=fixed)
        self.title = font.Font(root, family=family, weight="bold")
        self._size_fonts()

    @property
    def unit(self) -> int:
        """Half the height of a line in pixels; all distances are multiples of it."""
        return max(4, self.body.metrics("linespace") // 2)

    def zoom(self, points: int) -> None:
        """Set the text size, within `ZOOM_RANGE`."""
        self.points = max(ZOOM_RANGE[0], min(ZOOM_RANGE[1], points))
        self._size_fonts()
        self.use(self.palette)

    def _size_fonts(self) -> None:
        points = self.points
        self.body.configure(size=points)
        while (
            points > 1 and self.body.metrics("linespace") * LINES_ON_SCREEN > self._root.winfo_screenheight()
        ):
            points -= 1
            self.body.configure(size=points)
        for sized in (self.bold, self.italic, self.fixed):
            sized.configure(size=points)
        self.small.configure(size=max(1, points - 1))
        self.title.configure(size=points + min(3, points))

    def use(self, palette: Palette) -> None:
        """Apply a palette to all ttk widgets. Plain Tk widgets need `text_options` and `menu_options`."""
        self.palette = p = palette
        style, unit = ttk.Style(self._root), self.unit
        style.theme_use("clam")
        style.configure(
            ".",
            background=p.panel,
            foreground=p.text,
            font=self.body,
            bordercolor=p.line,
            lightcolor=p.panel,
            darkcolor=p.panel,
            troughcolor=p.panel,
            focuscolor=p.accent,
            insertcolor=p.text,
            selectbackground=p.accent,
            selectforeground=p.on_accent,
        )
        self._root.configure(background=p.panel)
        style.configure("Page.TFrame", background=p.page)
        style.configure("Line.TFrame", background=p.line)
        style.configure("Panel.TFrame", background=p.panel, bordercolor=p.line, relief="solid", borderwidth=1)
        style.configure("Title.TLabel", font=self.title)
        style.configure("Bold.TLabel", font=self.bold)
        style.configure("Quiet.TLabel", foreground=p.quiet, font=self.small)
        for name, colour in (("Good", p.good), ("Warn", p.warn), ("Bad", p.bad)):
            style.configure(f"{name}.TLabel", foreground=colour, font=self.small)
        self._buttons(style, unit)
        self._lists(style, unit)
        style.configure(
            "TEntry", fieldbackground=p.field, lightcolor=p.field, darkcolor=p.field, padding=unit // 2
        )
        style.map("TEntry", bordercolor=[("focus", p.accent)], lightcolor=[("focus", p.accent)])

    def _buttons(self, style: ttk.Style, unit: int) -> None:
        p = self.palette
        for name in ("TButton", "TMenubutton"):
            style.configure(name, padding=(unit, unit // 3), relief="flat", borderwidth=1)
            style.configure(name, arrowcolor=p.quiet, arrowsize=unit, width=0, anchor="center")
            style.map(
                name,
                background=[("pressed", p.line), ("active", p.hover)],
                foreground=[("disabled", p.quiet)],
                bordercolor=[("focus", p.accent)],
            )
        # A lone button without a border would look like plain text.
        style.configure("TButton", relief="solid", bordercolor=p.line)
        style.configure("Flat.TButton", relief="flat")
        style.configure("Accent.TButton", background=p.accent, foreground=p.on_accent, bordercolor=p.accent)
        style.map(
            "Accent.TButton",
            background=[("disabled", p.line), ("pressed", p.accent), ("active", p.accent_hover)],
            foreground=[("disabled", p.quiet)],
            bordercolor=[("focus", p.text)],
        )
        style.configure(
            "TCheckbutton",
            indicatorbackground=p.field,
            indicatorforeground=p.accent,
            indicatorsize=2 * unit - unit // 2,
            indicatormargin=(0, 0, unit, 0),
        )
        focus = [("focus", p.accent)]
        style.map("TCheckbutton", background=[("active", p.panel)], foreground=focus)
        style.map("TCheckbutton", upperbordercolor=focus, lowerbordercolor=focus)

    def _lists(self, style: ttk.Style, unit: int) -> None:
        p = self.palette
        height = self.body.metrics("linespace") + unit // 2
        style.configure("Treeview", background=p.panel, fieldbackground=p.panel, rowheight=height)
        # Only the tree itself, without the border that clam draws.
        style.layout("Treeview", [("Treeview.treearea", {"sticky": "nswe"})])
        style.map("Treeview", background=[("selected", p.accent)], foreground=[("selected", p.on_accent)])
        style.configure("Item", indicatorsize=0)
        bar, width = "Vertical.TScrollbar", max(8, unit)
        thumb: Any = ("Vertical.Scrollbar.thumb", {"expand": "1", "sticky": "nswe"})
        style.layout(bar, [("Vertical.Scrollbar.trough", {"sticky": "ns", "children": [thumb]})])
        style.configure(bar, background=p.line, lightcolor=p.line, darkcolor=p.line, gripcount=0)
        style.configure(bar, troughcolor=p.page, bordercolor=p.page, width=width, arrowsize=width)
        hidden = [("disabled", p.page)]  # there is nothing to scroll
        edges: Any = dict.fromkeys(("bordercolor", "lightcolor", "darkcolor"), hidden)
        style.map(bar, background=[("active", p.quiet), *hidden], **edges)

    def text_options(self) -> dict[str, Any]:
        """Return the options of a plain Tk text widget."""
        p = self.palette
        return {
            "background": p.page,
            "foreground": p.text,
            "insertbackground": p.text,
            "selectbackground": p.accent,
            "selectforeground": p.on_accent,
            "inactiveselectbackground": p.accent,
            "font": self.body,
            "borderwidth": 0,
            "highlightthickness": 0,
            "relief": "flat",
            "wrap": "word",
        }

    def menu_options(self) -> dict[str, Any]:
        """Return the options of a plain Tk menu."""
        p = self.palette
        return {
            "background": p.panel,
            "foreground": p.text,
            "activebackground": p.accent,
            "activeforeground": p.on_accent,
            "selectcolor": p.accent,
            "font": self.body,
            "borderwidth": 1,
            "activeborderwidth": 0,
            "relief": "solid",
        }


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
