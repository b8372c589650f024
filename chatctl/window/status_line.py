"""The line at the bottom: who one is, the state of the connection, what is wrong or calls for attention."""

from __future__ import annotations

import time
import tkinter as tk
from collections.abc import Callable
from datetime import UTC, datetime
from tkinter import ttk

from chatctl.model.chat_model import ChatModel
from chatctl.window.theme import Theme

BANNER_SECONDS = 12.0
EXPIRY_DAYS = 14
_DOTS = {"connected": "Good.TLabel", "ended": "Bad.TLabel"}


class StatusLine(ttk.Frame):
    """``again`` connects anew after the end; its button is there only then."""

    def __init__(self, parent: tk.Misc, theme: Theme, again: Callable[[], None]) -> None:
        unit = theme.unit
        super().__init__(parent, padding=(unit, unit // 3))
        self._theme = theme
        self._banner: tuple[str, float] | None = None
        self._dot = ttk.Label(self, text="\u25cf", style="Warn.TLabel")
        self._dot.pack(side="left")
        self._state = ttk.Label(self, style="Quiet.TLabel")
        self._state.pack(side="left", padx=(unit // 2, unit))
        self._told = ttk.Label(self, style="Bold.TLabel")
        self._again = ttk.Button(self, text="Connect again", command=again)
        self._again.bind("<Return>", lambda _: again())

    @property
    def calling(self) -> bool:
        """Whether a call is shown, which goes away by itself: `show` has to be called now and then."""
        return self._banner is not None

    def call(self, text: str) -> None:
        """Show a call for some seconds in place of what is wrong."""
        self._banner = (text, time.monotonic() + BANNER_SECONDS)

    def show(self, model: ChatModel, ends: datetime) -> None:
        """Draw it anew. ``ends``: when the certificate does."""
        self._dot.configure(style=_DOTS.get(model.connection, "Warn.TLabel"))
        self._state.configure(text=_state(model))
        if self._banner and time.monotonic() > self._banner[1]:
            self._banner = None
        self._tell(
            self._banner[0] if self._banner else _warning(model, ends), ended=model.connection == "ended"
        )

    def _tell(self, text: str, *, ended: bool) -> None:
        """Beside the state where that is wide enough, else below it, in as many lines as it takes."""
        if ended:
            self._again.pack(side="right")
        else:
            self._again.pack_forget()
        theme, loud = self._theme, self.calling
        width = self.winfo_toplevel().winfo_width() - 4 * theme.unit
        used = self._state.winfo_reqwidth() + self._again.winfo_reqwidth() + 4 * theme.unit
        font = theme.bold if loud else theme.small
        if not text:
            self._told.pack_forget()
        elif font.measure(text) + used < width:
            self._told.pack(side="left", fill="x", expand=True, after=self._state)
        else:
            self._told.pack(side="bottom", fill="x", before=self._dot)
        self._told.configure(text=text, style="Bold.TLabel" if loud else "Bad.TLabel", wraplength=width)


def _state(model: ChatModel) -> str:
    unsent = f" ({model.pending} unsent)" if model.pending else ""
    if model.connection == "connected" and model.welcome is not None:
        return f"{model.me} ({model.welcome.role}) on {model.welcome.instance}, connected{unsent}"
    words = "not connected" if model.connection == "ended" else model.connection
    return f"{model.me}, {words}{unsent}"


def _warning(model: ChatModel, ends: datetime) -> str:
    """Why there is no connection, or what soon will be wrong with it."""
    if model.trouble is not None:
        fix = f"; {model.trouble.fix} ({model.trouble.code})" if model.connection == "ended" else ""
        return model.trouble.reason + fix
    if model.welcome is not None and not model.welcome.envelope:
        return "no envelope: only TLS protects this connection"
    days = (ends - datetime.now(UTC)).days
    return f"your certificate ends in {max(days, 0)} days; ask an admin" if days < EXPIRY_DAYS else ""
