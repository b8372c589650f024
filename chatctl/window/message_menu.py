"""The context menu of a message."""

from __future__ import annotations

import tkinter as tk
from functools import partial

from chatctl.model.conversation import Conversation, TimelineRow
from chatctl.model.render import BOT, snippet
from chatctl.window.composer import Composer
from chatctl.window.controller import Controller
from chatctl.window.message_view import MessageView
from chatctl.window.theme import Theme

# Offered at once; others are typed.
COMMON_REACTIONS = ("+1", "-1", "\u2713", "?")


class MessageMenu:
    """Opens over ``view``. What cannot be undone, or needs a text, is put into the input for Enter."""

    def __init__(self, theme: Theme, view: MessageView, composer: Composer, control: Controller) -> None:
        self._theme, self._view, self._composer, self._control = theme, view, composer, control
        self.menu = tk.Menu(view.text, tearoff=False)
        # Macs count the buttons of a mouse in another order.
        aqua = view.tk.call("tk", "windowingsystem") == "aqua"
        view.text.bind("<Button-2>" if aqua else "<Button-3>", self._clicked)

    def restyle(self) -> None:
        """Apply the theme's current colours and fonts."""
        self.menu.configure(**self._theme.menu_options())

    def _clicked(self, event: tk.Event[tk.Text]) -> str:
        here = self._control.model.here
        row = here.message(self._view.seq_at(event.x, event.y))
        if row is not None:
            self._fill(row)
        elif not self._fill_waiting(here):
            return "break"
        self.menu.tk_popup(event.x_root, event.y_root)
        return "break"

    def _fill_waiting(self, here: Conversation) -> bool:
        """Offer to take back messages that wait for a moderator, which have no number yet; False for none."""
        self.menu.delete(0, "end")
        held = sorted((row.order[1], row.body) for row in here.pending.values() if row.kind == "held")
        for seq, body in held:
            label = f"Withdraw \u201c{snippet(body)}\u201d, which waits for a moderator"
            self.menu.add_command(label=label, command=partial(self._control.submit, f"/withdraw {seq}"))
        return bool(held)

    def _fill(self, row: TimelineRow) -> None:
        model, submit = self._control.model, self._control.submit
        self.menu.delete(0, "end")
        if "message.send" in model.permissions:
            self.menu.add_command(label="Reply", command=partial(self._composer.begin, f"/reply {row.seq} "))
            for text in COMMON_REACTIONS:
                mine = any(one.mine and one.text == text for one in row.reactions)
                label = f"Take back {text}" if mine else f"React {text}"
                self.menu.add_command(label=label, command=partial(submit, f"/react {row.seq} {text}"))
            self.menu.add_command(
                label="React\u2026", command=partial(self._composer.begin, f"/react {row.seq} ")
            )
            if row.role == BOT:
                self.menu.add_command(label="Acknowledge", command=partial(submit, f"/ack {row.seq}"))
        if row.reactions:
            self.menu.add_command(label="Who reacted", command=partial(submit, f"/reactions {row.seq}"))
        if row.user == model.me:
            self.menu.add_separator()
            if not row.more:  # only the beginning of a long snippet is here
                edit = partial(self._composer.begin, edit_line(row))
                self.menu.add_command(label="Edit", command=edit)
            if "message.delete" in model.permissions:
                delete = partial(self._composer.begin, f"/delete {row.seq}")
                self.menu.add_command(label="Delete\u2026", command=delete)


def edit_line(row: TimelineRow) -> str:
    """Return the input that edits a message."""
    return f"/edit {row.seq} {row.body}"


def last_message(row: TimelineRow | None) -> tuple[str, str]:
    """Return the text of this user's last message, and the input that edits it."""
    return ("", "") if row is None or row.more else (row.body, edit_line(row))
