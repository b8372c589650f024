"""A panel with the whole text of a message, to read and copy."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Iterable
from tkinter import ttk

from chatctl.model.chat_model import RedactedRange
from chatctl.window.panels import PAGE_LINES, Panel
from chatctl.window.theme import Theme
from chatd.proto.events import Message
from chatd.proto.text import visible

LINES_SHOWN = 20


class TextPanel(Panel):
    """Shows ``event``'s text in a font of fixed width."""

    def __init__(self, parent: tk.Misc, theme: Theme, title: str, event: Message) -> None:
        super().__init__(parent, theme, title)
        self._event = event
        buttons = ttk.Frame(self)
        buttons.pack(side="bottom", fill="x", pady=(theme.unit, 0))
        close = ttk.Button(buttons, text="Close", command=self.close)
        close.pack(side="right")
        ttk.Button(buttons, text="Copy all", command=self._copy).pack(side="right", padx=theme.unit)
        body = visible(event.body)
        # The text beside the padding and the scrollbar.
        columns = max(1, (self.fitting_width() - 8 * theme.unit) // theme.fixed.measure("0"))
        self.text = text = tk.Text(self, height=min(LINES_SHOWN, wrapped_lines(body, columns)), width=20)
        bar = ttk.Scrollbar(self, command=text.yview)
        text.configure(yscrollcommand=bar.set)
        self._style_text()
        text.insert("1.0", body)
        text.configure(state="disabled")
        bar.pack(side="right", fill="y")
        text.pack(side="left", fill="both", expand=True)
        for key, by in (("Up", -1), ("Down", 1), ("Prior", -PAGE_LINES), ("Next", PAGE_LINES)):
            close.bind(f"<{key}>", lambda _, by=by: text.yview_scroll(by, "units"))  # type: ignore[misc]
        self.finish(close)

    def restyle(self) -> None:
        self._style_text()
        super().restyle()

    def redact(self, redacted: Iterable[RedactedRange]) -> None:
        """Close the panel if its message was deleted."""
        if any(one.covers(self._event) for one in redacted):
            self.close()

    def _style_text(self) -> None:
        self.text.configure(**self.theme.text_options())
        self.text.configure(font=self.theme.fixed, background=self.theme.palette.code)

    def _copy(self) -> None:
        self.clipboard_clear()
        self.clipboard_append(visible(self._event.body))


def wrapped_lines(text: str, columns: int) -> int:
    """Return how many lines a text takes, at most `LINES_SHOWN` of them counted exactly."""
    lines = text.split("\n", LINES_SHOWN)[:LINES_SHOWN]
    return sum(max(1, -(-len(line) // columns)) for line in lines)
