"""The margin beside the messages: whose they are, and when the one under the pointer was sent.

No message can draw here, so an avatar is always that of the author.
"""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable, Iterable
from typing import NamedTuple

from chatctl.model.times import Times
from chatctl.window.avatars import draw_avatar
from chatctl.window.theme import Theme
from chatctl.window.timeline import Block

# In units of the theme.
_WIDTH, _AVATAR, _LEFT = 8, 4, 2


class ShownBlock(NamedTuple):
    """A block in view, and the pixels between which it is drawn."""

    block: Block
    top: int
    bottom: int


class Margin(tk.Canvas):
    """``write_to`` gets the person whose avatar is clicked; the wheel is passed on to ``messages``."""

    def __init__(self, parent: tk.Misc, theme: Theme, messages: tk.Text) -> None:
        super().__init__(parent, borderwidth=0, highlightthickness=0, width=10, height=10)
        self._theme = theme
        self.times = Times.UTC
        self.write_to: Callable[[str], None] = lambda _: None
        for event in ("<Button-4>", "<Button-5>", "<MouseWheel>"):
            self.bind(event, lambda e, name=event: self._pass_on(messages, name, e))
        self.people: list[tuple[int, str]] = []  # the upper edge of each avatar, and whose it is
        self.tag_bind("avatar", "<Enter>", lambda _: self.configure(cursor="hand2"))
        self.tag_bind("avatar", "<Leave>", lambda _: self.configure(cursor=""))
        self.tag_bind("avatar", "<Button-1>", self._clicked)

    @staticmethod
    def _pass_on(messages: tk.Text, name: str, event: tk.Event[tk.Misc]) -> None:
        messages.event_generate(name, delta=event.delta)

    def restyle(self) -> None:
        """Apply the theme's current colours and fonts."""
        self.configure(width=_WIDTH * self._theme.unit, background=self._theme.palette.page)

    def draw(self, blocks: Iterable[ShownBlock], hovered: int) -> None:
        """Draw what belongs to the blocks in view; ``hovered`` is the pixel that the pointer is at, or -1."""
        self.delete("all")
        self.people = []
        theme, p = self._theme, self._theme.palette
        unit, width = theme.unit, _WIDTH * theme.unit
        for block, top, bottom in blocks:
            ground = p.page
            if block.parts[-1][0].endswith(" mention"):
                ground = p.mention
                self.create_rectangle(0, top, width, bottom, fill=ground, width=0)
                self.create_rectangle(0, top, theme.ring, bottom, fill=p.warn, width=0)
            if block.person:
                place = (_LEFT * unit, top + unit)
                self.people.append((place[1], block.person))
                draw_avatar(self, theme, block.person, place, _AVATAR * unit + 2, ground, tag="avatar")
            elif block.at and top <= hovered < bottom:
                time = self.times.clock(block.at, seconds=False)
                y = top + unit // 4 + theme.body.metrics("ascent")
                y += theme.small.metrics("descent")
                self.create_text(
                    width - unit, y, text=time, anchor="se", fill=p.quiet, font=theme.small, tags="time"
                )

    def _clicked(self, event: tk.Event[tk.Misc]) -> None:
        self.write_to([person for top, person in self.people if top <= event.y][-1])
