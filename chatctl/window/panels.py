"""Panels laid over the window, so that no dialog needs a window of its own.

Escape closes a panel; Tab moves the focus within it.
"""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable, Sequence
from tkinter import ttk

from chatctl.window.theme import Theme
from chatd.errors import ChatdError

# The space above and below a panel, as a share of the window's height.
MARGIN = 0.06
WIDTH_CHARS = 68
PAGE_LINES = 8
FOCUSABLE = ("TEntry", "TButton", "TCheckbutton", "Treeview", "Canvas")

Refuse = Callable[[ChatdError], None]
CLOSED = "<<PanelClosed>>"


class Panel(ttk.Frame):
    """A titled panel over ``parent``, which gets the event `CLOSED` when it closes."""

    def __init__(self, parent: tk.Misc, theme: Theme, title: str) -> None:
        super().__init__(parent, style="Panel.TFrame", padding=2 * theme.unit)
        self.theme = theme
        ttk.Label(self, text=title, style="Title.TLabel").pack(anchor="w", pady=(0, theme.unit))
        self.place(relx=0.5, rely=MARGIN, anchor="n")
        parent.bind("<Configure>", self._fit, add="+")

    def finish(self, first: tk.Misc) -> None:
        """Bind the panel's keys and focus ``first``. Call this once all widgets exist."""
        self._bind_keys(self)
        self.lift()
        self.update_idletasks()
        self._fit()
        first.focus_set()

    def restyle(self) -> None:
        """Apply the theme's current colours and fonts to what ttk's styles do not reach."""
        self._fit()

    def fitting_width(self) -> int:
        """Return the width of the panel in pixels, also before it is drawn."""
        available = self.master.winfo_width() - 2 * self.theme.unit
        return max(200, min(available, self.theme.body.measure("n" * WIDTH_CHARS)))

    def close(self) -> None:
        """Remove the panel."""
        if self.winfo_exists():
            self.destroy()
            self.master.event_generate(CLOSED)

    def _bind_keys(self, widget: tk.Misc) -> None:
        def close(_: object) -> str:
            self.close()
            return "break"

        widget.bind("<Escape>", close)
        widget.bind("<Tab>", lambda _: self._move_focus(1))
        widget.bind("<Shift-Tab>", lambda _: self._move_focus(-1))
        for child in widget.winfo_children():
            self._bind_keys(child)

    def _move_focus(self, by: int) -> str:
        stops = [widget for widget in _descendants(self) if widget.winfo_class() in FOCUSABLE]
        focused = self.focus_get()
        at = stops.index(focused) if focused in stops else -by
        stops[(at + by) % len(stops)].focus_set()
        return "break"

    def _fit(self, _: object = None) -> None:
        """Keep the panel within the window, and its lines short enough to read."""
        if self.winfo_exists():
            width = self.fitting_width()
            for label in (child for child in self.winfo_children() if isinstance(child, ttk.Label)):
                label.configure(wraplength=width - 5 * self.theme.unit)
            height = int(self.master.winfo_height() * (1 - 2 * MARGIN))
            # In a low window, the widgets that can shrink do.
            self.place_configure(width=width, height=height if self.winfo_reqheight() > height else "")


def _descendants(widget: tk.Misc) -> list[tk.Misc]:
    return [found for child in widget.winfo_children() for found in (child, *_descendants(child))]


class FormPanel(Panel):
    """Asks for lines of text and, with ``checks``, for yes or no.

    ``submit`` gets the values by label ("yes" or "no" for a check box) and a function that shows
    a refusal. It may also raise a ChatdError. The panel stays open until somebody closes it.
    """

    def __init__(
        self,
        parent: tk.Misc,
        theme: Theme,
        title: str,
        fields: dict[str, str],
        submit: Callable[[dict[str, str], Refuse], None],
        *,
        action: str,
        hint: str = "",
        checks: Sequence[str] = (),
    ) -> None:
        super().__init__(parent, theme, title)
        self._submit = submit
        self._values = {name: tk.StringVar(self, value) for name, value in fields.items()}
        buttons = ttk.Frame(self)
        buttons.pack(side="bottom", fill="x")
        ttk.Button(buttons, text=action, style="Accent.TButton", command=self._run).pack(side="right")
        ttk.Button(buttons, text="Cancel", command=self.close).pack(side="right", padx=theme.unit)
        if hint:
            ttk.Label(self, text=hint, style="Quiet.TLabel").pack(anchor="w")
        entries = [self._add_field(name, variable) for name, variable in self._values.items()]
        for check in checks:
            self._values[check] = answer = tk.StringVar(self, "no")
            box = ttk.Checkbutton(self, text=check, variable=answer, onvalue="yes", offvalue="no")
            box.pack(anchor="w", pady=theme.unit // 2)
        self._problem = ttk.Label(self, style="Bad.TLabel")
        self._problem.pack(anchor="w", fill="x", pady=theme.unit // 2)
        entries[0].icursor("end")
        self.finish(entries[0])

    def _add_field(self, name: str, variable: tk.StringVar) -> ttk.Entry:
        ttk.Label(self, text=name).pack(anchor="w", pady=(self.theme.unit // 2, 0))
        entry = ttk.Entry(self, textvariable=variable, font=self.theme.body)
        entry.pack(fill="x")
        entry.bind("<Return>", lambda _: self._run())
        return entry

    def _run(self) -> None:
        self._problem.configure(text="")
        try:
            self._submit({name: value.get().strip() for name, value in self._values.items()}, self._refuse)
        except ChatdError as error:
            self._refuse(error)

    def _refuse(self, error: ChatdError) -> None:
        if self.winfo_exists():
            self._problem.configure(text=f"{error.reason}; {error.fix}")


class TablePanel(Panel):
    """Shows a table of two columns, such as the keyboard shortcuts."""

    def __init__(self, parent: tk.Misc, theme: Theme, title: str, rows: list[tuple[str, str]]) -> None:
        super().__init__(parent, theme, title)
        button = ttk.Button(self, text="Close", command=self.close)
        button.pack(side="bottom", anchor="e", pady=(theme.unit, 0))
        self._widest = max((left for left, _ in rows), key=theme.bold.measure)
        self._table = table = tk.Text(self, height=len(rows), width=20, takefocus=False, cursor="arrow")
        self._style_table()
        for left, right in rows:
            table.insert("end", left, "left", f"\t{right}\n", "right")
        table.delete("end - 2 chars", "end")
        table.configure(state="disabled")
        table.pack(fill="both", expand=True)
        for key, by in (("Up", -1), ("Down", 1), ("Prior", -PAGE_LINES), ("Next", PAGE_LINES)):
            button.bind(f"<{key}>", lambda _, by=by: table.yview_scroll(by, "units"))  # type: ignore[misc]
        self.finish(button)

    def restyle(self) -> None:
        self._style_table()
        super().restyle()

    def _style_table(self) -> None:
        theme, table = self.theme, self._table
        tab = theme.bold.measure(self._widest) + 2 * theme.unit
        table.configure(**theme.text_options(), tabs=(tab,), spacing1=theme.unit // 4)
        table.configure(background=theme.palette.page)
        table.tag_configure("left", font=theme.bold, lmargin2=tab)
        table.tag_configure("right", lmargin2=tab)
