"""The message area: read-only text that follows its end, and keeps its place while scrolled back."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk
from typing import Any

from chatctl.window.theme import Theme
from chatctl.window.timeline import Block, line_count, splices


class MessageView(ttk.Frame):
    """Draws blocks of text; ``on_top`` is called when the first line becomes visible."""

    def __init__(self, parent: tk.Misc, theme: Theme, on_top: Callable[[], None]) -> None:
        super().__init__(parent, style="Page.TFrame")
        self._theme = theme
        self._on_top = on_top
        self._shown: list[Block] = []
        self._name = ""
        self.text = tk.Text(
            self, state="disabled", cursor="arrow", undo=False, takefocus=True, width=20, height=5
        )
        self._bar = ttk.Scrollbar(self, command=self.text.yview)
        self.text.configure(yscrollcommand=self._scrolled)
        self._bar.pack(side="right", fill="y")
        self.text.pack(side="left", fill="both", expand=True)
        self.text.bind("<Configure>", self._resized)
        self.following = True  # whether the newest message stays visible

    def restyle(self) -> None:
        """Apply the theme's current colours and fonts."""
        unit, text = self._theme.unit, self.text
        text.configure(**self._theme.text_options(), padx=2 * unit, pady=unit)
        p = self._theme.palette
        # A thin border shows the focus.
        text.configure(highlightthickness=1, highlightbackground=p.page, highlightcolor=p.accent)
        for tag, options in self._tag_options().items():
            text.tag_configure(tag, **options)
        text.tag_raise("sel")

    def _tag_options(self) -> dict[str, dict[str, Any]]:
        p, unit, theme = self._theme.palette, self._theme.unit, self._theme
        indent = {"lmargin1": unit, "lmargin2": unit, "spacing1": unit // 4}
        centred = {"font": theme.small, "justify": "center", "spacing1": unit}
        names = {f"name{number}": colour for number, colour in enumerate(p.names)} | {"me": p.accent}
        return {
            **{tag: {"foreground": c, "font": theme.bold, "spacing1": unit} for tag, c in names.items()},
            "role": {"foreground": p.warn, "font": theme.small},
            "time": {"foreground": p.quiet, "font": theme.small},
            "body": indent,
            "mention": {**indent, "background": p.mention},
            "pending": {**indent, "foreground": p.quiet},
            "mark": {"foreground": p.quiet, "font": theme.small},
            "quote": {**indent, "foreground": p.quiet, "font": theme.italic},
            "action": {"font": theme.italic, "spacing1": unit // 2},
            "event": {"foreground": p.quiet, "font": theme.small, "spacing1": unit // 2},
            "note": {**indent, "foreground": p.quiet},
            "listing": {**indent, "foreground": p.text, "font": theme.fixed},
            "announcement": {"foreground": p.accent, "font": theme.bold, "spacing1": unit},
            "error": {**indent, "foreground": p.bad},
            "refused": {**indent, "foreground": p.bad},
            "day": {**centred, "foreground": p.quiet},
            "begin": {**centred, "foreground": p.quiet},
            "divider": {**centred, "foreground": p.bad},
            "found": {"background": p.mention},
        }

    def show(self, name: str, blocks: list[Block]) -> None:
        """Draw a conversation, replacing only the blocks that differ from those shown."""
        if name != self._name:
            self._name, self.following = name, True
        replacements = splices(self._shown, blocks)
        if not replacements:
            return
        following, text = self.following, self.text
        first_line, _, column = text.index("@0,0").partition(".")
        height, line, moved = self._y_of(f"{first_line}.{column}"), int(first_line), False
        text.configure(state="normal")
        for begin, end, new in replacements:
            top, added = self._replace(begin, end, new)
            if top <= int(first_line):
                line, moved = max(top, line + added), True
        text.configure(state="disabled")
        self._shown = blocks
        if following:
            self.to_end()
        elif moved:
            # Lines were inserted or removed above: keep the visible text where it was, to the pixel.
            text.yview(f"{line}.{column}")
            text.yview_scroll(self._y_of(f"{line}.{column}") - height, "pixels")

    def _replace(self, begin: int, end: int, new: list[Block]) -> tuple[int, int]:
        """Replace the blocks ``begin`` to ``end``; return the first line, and how many lines were added."""
        # Lines, not characters: Tk and Python count characters outside the BMP differently.
        top = 1 + line_count(self._shown[:begin])
        removed = line_count(self._shown[begin:end])
        self.text.delete(f"{top}.0", f"{top + removed}.0")
        parts = [part for block in new for tag, text in block.parts for part in (text, tag)]
        if parts:
            self.text.insert(f"{top}.0", *parts)
        return top, line_count(new) - removed

    def _y_of(self, index: str) -> int:
        """Return a line's distance from the upper edge in pixels, negative when it is cut off there."""
        place = self.text.dlineinfo(index)
        return place[1] if place else 0

    def to_end(self) -> None:
        """Scroll to the newest message and follow new ones."""
        self.following = True
        self.text.see("end")
        self.text.yview_moveto(1.0)

    def reveal(self, seq: int) -> bool:
        """Scroll to a message and highlight it; return False if it is not loaded."""
        at = next((place for place, block in enumerate(self._shown) if block.seq == seq), None)
        if at is None:
            return False
        self.following = False
        top = 1 + line_count(self._shown[:at])
        self.text.see(f"{top}.0")
        self.text.tag_remove("found", "1.0", "end")
        self.text.tag_add("found", f"{top}.0", f"{top + line_count(self._shown[at : at + 1])}.0")
        return True

    def page(self, pages: int) -> None:
        """Scroll by pages; up if negative."""
        self.text.yview_scroll(pages, "pages")

    def _scrolled(self, first: float, last: float) -> None:
        self._bar.set(first, last)
        self.following = float(last) >= 1.0
        if float(first) <= 0.0:
            self._on_top()

    def _resized(self, _: object) -> None:
        if self.following:
            self.after_idle(self.to_end)
