"""The look of one window: its palette, fonts, distances, images and ttk styles."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable, Mapping
from tkinter import ttk
from typing import Any

from chatctl.window.fonts import Fonts
from chatctl.window.palette import LIGHT, Palette
from chatctl.window.styles import Styles

# Drawn images that are kept; several times as many as a window shows at once.
IMAGES_LIMIT = 400


class Theme(Fonts):
    """The fonts and colours of one window. Call `use` to change the palette."""

    def __init__(self, root: tk.Tk, *, scale: float | None, environ: Mapping[str, str]) -> None:
        super().__init__(root, scale=scale, environ=environ)
        self.palette = LIGHT
        self._images: dict[Any, tk.PhotoImage] = {}
        self._styles: dict[str, Styles] = {}

    def zoom(self, points: int) -> None:
        """Set the text size, within `ZOOM_RANGE`."""
        self._resize(points)
        self.use(self.palette)

    def use(self, palette: Palette) -> None:
        """Apply a palette to all ttk widgets. Plain Tk widgets need `text_options` and `menu_options`."""
        self.palette = palette
        self._root.configure(background=palette.page)
        name = f"chatd-{self.unit}-{self.points}-{palette.page}"
        if name in self._styles:
            ttk.Style(self._root).theme_use(name)
        else:
            self._styles[name] = Styles(self._root, self, palette, name)

    def image(self, draw: Callable[..., bytes], *arguments: Any) -> tk.PhotoImage:
        """Return the image that a function of `shapes` draws, drawn at most once while it is in use."""
        key = (draw, arguments)
        if (image := self._images.pop(key, None)) is None:
            image = tk.PhotoImage(master=self._root, data=draw(*arguments), format="png")
            if len(self._images) >= IMAGES_LIMIT:
                del self._images[next(iter(self._images))]
        self._images[key] = image
        return image

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
            "background": p.page,
            "foreground": p.text,
            "activebackground": p.accent,
            "activeforeground": p.on_accent,
            "selectcolor": p.accent,
            "font": self.body,
            "borderwidth": 1,
            "activeborderwidth": self.unit // 4,
            "relief": "solid",
        }
