"""The status line: the user, the state of the connection, and alerts and warnings."""

from __future__ import annotations

import os
import time
import tkinter as tk
from collections.abc import Callable
from datetime import UTC, datetime
from tkinter import ttk

from chatctl.model.chat_model import ChatModel
from chatctl.model.expiring import expiry_warning
from chatctl.model.render import safe
from chatctl.window.identity_input import FILE_NAME
from chatctl.window.theme import Theme
from chatd.console.folders import config_folder
from chatd.pki.identity import Identity

ALERT_SECONDS = 12.0
_BUTTONS = {"reconnecting": "Try now", "ended": "Connect again"}
_NEW_INVITE = "New invite\u2026"
_DOTS = {"connected": "Good.TLabel", "ended": "Bad.TLabel"}


class StatusLine(ttk.Frame):
    """``connect_now`` is called by a button that is shown while reconnecting and after the end."""

    def __init__(self, parent: tk.Misc, theme: Theme, connect_now: Callable[[], None]) -> None:
        unit = theme.unit
        super().__init__(parent, padding=(unit, unit // 3))
        self._theme = theme
        self.silent = False  # whether there is nothing but a connection to tell of
        self._seconds = 0  # until the next attempt to connect, as shown
        self._alert: tuple[str, float] | None = None  # the text, and when it disappears (monotonic)
        self._dot = ttk.Label(self, text="\u25cf", style="Warn.TLabel")
        self._dot.pack(side="left")
        self._state = ttk.Label(self, style="Quiet.TLabel")
        self._state.pack(side="left", padx=(unit // 2, unit))
        self._message = ttk.Label(self, style="Bold.TLabel")
        self._button = ttk.Button(self, command=connect_now)

    def changes_with_time(self, model: ChatModel) -> bool:
        """Whether `show` must be called again although nothing happens: an alert ends, seconds count down."""
        return self._alert is not None or model.retry_seconds != self._seconds

    def show_alert(self, text: str) -> None:
        """Show an alert for some seconds in place of any warning, from the next `show` on."""
        self._alert = (text, time.monotonic() + ALERT_SECONDS)

    def show(self, model: ChatModel, identity: Identity) -> bool:
        """Draw the line; return whether its height may have changed."""
        before = self.silent, self._message.cget("text"), self._button.cget("text")
        self._dot.configure(style=_DOTS.get(model.connection, "Warn.TLabel"))
        self._state.configure(text=_state(model))
        self._seconds = model.retry_seconds
        if self._alert and time.monotonic() > self._alert[1]:
            self._alert = None
        if label := _NEW_INVITE if takes_invite(model, identity) else _BUTTONS.get(model.connection):
            self._button.configure(text=label)
            self._button.pack(side="right")
        else:
            self._button.configure(text="")
            self._button.pack_forget()
        warning = _warning(model, identity)
        self._show_message(self._alert[0] if self._alert else warning or _hint(model), quiet=not warning)
        self.silent = model.connection == "connected" and not self._message.cget("text")
        return before != (self.silent, self._message.cget("text"), self._button.cget("text"))

    def _show_message(self, text: str, *, quiet: bool) -> None:
        """Show the text beside the state if it fits there, else below it, wrapped."""
        theme, alert = self._theme, self._alert is not None
        width = self.winfo_toplevel().winfo_width() - 4 * theme.unit
        used = self._state.winfo_reqwidth() + self._button.winfo_reqwidth() + 4 * theme.unit
        font = theme.bold if alert else theme.small
        style = "Bold.TLabel" if alert else "Quiet.TLabel" if quiet else "Bad.TLabel"
        if not text:
            self._message.pack_forget()
        elif font.measure(text) + used < width:
            self._message.pack(side="left", fill="x", expand=True, after=self._state)
        else:
            self._message.pack(side="bottom", fill="x", before=self._dot)
        self._message.configure(text=text, style=style, wraplength=width)


def takes_invite(model: ChatModel, identity: Identity) -> bool:
    """Return whether the device was revoked and an invite may replace its identity file.

    A file that was named by an option or the environment is left to its owner.
    """
    revoked = model.connection == "ended" and model.trouble is not None and model.trouble.code == "E206"
    return revoked and identity.path == config_folder(os.environ) / FILE_NAME


def _state(model: ChatModel) -> str:
    pending = len(model.pending())
    unsent = f" ({pending} unsent)" if pending else ""
    if model.connection == "connected" and model.welcome is not None:
        return f"{model.me} ({model.welcome.role}) on {model.welcome.instance}, connected{unsent}"
    state = "not connected" if model.connection == "ended" else model.connection_words
    return f"{model.me}, {state}{unsent}"


def _warning(model: ChatModel, identity: Identity) -> str:
    """Return why there is no connection, or what is or soon will be wrong with it; "" if nothing."""
    if model.trouble is not None:
        fix = f"; {model.trouble.fix} ({model.trouble.code})" if model.connection == "ended" else ""
        return model.trouble.reason + fix
    if model.connection == "connected" and model.welcome is not None and model.welcome.isolated:
        return safe(model.welcome.isolated)
    if model.welcome is not None and not model.welcome.envelope:
        return "no envelope: only TLS protects this connection"
    return expiry_warning(identity, datetime.now(UTC))


def _hint(model: ChatModel) -> str:
    """Return how to get to messages that are unread and not on the screen; "" for none."""
    hidden = model.current and not model.reading and model.here.read.gap is not None
    return "unread messages are further up: Ctrl+J, or /catchup skip" if hidden else ""
