"""The message area: a read-only text that follows its end, and keeps its place while one reads back."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk
from typing import Any

from chatctl.window.theme import Theme
from chatctl.window.timeline import Block, line_count, splices


class Messages(ttk.Frame):
    """Draws blocks; ``on_top`` is called when the first line comes into sight."""

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
        self._following = True

    def restyle(self) -> None:
        """Take the theme's present colours and sizes."""
        unit, text = self._theme.unit, self.text
        text.configure(**self._theme.text_options(), padx=2 * unit, pady=unit)
        # A thin edge shows that the keyboard is here.
        p = self._theme.palette
        text.configure(highlightthickness=1, highlightbackground=p.page, highlightcolor=p.accent)
        for name, look in self._looks().items():
            text.tag_configure(name, **look)
        text.tag_raise("sel")

    def _looks(self) -> dict[str, dict[str, Any]]:
        p, unit, theme = self._theme.palette, self._theme.unit, self._theme
        indent = {"lmargin1": unit, "lmargin2": unit, "spacing1": unit // 4}
        middle = {"font": theme.small, "justify": "center", "spacing1": unit}
        names = {f"name{number}": colour for number, colour in enumerate(p.names)} | {"me": p.accent}
        return {
            **{tag: {"foreground": c, "font": theme.bold, "spacing1": unit} for tag, c in names.items()},
            "role": {"foreground": p.warn, "font": theme.small},
            "time": {"foreground": p.quiet, "font": theme.small},
            "body": indent,
            "called": {**indent, "background": p.called},
            "pending": {**indent, "foreground": p.quiet},
            "mark": {"foreground": p.quiet, "font": theme.small},
            "quote": {**indent, "foreground": p.quiet, "font": theme.slanted},
            "action": {"font": theme.slanted, "spacing1": unit // 2},
            "event": {"foreground": p.quiet, "font": theme.small, "spacing1": unit // 2},
            "note": {**indent, "foreground": p.quiet},
            "listing": {**indent, "foreground": p.text, "font": theme.fixed},
            "announcement": {"foreground": p.accent, "font": theme.bold, "spacing1": unit},
            "error": {**indent, "foreground": p.bad},
            "refused": {**indent, "foreground": p.bad},
            "day": {**middle, "foreground": p.quiet},
            "begin": {**middle, "foreground": p.quiet},
            "divider": {**middle, "foreground": p.bad},
            "found": {"background": p.called},
        }

    def show(self, name: str, blocks: list[Block]) -> None:
        """Draw a conversation, changing only what differs from what is shown."""
        if name != self._name:
            self._name, self._following = name, True
        wanted = splices(self._shown, blocks)
        if not wanted:
            return
        following, text = self._following, self.text
        seen, _, column = text.index("@0,0").partition(".")
        height, line, moved = self._height_of(f"{seen}.{column}"), int(seen), False
        text.configure(state="normal")
        for begin, end, fresh in wanted:
            top, by = self._replace(begin, end, fresh)
            if top <= int(seen):
                line, moved = max(top, line + by), True
        text.configure(state="disabled")
        self._shown = blocks
        if following:
            self.to_end()
        elif moved:
            # What one reads stays where it is, to the pixel, when something is put in or taken out above.
            text.yview(f"{line}.{column}")
            text.yview_scroll(self._height_of(f"{line}.{column}") - height, "pixels")

    def _replace(self, begin: int, end: int, fresh: list[Block]) -> tuple[int, int]:
        """Draw other blocks in the place of some; the first line, and how many there are more now."""
        # Lines, not characters: Tk counts the letters outside of the BMP differently than Python does.
        top = 1 + line_count(self._shown[:begin])
        removed = line_count(self._shown[begin:end])
        self.text.delete(f"{top}.0", f"{top + removed}.0")
        parts = [part for block in fresh for tag, words in block.parts for part in (words, tag)]
        if parts:
            self.text.insert(f"{top}.0", *parts)
        return top, line_count(fresh) - removed

    def _height_of(self, index: str) -> int:
        """Where a line stands: pixels below the upper edge, negative when it is cut off there."""
        place = self.text.dlineinfo(index)
        return place[1] if place else 0

    def to_end(self) -> None:
        """Show the newest and follow it again."""
        self._following = True
        self.text.see("end")
        self.text.yview_moveto(1.0)

    def reveal(self, seq: int) -> bool:
        """Scroll to a message and mark it; False when it is not here."""
        at = next((place for place, block in enumerate(self._shown) if block.seq == seq), None)
        if at is None:
            return False
        self._following = False
        top = 1 + line_count(self._shown[:at])
        self.text.see(f"{top}.0")
        self.text.tag_remove("found", "1.0", "end")
        self.text.tag_add("found", f"{top}.0", f"{top + line_count(self._shown[at : at + 1])}.0")
        return True

    @property
    def following(self) -> bool:
        """Whether the newest is in sight and stays so."""
        return self._following

    def page(self, pages: int) -> None:
        """Scroll by pages, up when negative."""
        self.text.yview_scroll(pages, "pages")

    def _scrolled(self, first: float, last: float) -> None:
        self._bar.set(first, last)
        self._following = float(last) >= 1.0
        if float(first) <= 0.0:
            self._on_top()

    def _resized(self, _: object) -> None:
        if self._following:
            self.after_idle(self.to_end)
