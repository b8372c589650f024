"""The foot of the list of conversations: who this is, and whether there is a connection."""

from __future__ import annotations

import tkinter as tk

from chatctl.model.chat_model import ChatModel
from chatctl.window.avatars import draw_avatar
from chatctl.window.row_list import shortened
from chatctl.window.theme import Theme

# The presence that looks like a state of the connection.
_DOTS = {"connected": "online", "ended": "offline"}


class OwnLine(tk.Canvas):
    """The user's name, role and server, or the state of a connection that is not there."""

    def __init__(self, parent: tk.Misc, theme: Theme) -> None:
        super().__init__(parent, borderwidth=0, highlightthickness=0, width=10)
        self._theme = theme
        self.shown = ("", "", "")  # the name, the line below it, the state of the connection
        self.bind("<Configure>", lambda _: self._draw())

    def restyle(self) -> None:
        """Apply the theme's current colours and fonts."""
        theme = self._theme
        height = theme.body.metrics("linespace") + theme.small.metrics("linespace") + 2 * theme.unit
        self.configure(background=theme.palette.panel, height=height)
        self._draw()

    def show(self, model: ChatModel) -> None:
        """Draw the state of the model."""
        welcome = model.welcome
        if model.connection == "connected" and welcome is not None:
            below = f"{welcome.role} on {welcome.instance}"
        else:
            below = "not connected" if model.connection == "ended" else model.connection_words
        if (shown := (model.me, below, model.connection)) != self.shown:
            self.shown = shown
            self._draw()

    def _draw(self) -> None:
        self.delete("all")
        theme, p, unit = self._theme, self._theme.palette, self._theme.unit
        name, below, state = self.shown
        if not name:
            return
        size, middle, left = 4 * unit, self.winfo_reqheight() // 2, 2 * unit
        dot = _DOTS.get(state, "away")
        draw_avatar(self, theme, name, (left, middle - size // 2), size, p.panel, state=dot)
        left += size + unit + unit // 2
        width = self.winfo_width() - left - unit
        colour = {"connected": p.quiet, "ended": p.bad}.get(state, p.warn)
        name, below = shortened(name, theme.bold, width), shortened(below, theme.small, width)
        self.create_text(left, middle, text=name, font=theme.bold, fill=p.text, anchor="sw")
        self.create_text(left, middle, text=below, font=theme.small, fill=colour, anchor="nw")
