"""The input: Enter sends, Shift-Enter starts a new line, Up recalls earlier input.

Tab completes the word before the cursor; with nothing to complete, it moves the focus.
"""

from __future__ import annotations

import tkinter as tk
from collections import deque
from collections.abc import Callable
from tkinter import ttk

from chatctl.window.tab_cycle import TabCycle
from chatctl.window.theme import Theme
from chatd.proto.frames import STRING_LIMIT

LINES_LIMIT = 8
HISTORY_LIMIT = 100
CANDIDATES_SHOWN = 12
# No server accepts a longer message, and Tk takes seconds for each key in a line of 300,000 characters.
INPUT_LIMIT = STRING_LIMIT
# The part of the window's height that the input may take.
HEIGHT_SHARE = 3


class Composer(ttk.Frame):
    """``submit`` gets the input, which is emptied afterwards even if it is refused.

    ``last_message`` gives the text of this user's last message, and the input that edits it; "" for none.
    """

    def __init__(
        self,
        parent: tk.Misc,
        theme: Theme,
        submit: Callable[[str], None],
        tab_cycle: TabCycle,
        last_message: Callable[[], tuple[str, str]] = lambda: ("", ""),
    ) -> None:
        super().__init__(parent)
        self._theme = theme
        self._submit = submit
        self._last_message = last_message
        self._history: deque[str] = deque(maxlen=HISTORY_LIMIT)
        self._stepping: list[str] = []
        self._back = 0  # steps back in the history; 0 is new input
        self._tab_cycle = tab_cycle
        # Above the input: the candidates of a completion, else what there is to say about the input.
        self._above = ttk.Label(self, style="Quiet.TLabel")
        self._standing = ""  # said until something else is said
        self.has_pasted_lines = False  # whether the input has lines that were pasted
        self._refused_paste = ""  # a text that was too long, and is cut if it is pasted again
        self._box = box = ttk.Frame(self, style="Field.TFrame", padding=theme.unit // 2)
        self.text = tk.Text(box, height=1, width=10, undo=True)
        self.text.pack(fill="x", expand=True)
        self.text.bind("<FocusIn>", lambda _: box.state(["focus"]), add="+")
        self.text.bind("<FocusOut>", lambda _: box.state(["!focus"]), add="+")
        self._hint = tk.Label(self.text, anchor="w", cursor="xterm", borderwidth=0, padx=0, pady=0)
        self._hint.bind("<Button-1>", lambda _: self.text.focus_set())
        button = ttk.Button(self, text="Send", style="Accent.TButton", command=self._send)
        button.pack(side="right", padx=(theme.unit, 0), anchor="s", fill="y")
        box.pack(side="left", fill="x", expand=True)
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
        self.bind("<Configure>", lambda _: self._above.configure(wraplength=self.winfo_width()))
        self.text.bind("<<Paste>>", self._paste)
        self.text.bind("<<PasteSelection>>", self._paste_primary)
        self.text.bind("<<Modified>>", self._modified)

    def restyle(self) -> None:
        """Apply the theme's current colours and fonts."""
        p, unit = self._theme.palette, self._theme.unit
        self.text.configure(**self._theme.text_options(), padx=unit // 2, pady=unit // 2)
        self.text.configure(background=p.field)
        self._hint.configure(background=p.field, foreground=p.quiet, font=self._theme.body)

    @property
    def value(self) -> str:
        """The text in the input. Setting it clears the undo history."""
        return self.text.get("1.0", "end-1c")

    @value.setter
    def value(self, text: str) -> None:
        self.text.configure(exportselection=True)
        self.text.delete("1.0", "end")
        self.text.insert("1.0", text)
        self.text.edit_reset()
        self._fit()

    def restore(self, text: str) -> None:
        """Put a refused message back, selected so that typing replaces it."""
        self.value = text
        # Up brings it back when it was typed over.
        self._history.append(text)
        # Keep out of the X selection: another program's selection would clear this one, or be cleared by it.
        self.text.configure(exportselection=False)
        self.text.tag_add("sel", "1.0", "end-1c")

    def begin(self, text: str) -> None:
        """Put a command into the input, to be completed or sent. What is there comes back with Up."""
        if self.value.strip():
            self._history.append(self.value)
        self._back = 0
        self.value = text
        self.text.focus_set()

    def hint(self, text: str) -> None:
        """Set the text shown while the input is empty."""
        self._hint.configure(text=text)
        self._fit()

    def _send(self, _: object = None) -> str:
        # First: a command may open a panel, which takes the focus.
        self.text.focus_set()
        if (typed := self.value).strip():
            self._submit(typed)
            self._history.append(typed)
            self._back = 0
            self.value = ""
        return "break"

    def _new_line(self, _: object) -> str:
        self.text.insert("insert", "\n")
        self.text.see("insert")
        return "break"

    def _complete(self, by: int) -> str:
        """Insert the next candidate for the word before the cursor; without any, move the focus."""
        completion = self._tab_cycle.step(self.text.get("1.0", "insert"), by)
        if completion is None:
            return self._move_focus(by)
        removed, inserted = completion
        self.text.delete(f"insert - {removed} chars", "insert")
        self.text.insert("insert", inserted)
        self._fit()
        if offered := self._tab_cycle.offered:
            more = ["\u2026"] if len(offered) > CANDIDATES_SHOWN else []
            self._show_above("   ".join(offered[:CANDIDATES_SHOWN] + more))
        return "break"

    def say(self, text: str) -> None:
        """Show a sentence above the input until another is said; "" for none."""
        if text != self._standing:
            self._standing = text
            self._show_above(text)

    def _show_above(self, text: str) -> None:
        if text:
            self._above.configure(text=text)
            self._above.pack(side="top", fill="x", before=self._box)
        else:
            self._above.pack_forget()

    def _paste(self, _: object) -> str:
        """Replace the selection by the clipboard; a text that does not fit is cut only if pasted again."""
        pasted, text = self._read_selection("CLIPBOARD"), self.text
        replaced = len(text.get("sel.first", "sel.last")) if text.tag_ranges("sel") else 0
        space = INPUT_LIMIT - len(self.value) + replaced
        if not pasted:
            self._show_above("there is no text to paste")
        elif len(pasted) > space and pasted != self._refused_paste:
            self._refused_paste = pasted
            self._show_above(f"not pasted: {len(pasted):,} characters, of which {space:,} fit; again cuts it")
        else:
            if replaced:
                text.delete("sel.first", "sel.last")
            text.insert("insert", pasted[:space])
            self._note_pasted(pasted)
            text.see("insert")
            self._refused_paste = ""
            self._show_above(self._standing)
        return "break"

    def _paste_primary(self, _: object) -> str | None:
        """Refuse a selection of the mouse that does not fit; Tk inserts any other."""
        pasted, space = self._read_selection("PRIMARY"), INPUT_LIMIT - len(self.value)
        if (size := len(pasted)) <= space:
            self._note_pasted(pasted)
            return None
        self._show_above(f"not pasted: {size:,} characters, of which {space:,} fit")
        return "break"

    def _note_pasted(self, text: str) -> None:
        self.has_pasted_lines = self.has_pasted_lines or "\n" in text.strip("\n")

    def _read_selection(self, name: str) -> str:
        try:
            # Tk's own function prefers UTF-8.
            return str(self.tk.call("::tk::GetSelection", self.text, name))
        except tk.TclError:
            return ""  # empty, or not text

    def _stop_completing(self, event: tk.Event[tk.Text]) -> None:
        # Shift-Tab steps back through the candidates; pressing Shift must not end that.
        if event.keysym not in ("Tab", "ISO_Left_Tab", "Shift_L", "Shift_R"):
            self._tab_cycle.stop()
            # Ctrl is held down before the key of a second paste.
            if event.keysym not in ("Control_L", "Control_R"):
                self._show_above(self._standing)

    def _move_focus(self, by: int) -> str:
        target = self.text.tk_focusNext() if by > 0 else self.text.tk_focusPrev()
        if target is not None:
            target.focus_set()
        return "break"

    def _recall(self, by: int) -> str | None:
        """Step through earlier input, unless that would discard something new."""
        # An acknowledgement may change the entries: keep those that the first step found.
        entries = self._stepping = self._stepping if self._back else self._entries()
        recalled = entries[-self._back] if 0 < self._back <= len(entries) else ""
        back = self._back + by
        if self.value != recalled or not 0 <= back <= len(entries):
            return None
        self._back = back
        self.value = entries[-back] if back else ""
        return "break"

    def _entries(self) -> list[str]:
        """Return what Up recalls: earlier input, the last message of this user as an edit of it."""
        entries, (sent, edit) = list(self._history), self._last_message()
        if edit and (not entries or entries[-1].strip() == sent):
            entries = [*entries[:-1], edit]
        return entries

    def _modified(self, _: object) -> None:
        if self.text.edit_modified():
            self.text.edit_modified(False)
            if len(typed := self.value) > INPUT_LIMIT:
                self.text.delete("1.0", "end")
                self.text.insert("1.0", typed[:INPUT_LIMIT])
                self._show_above(f"cut to {INPUT_LIMIT:,} characters, the longest message")
            self._fit()

    def _fit(self) -> None:
        if self.value:
            self._hint.place_forget()
        else:
            self.has_pasted_lines = False
            # To the right of the cursor, which it would hide.
            self._hint.place(x=4, y=0)
        wrapped = self.text.count("1.0", "end", "displaylines")
        lines = wrapped[0] if isinstance(wrapped, tuple) else 1
        line_height = self._theme.body.metrics("linespace")
        fitting = self.winfo_toplevel().winfo_height() // (HEIGHT_SHARE * line_height)
        self.text.configure(height=max(1, min(LINES_LIMIT, fitting, lines)))
