"""Where one types: Enter sends, Shift-Enter begins a new line, Up brings back what was typed before.

Tab completes the word before the cursor, and goes on to the next field where there is nothing to complete.
"""

from __future__ import annotations

import tkinter as tk
from collections import deque
from collections.abc import Callable
from tkinter import ttk

from chatctl.window.tab_cycle import TabCycle
from chatctl.window.theme import Theme

LINES_LIMIT = 8
SENT_LIMIT = 100
# Candidates shown at once.
OFFERED_LIMIT = 12


class Composer(ttk.Frame):
    """``submit`` gets what was typed; whatever becomes of it, the input is empty afterwards."""

    def __init__(
        self, parent: tk.Misc, theme: Theme, submit: Callable[[str], None], completing: TabCycle
    ) -> None:
        super().__init__(parent)
        self._theme = theme
        self._submit = submit
        self._sent: deque[str] = deque(maxlen=SENT_LIMIT)
        self._back = 0
        self._completing = completing
        self._offer = ttk.Label(self, style="Quiet.TLabel")
        self._frame = tk.Frame(self, borderwidth=0, highlightthickness=1)
        self._frame.pack(side="left", fill="x", expand=True)
        self.text = tk.Text(self._frame, height=1, width=10, undo=True)
        self.text.pack(fill="x", expand=True)
        self._hint = tk.Label(self.text, anchor="w", cursor="xterm", borderwidth=0, padx=0, pady=0)
        self._hint.bind("<Button-1>", lambda _: self.text.focus_set())
        self.button = ttk.Button(self, text="Send", style="Accent.TButton", command=self._send)
        self.button.pack(side="left", padx=(8, 0), anchor="s")
        for key in ("<Return>", "<KP_Enter>"):
            self.text.bind(key, self._send)
        for key in ("<Shift-Return>", "<Control-Return>", "<Alt-Return>"):
            self.text.bind(key, self._new_line)
        self.text.bind("<Tab>", lambda _: self._complete(1))
        self.text.bind("<Shift-Tab>", lambda _: self._complete(-1))
        if self.tk.call("tk", "windowingsystem") == "x11":
            self.text.bind("<ISO_Left_Tab>", lambda _: self._complete(-1))
        self.text.bind("<Up>", lambda _: self._recall(1))
        self.text.bind("<Down>", lambda _: self._recall(-1))
        self.text.bind("<Key>", self._stop_completing, add="+")
        self.bind("<Configure>", lambda _: self._offer.configure(wraplength=self.winfo_width()))
        self.text.bind("<<Modified>>", self._modified)
        self.text.bind("<FocusIn>", lambda _: self._edge(focused=True))
        self.text.bind("<FocusOut>", lambda _: self._edge(focused=False))

    def restyle(self) -> None:
        """Take the theme's present colours and sizes."""
        p, unit = self._theme.palette, self._theme.unit
        self.text.configure(**self._theme.text_options(), padx=unit, pady=unit // 2)
        self.text.configure(background=p.field)
        self._frame.configure(background=p.field, highlightbackground=p.line, highlightcolor=p.accent)
        self._hint.configure(background=p.field, foreground=p.quiet, font=self._theme.body)
        self._edge(focused=self.focus_get() is self.text)

    @property
    def value(self) -> str:
        """What is typed."""
        return self.text.get("1.0", "end-1c")

    @value.setter
    def value(self, text: str) -> None:
        self.text.configure(exportselection=True)
        self.text.delete("1.0", "end")
        self.text.insert("1.0", text)
        self.text.edit_reset()
        self._fit()

    def give_back(self, text: str) -> None:
        """Something refused, to be corrected: selected, so that what is typed next is not appended to it."""
        self.value = text
        # Not X's selection: a text marked elsewhere must not take this mark away, nor this that one's.
        self.text.configure(exportselection=False)
        self.text.tag_add("sel", "1.0", "end-1c")

    def hint(self, text: str) -> None:
        """What is said where nothing is typed."""
        self._hint.configure(text=text)
        self._fit()

    def _send(self, _: object = None) -> str:
        if (typed := self.value).strip():
            self._submit(typed)
            self._sent.append(typed)
            self._back = 0
            self.value = ""
        self.text.focus_set()
        return "break"

    def _new_line(self, _: object) -> str:
        self.text.insert("insert", "\n")
        self.text.see("insert")
        return "break"

    def _complete(self, by: int) -> str:
        """The next candidate for the word before the cursor; without any, the next field."""
        made = self._completing.step(self.text.get("1.0", "insert"), by)
        if made is None:
            return self._leave(by)
        gone, fresh = made
        self.text.delete(f"insert - {gone} chars", "insert")
        self.text.insert("insert", fresh)
        self._fit()
        if offered := self._completing.offered:
            more = ["\u2026"] if len(offered) > OFFERED_LIMIT else []
            self._offer.configure(text="   ".join(offered[:OFFERED_LIMIT] + more))
            self._offer.pack(side="top", fill="x", before=self._frame)
        return "break"

    def _stop_completing(self, event: tk.Event[tk.Text]) -> None:
        # Not by the keys that are held while going on with Shift-Tab.
        if event.keysym not in ("Tab", "ISO_Left_Tab", "Shift_L", "Shift_R"):
            self._completing.stop()
            self._offer.pack_forget()

    def _leave(self, by: int) -> str:
        target = self.text.tk_focusNext() if by > 0 else self.text.tk_focusPrev()
        if target is not None:
            target.focus_set()
        return "break"

    def _recall(self, by: int) -> str | None:
        """Step through what was sent, as long as that does not take away something new."""
        known = self._sent[-self._back] if self._back else ""
        back = self._back + by
        if self.value != known or not 0 <= back <= len(self._sent):
            return None
        self._back = back
        self.value = self._sent[-back] if back else ""
        return "break"

    def _modified(self, _: object) -> None:
        if self.text.edit_modified():
            self.text.edit_modified(False)
            self._fit()

    def _fit(self) -> None:
        if self.value:
            self._hint.place_forget()
        else:
            # Right of the cursor, which would be hidden by it.
            self._hint.place(x=4, y=0)
        wrapped = self.text.count("1.0", "end", "displaylines")
        lines = wrapped[0] if isinstance(wrapped, tuple) else 1
        self.text.configure(height=max(1, min(LINES_LIMIT, lines)))

    def _edge(self, *, focused: bool) -> None:
        p = self._theme.palette
        self._frame.configure(highlightbackground=p.accent if focused else p.line)
