"""ttk styles made of images, because Tk's own widgets have neither round corners nor focus rings."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk
from typing import Any

from chatctl.window import shapes
from chatctl.window.fonts import Fonts
from chatctl.window.palette import Palette

# A button with this style stands on the panel beside the page.
SIDE = "Side"


def _part(name: str, *children: Any, **options: str) -> Any:
    """Return an element of a ttk layout that fills its space, unless ``options`` say otherwise."""
    inside = {"children": list(children)} if children else {}
    return name, {"sticky": "nsew"} | options | inside


class Styles:
    """The styles of one theme, palette and text size; keeps the images, which Tk does not."""

    def __init__(self, root: tk.Misc, fonts: Fonts, palette: Palette, name: str) -> None:
        self._root, self._fonts, self._palette = root, fonts, palette
        self._images: list[tk.PhotoImage] = []
        self._style = style = ttk.Style(root)
        self.name = name
        style.theme_create(name, parent="clam")
        style.theme_use(name)
        self._common()
        self._buttons()
        self._fields()
        self._lists()

    def _common(self) -> None:
        p, style, fonts = self._palette, self._style, self._fonts
        style.configure(
            ".",
            background=p.page,
            foreground=p.text,
            font=fonts.body,
            bordercolor=p.line,
            lightcolor=p.page,
            darkcolor=p.page,
            troughcolor=p.page,
            focuscolor=p.accent,
            insertcolor=p.text,
            insertwidth=max(1, fonts.unit // 6),
            selectbackground=p.accent,
            selectforeground=p.on_accent,
        )
        style.configure("Line.TFrame", background=p.line)
        style.configure("Ring.TFrame", padding=1)
        style.map("Ring.TFrame", background=[("focus", p.accent)])
        style.configure("Side.TFrame", background=p.panel)
        style.configure("Side.TLabel", background=p.panel)
        for name, font, colour in (
            ("Title", fonts.title, p.text),
            ("Bold", fonts.bold, p.text),
            ("Heading", fonts.small_bold, p.quiet),
            ("Quiet", fonts.small, p.quiet),
            ("Good", fonts.small, p.good),
            ("Warn", fonts.small, p.warn),
            ("Bad", fonts.small, p.bad),
        ):
            style.configure(f"{name}.TLabel", font=font, foreground=colour)
            style.configure(f"Side{name}.TLabel", font=font, foreground=colour, background=p.panel)
        self._image_element("Card.border", self._box(p.page, p.page, p.edge, 1))
        style.layout("Panel.TFrame", [_part("Card.border")])

    def _box(self, behind: str, fill: str, border: str = "", stroke: int = 0) -> tk.PhotoImage:
        """Return a box with round corners, whose middle Tk repeats: the larger it is, the less often."""
        radius, unit = self._fonts.radius, self._fonts.unit
        width, height = 2 * radius + 12 * unit, 2 * radius + 2 * unit
        return self._keep(shapes.rounded(width, height, radius, behind, fill, border, stroke))

    def _keep(self, png: bytes) -> tk.PhotoImage:
        image = tk.PhotoImage(master=self._root, data=png, format="png")
        self._images.append(image)
        return image

    def _image_element(self, name: str, normal: tk.PhotoImage, *states: tuple[Any, ...], **more: Any) -> None:
        least = 2 * self._fonts.radius
        options = {"border": self._fonts.radius, "sticky": "nsew", "padding": 0} | more
        # The image is larger than what it is drawn for must be.
        options = {"width": least, "height": least} | options
        create: Any = self._style.element_create
        create(name, "image", normal, *states, **options)

    def _button_faces(self, name: str, behind: str, fill: str, border: str, hover: str, ring: str) -> None:
        """Draw the states of a button; ``ring`` surrounds it while it has the focus."""
        thick, p = self._fonts.ring, self._palette
        pressed = p.line if hover == p.hover else fill
        self._image_element(
            name,
            self._box(behind, fill, border, 1),
            ("disabled", self._box(behind, p.hover)),
            ("pressed", self._box(behind, pressed, border, 1)),
            ("focus", "active", self._box(behind, hover, ring, thick)),
            ("focus", self._box(behind, fill, ring, thick)),
            ("active", self._box(behind, hover, border, 1)),
        )

    def _buttons(self) -> None:
        p, style, unit = self._palette, self._style, self._fonts.unit
        faces = (
            ("", p.page, p.page, p.edge, p.hover, p.accent),
            ("Flat", p.page, p.page, "", p.hover, p.accent),
            (SIDE, p.panel, p.panel, "", p.hover, p.accent),
            ("Accent", p.page, p.accent, "", p.accent_hover, p.text),
        )
        for kind, behind, fill, border, hover, ring in faces:
            self._button_faces(f"{kind}Button.face", behind, fill, border, hover, ring)
            label = _part("Button.padding", _part("Button.label"))
            for base in ("TButton", "TMenubutton"):
                name = f"{kind}.{base}" if kind else base
                style.layout(name, [_part(f"{kind}Button.face", label)])
                style.configure(name, padding=(unit + unit // 2, unit // 2), width=0, anchor="center")
                style.map(name, foreground=[("disabled", p.quiet)])
        for base in ("TButton", "TMenubutton"):
            style.configure(f"{SIDE}.{base}", background=p.panel, foreground=p.quiet, padding=unit // 2)
            style.configure(f"Flat.{base}", foreground=p.quiet, padding=(unit, unit // 2))
        style.configure("Accent.TButton", foreground=p.on_accent, font=self._fonts.bold)

    def _fields(self) -> None:
        p, style, unit = self._palette, self._style, self._fonts.unit
        thick = self._fonts.ring
        ring = ("focus", self._box(p.page, p.field, p.accent, thick))
        self._image_element("Field.border", self._box(p.page, p.field, p.edge, 1), ring)
        inner = _part("Entry.padding", _part("Entry.textarea"))
        style.layout("Field.TFrame", [_part("Field.border")])
        style.layout("TEntry", [_part("Field.border", inner)])
        style.configure("TEntry", padding=(unit, unit // 2 + unit // 4))
        size = 2 * unit
        box: Callable[..., bytes] = lambda *drawn: shapes.rounded(size, size, unit // 2, p.page, *drawn)  # noqa: E731
        self._image_element(
            "Tick.indicator",
            self._keep(box(p.field, p.edge, 1)),
            ("selected", "focus", self._keep(box(p.accent, p.text, thick))),
            ("selected", self._keep(box(p.accent, p.field, thick))),
            ("focus", self._keep(box(p.field, p.accent, thick))),
            border=0,
            sticky="w",
            # With a gap before the label.
            width=size + unit,
            height=size,
        )
        parts = (_part("Tick.indicator", side="left", sticky=""), _part("Checkbutton.label", side="left"))
        style.layout("TCheckbutton", [_part("Checkbutton.padding", *parts)])
        style.configure("TCheckbutton", padding=unit // 2)

    def _lists(self) -> None:
        p, style, fonts = self._palette, self._style, self._fonts
        unit = fonts.unit
        height = fonts.body.metrics("linespace") + unit
        style.configure("Treeview", background=p.page, fieldbackground=p.page, rowheight=height)
        # Only the tree itself, without the border that clam draws.
        style.layout("Treeview", [_part("Treeview.treearea")])
        style.map("Treeview", background=[("selected", p.soft)], foreground=[("selected", p.on_soft)])
        style.configure("Item", indicatorsize=0)
        for kind, ground in (("", p.page), (SIDE, p.panel)):
            self._scrollbar(f"{kind}.Vertical.TScrollbar" if kind else "Vertical.TScrollbar", kind, ground)

    def _scrollbar(self, name: str, kind: str, ground: str) -> None:
        p: Palette = self._palette
        width = self._fonts.bar_width
        pill: Callable[[str], tk.PhotoImage] = lambda colour: self._keep(  # noqa: E731
            shapes.rounded(width, 8 * width, width // 2, ground, colour)
        )
        nothing = self._keep(shapes.rounded(width, 8 * width, 0, ground, ground))
        self._image_element(
            f"{kind}Pill.thumb",
            pill(p.line),
            ("disabled", nothing),
            ("pressed", pill(p.quiet)),
            ("active", pill(p.edge)),
            border=(0, width // 2),
            sticky="ns",
            width=width,
            height=3 * width,
        )
        thumb = _part(f"{kind}Pill.thumb", expand="1", sticky="ns")
        self._style.layout(name, [_part("Vertical.Scrollbar.trough", thumb, sticky="ns")])
        self._style.configure(
            name,
            **dict.fromkeys(("background", "troughcolor", "bordercolor", "lightcolor", "darkcolor"), ground),
            width=width,
            arrowsize=width,
        )
