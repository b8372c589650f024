"""The message area: read-only text that follows its end, and keeps its place while scrolled back."""

from __future__ import annotations

import tkinter as tk
from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import accumulate
from tkinter import ttk

from chatctl.model.markup import LINK
from chatctl.window.emoji import EmojiNames
from chatctl.window.margin import Margin, ShownBlock
from chatctl.window.text_tags import text_tags
from chatctl.window.theme import Theme
from chatctl.window.timeline import MORE, Block, line_count, splices
from chatd.proto.frames import INTEGER_LIMIT

# Blocks whose label stands between two lines, and the colour of these lines.
_RULES = {"day": "line", "divider": "bad"}


class MessageView(ttk.Frame):
    """Draws blocks of text; ``on_top`` is called when the first line becomes visible."""

    def __init__(self, parent: tk.Misc, theme: Theme, on_top: Callable[[], None]) -> None:
        super().__init__(parent, style="Ring.TFrame", padding=1)
        self._theme = theme
        self._on_top = on_top
        self._shown: list[Block] = []
        self._lines: list[int] = [1]  # the first line of each block, and the line after the last
        self.name = ""  # of the conversation that is drawn
        self._hovered = -1
        self._emoji = EmojiNames(self, theme)
        self._awaiting_margin = False
        self.text = tk.Text(
            self, state="disabled", cursor="arrow", undo=False, takefocus=True, width=20, height=5
        )
        self.margin = Margin(self, theme, self.text)
        self._rules: list[tk.Frame] = []
        self._bar = bar = ttk.Scrollbar(self, command=self.text.yview)
        self.text.configure(yscrollcommand=self._scrolled)
        bar.pack(side="right", fill="y")
        self.margin.pack(side="left", fill="y")
        self.text.pack(side="left", fill="both", expand=True)
        self.text.bind("<Configure>", self._resized)
        for widget in (self.text, self.margin):
            widget.bind("<Motion>", lambda event: self._hover(event.y), add="+")
            widget.bind("<Leave>", lambda _: self._hover(-1), add="+")
        # The frame's padding is a ring around the messages that shows the focus.
        self.text.bind("<FocusIn>", lambda _: self.state(["focus"]), add="+")
        self.text.bind("<FocusOut>", lambda _: self.state(["!focus"]), add="+")
        self.following = True  # whether the newest message stays visible
        self._top = "1.0"  # the first character in view when the end was last gone to
        self.on_more: Callable[[int], None] = lambda seq: None  # open the message with this seq
        self.on_link: Callable[[str], None] = lambda address: None  # open an address
        self.on_scroll: Callable[[], None] = lambda: None  # other lines are in view
        self.text.tag_bind(MORE, "<Button-1>", self._open)
        self.text.tag_bind(LINK, "<ButtonRelease-1>", self._follow)
        for tag in (MORE, LINK):
            self.text.tag_bind(tag, "<Enter>", lambda _: self.text.configure(cursor="hand2"))
            self.text.tag_bind(tag, "<Leave>", lambda _: self.text.configure(cursor="arrow"))

    def restyle(self) -> None:
        """Apply the theme's current colours and fonts."""
        text = self.text
        text.configure(**self._theme.text_options(), padx=0, pady=0)
        for tag, options in text_tags(self._theme).items():
            text.tag_configure(tag, **options)
        text.tag_raise("mention")
        text.tag_raise("found")
        text.tag_raise("sel")
        self.margin.restyle()
        self._draw_margin_later()

    def show(self, name: str, blocks: list[Block]) -> None:
        """Draw a conversation, replacing only the blocks that differ from those shown."""
        if name != self.name:
            self.name, self.following = name, True
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
        self._note_lines(blocks, min(begin for begin, _, _ in replacements))
        if following:
            self.to_end()
        elif moved:
            # Lines were inserted or removed above: keep the visible text where it was, to the pixel.
            text.yview(f"{line}.{column}")
            text.yview_scroll(self._y_of(f"{line}.{column}") - height, "pixels")
        self._draw_margin_later()

    def _note_lines(self, blocks: list[Block], changed: int) -> None:
        """Remember where blocks begin; those before ``changed`` have not moved."""
        known, added = self._lines[:changed], (line_count([block]) for block in blocks[changed:])
        self._lines = [*known, *accumulate(added, initial=self._lines[changed])]
        self._shown = blocks

    def _replace(self, begin: int, end: int, new: list[Block]) -> tuple[int, int]:
        """Replace the blocks ``begin`` to ``end``; return the first line, and how many lines were added."""
        # Lines, not characters: Tk and Python count characters outside the BMP differently.
        top, after = self._lines[begin], self._lines[end]
        self.text.delete(f"{top}.0", f"{after}.0")
        shown = self._emoji.shown
        parts = [part for block in new for tag, text in block.parts for part in (shown(text), tag)]
        if parts:
            self.text.insert(f"{top}.0", *parts)
        return top, line_count(new) - (after - top)

    def _y_of(self, index: str) -> int:
        """Return a line's distance from the upper edge in pixels, negative when it is cut off there."""
        place = self.text.dlineinfo(index)
        return place[1] if place else 0

    def to_end(self) -> None:
        """Scroll to the newest message and follow new ones."""
        self.following = True
        self.text.see("end")
        self.text.yview_moveto(1.0)
        self._top = self.text.index("@0,0")

    def seq_at(self, x: int, y: int) -> int:
        """Return the seq of the event at a place in the text; 0 for none."""
        line = int(self.text.index(f"@{x},{y}").partition(".")[0])
        for block in self._shown:
            line -= line_count((block,))
            if line <= 0:
                return block.seq
        return 0

    def reveal(self, seq: int) -> bool:
        """Scroll to a message and highlight it; return False if it is not loaded."""
        at = next((place for place, block in enumerate(self._shown) if block.seq == seq), None)
        if at is None:
            return False
        self.following = False
        top, after = self._lines[at], self._lines[at + 1]
        self.text.see(f"{top}.0")
        self.text.tag_remove("found", "1.0", "end")
        self.text.tag_add("found", f"{top}.0", f"{after}.0")
        return True

    def span(self) -> tuple[int, int, int]:
        """Return the seqs of the event above the first in view, of that, and of the last; 0 for none.

        While the end is in view the last is `INTEGER_LIMIT`.
        """
        shown = [one.block for one in self.in_view() if one.block.seq]
        last = INTEGER_LIMIT if self.following else shown[-1].seq if shown else 0
        if not shown:
            return 0, 0, last
        place = next(at for at, block in enumerate(self._shown) if block.seq == shown[0].seq)
        above = next((block.seq for block in reversed(self._shown[:place]) if block.seq), 0)
        return above, shown[0].seq, last

    def page(self, pages: int) -> None:
        """Scroll by pages; up if negative."""
        self.text.yview_scroll(pages, "pages")

    # -- what is drawn beside and between the lines

    def in_view(self) -> Iterator[ShownBlock]:
        """Yield the blocks in view, from top to bottom."""
        text, height = self.text, self.text.winfo_height()
        place = max(0, bisect_right(self._lines, int(text.index("@0,0").split(".")[0])) - 1)
        if place >= len(self._shown):
            return
        top = self._top_of_first(f"{self._lines[place]}.0")
        while place < len(self._shown) and top < height:
            below = text.dlineinfo(f"{self._lines[place + 1]}.0")
            # The last line of the text is empty, and no line below the area has a place.
            bottom = below[1] if below else height
            yield ShownBlock(self._shown[place], top, bottom)
            place, top = place + 1, bottom

    def _top_of_first(self, index: str) -> int:
        """Return where a line begins that may be above the area."""
        if place := self.text.dlineinfo(index):
            return place[1]
        above: object = self.text.count(index, "@0,0", "ypixels")
        pixels = above[0] if isinstance(above, tuple) else above
        return -int(pixels) if isinstance(pixels, int) else 0

    def _draw_margin_later(self) -> None:
        if not self._awaiting_margin:
            self._awaiting_margin = True
            self.after_idle(self._draw_margin)

    def _draw_margin(self) -> None:
        self._awaiting_margin = False
        if self.winfo_exists():
            shown = list(self.in_view())
            self.margin.draw(shown, self._hovered)
            self._draw_rules([block for block in shown if block.block.parts[0][0] in _RULES])

    def _draw_rules(self, labels: list[ShownBlock]) -> None:
        """Draw a line on both sides of each label; Tk's text has none."""
        gap, used = 2 * self._theme.unit, 0
        for shown in labels:
            # The label is on the last line above the lower edge of its block.
            line = self.text.index(f"@0,{shown.bottom - 1}")
            letter, info = self.text.bbox(f"{line} display linestart"), self.text.dlineinfo(line)
            if letter is None or info is None:
                continue
            x, right = info[0], info[0] + info[2] + gap
            middle = letter[1] + letter[3] // 2
            colour = getattr(self._theme.palette, _RULES[shown.block.parts[0][0]])
            for left, until in ((gap // 2, x - gap), (right, self.text.winfo_width() - gap)):
                if until > left:
                    self._rule(used, colour).place(
                        x=left, y=middle, width=until - left, height=1, bordermode="outside"
                    )
                    used += 1
        for unused in self._rules[used:]:
            unused.place_forget()

    def _rule(self, number: int, colour: str) -> tk.Frame:
        while len(self._rules) <= number:
            self._rules.append(tk.Frame(self.text))
        self._rules[number].configure(background=colour)
        return self._rules[number]

    def _hover(self, y: int) -> None:
        self._hovered = y
        self._draw_margin_later()

    def _open(self, event: tk.Event[tk.Text]) -> None:
        line = int(self.text.index(f"@{event.x},{event.y}").split(".")[0])
        self.on_more(self._shown[bisect_right(self._lines, line) - 1].seq)

    def _follow(self, event: tk.Event[tk.Text]) -> None:
        place = f"@{event.x},{event.y}"
        link = self.text.tag_prevrange(LINK, f"{place} + 1 chars")
        # The button is also released at the end of a selection, which may end in a link.
        if link and not self.text.tag_ranges("sel"):
            self.on_link(self.text.get(*link))

    def _scrolled(self, first: float, last: float) -> None:
        self._bar.set(first, last)
        at_end = float(last) >= 1.0
        if self.following and not at_end and self.text.compare("@0,0", ">=", self._top):
            # Nobody scrolled up: Tk has measured lines that it had only estimated when it went to the end.
            self.after_idle(self.to_end)
        else:
            self.following = at_end
        if self._hovered >= 0:  # the text has moved, not the pointer
            self._hovered = self.winfo_pointery() - self.text.winfo_rooty()
        self._draw_margin_later()
        self.on_scroll()
        if float(first) <= 0.0:
            self._on_top()

    def _resized(self, _: object) -> None:
        self._draw_margin_later()
        if self.following:
            self.after_idle(self.to_end)
