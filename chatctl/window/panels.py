"""Panels laid over the window instead of windows of their own: they keep the keyboard, theme and place.

Escape closes one, Tab stays within it.
"""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

from chatctl.window.theme import Theme

# Of the window's height, above and below a panel.
TOP = 0.06
PAGE_LINES = 8


class Sheet(ttk.Frame):
    """A panel with a title over ``parent``; gone for good once closed."""

    def __init__(self, parent: tk.Misc, theme: Theme, title: str, closed: Callable[[], None]) -> None:
        super().__init__(parent, style="Sheet.TFrame", padding=2 * theme.unit)
        self.theme = theme
        self._closed = closed
        ttk.Label(self, text=title, style="Title.TLabel").pack(anchor="w", pady=(0, theme.unit))
        self.place(relx=0.5, rely=TOP, anchor="n", relwidth=0.94)
        self._limit(None)
        parent.bind("<Configure>", self._limit, add="+")

    def finish(self, first: tk.Misc) -> None:
        """Call when all is in it: binds its keys, and gives ``first`` the keyboard."""
        self._bind_keys(self)
        self.lift()
        self.update_idletasks()
        self._limit(None)
        first.focus_set()

    def close(self) -> None:
        """Take it away."""
        if self.winfo_exists():
            self.destroy()
            self._closed()

    def _bind_keys(self, widget: tk.Misc) -> None:
        def closing(_: object) -> str:
            self.close()
            return "break"

        widget.bind("<Escape>", closing)
        widget.bind("<Tab>", lambda _: self._go_on(1))
        widget.bind("<Shift-Tab>", lambda _: self._go_on(-1))
        for child in widget.winfo_children():
            self._bind_keys(child)

    def _go_on(self, by: int) -> str:
        """Tab stays within the sheet."""
        stops = [
            one
            for one in _within(self)
            if one.winfo_class() in ("TEntry", "TButton", "TCheckbutton", "Treeview")
        ]
        now = self.focus_get()
        at = stops.index(now) if now in stops else -by
        stops[(at + by) % len(stops)].focus_set()
        return "break"

    def _limit(self, _: object) -> None:
        """Not wider than reads well, not wider than the window."""
        if self.winfo_exists():
            room = self.master.winfo_width() - 2 * self.theme.unit
            width = max(200, min(room, self.theme.body.measure("n" * 68)))
            for label in (one for one in self.winfo_children() if isinstance(one, ttk.Label)):
                label.configure(wraplength=width - 5 * self.theme.unit)
            high = int(self.master.winfo_height() * (1 - 2 * TOP))
            self.place_configure(relwidth=0, width=width)
            # What is in it and can shrink does so in a low window.
            self.place_configure(height=high if self.winfo_reqheight() > high else "")


def _within(widget: tk.Misc) -> list[tk.Misc]:
    return [one for child in widget.winfo_children() for one in (child, *_within(child))]


class AskSheet(Sheet):
    """Asks for some lines of text and optionally a yes; ``done`` gets them and is told a refusal back."""

    def __init__(
        self,
        parent: tk.Misc,
        theme: Theme,
        title: str,
        fields: dict[str, str],
        done: Callable[[dict[str, str], Callable[[str], None]], None],
        closed: Callable[[], None],
        *,
        hint: str = "",
        action: str = "OK",
        check: str = "",
    ) -> None:
        super().__init__(parent, theme, title, closed)
        self._done = done
        self._values = {name: tk.StringVar(self, value) for name, value in fields.items()}
        buttons = ttk.Frame(self)
        buttons.pack(side="bottom", fill="x")
        ok = ttk.Button(buttons, text=action, style="Accent.TButton", command=self._ok)
        ok.bind("<Return>", lambda _: self._ok())
        ok.pack(side="right")
        ttk.Button(buttons, text="Cancel", command=self.close).pack(side="right", padx=theme.unit)
        if hint:
            ttk.Label(self, text=hint, style="Quiet.TLabel", wraplength=theme.body.measure("n" * 56)).pack(
                anchor="w"
            )
        first: ttk.Entry | None = None
        for name, variable in self._values.items():
            ttk.Label(self, text=name).pack(anchor="w", pady=(theme.unit // 2, 0))
            entry = ttk.Entry(self, textvariable=variable, font=theme.body)
            entry.pack(fill="x")
            entry.bind("<Return>", lambda _: self._ok())
            first = first or entry
        if check:
            self._values[check] = tk.StringVar(self, "no")
            ttk.Checkbutton(
                self, text=check, variable=self._values[check], onvalue="yes", offvalue="no"
            ).pack(anchor="w", pady=theme.unit // 2)
        self._problem = ttk.Label(self, style="Bad.TLabel", wraplength=theme.body.measure("n" * 56))
        self._problem.pack(anchor="w", fill="x", pady=theme.unit // 2)
        if first is not None:
            first.icursor("end")
            self.finish(first)

    def _ok(self) -> None:
        self._problem.configure(text="")
        self._done({name: value.get().strip() for name, value in self._values.items()}, self.tell)

    def tell(self, problem: str) -> None:
        """Show why it was refused; the sheet stays."""
        if self.winfo_exists():
            self._problem.configure(text=problem)


class TextSheet(Sheet):
    """Shows a table of two columns, such as the keys."""

    def __init__(
        self,
        parent: tk.Misc,
        theme: Theme,
        title: str,
        rows: list[tuple[str, str]],
        closed: Callable[[], None],
    ) -> None:
        super().__init__(parent, theme, title, closed)
        button = ttk.Button(self, text="Close", command=self.close)
        button.pack(side="bottom", anchor="e", pady=(theme.unit, 0))
        button.bind("<Return>", lambda _: self.close())
        tab = max(theme.bold.measure(left) for left, _ in rows) + 2 * theme.unit
        table = tk.Text(self, height=len(rows), width=20, takefocus=False, cursor="arrow")
        table.configure(**theme.text_options(), tabs=(tab,), spacing1=theme.unit // 4)
        table.configure(background=theme.palette.panel)
        table.tag_configure("left", font=theme.bold, lmargin2=tab)
        table.tag_configure("right", lmargin2=tab)
        for left, right in rows:
            table.insert("end", left, "left", f"\t{right}\n", "right")
        table.delete("end - 2 chars", "end")
        table.configure(state="disabled")
        table.pack(fill="both", expand=True)
        for key, by in (("Up", -1), ("Down", 1), ("Prior", -PAGE_LINES), ("Next", PAGE_LINES)):
            button.bind(f"<{key}>", lambda _, by=by: table.yview_scroll(by, "units"))  # type: ignore[misc]
        self.finish(button)
