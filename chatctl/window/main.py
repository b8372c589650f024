"""Starts the desktop client: finds Tk, a display and an identity, then opens the window."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatctl.client import Client, load_identity, renew_expired, state_folder
from chatctl.model.times import Times
from chatd.console import output
from chatd.console.folders import state_root
from chatd.durable_files import set_aside
from chatd.errors import ChatdError
from chatd.pki.identity import Identity, read_identity

if TYPE_CHECKING:
    import tkinter as tk

    from chatctl.window.theme import Theme

PREFERENCES = "window.json"
PREFERENCES_LIMIT = 10_000


def run(identity: str | None, home: str | None, room: str, *, theme: str | None, scale: float | None) -> int:
    """Open the window and return the exit code. Without Tk or a display, print an error and return 1."""
    try:
        import tkinter as tk
    except ImportError:
        output.note("error: this Python has no Tk. Install it (Debian: python3-tk), or use: chat")
        return output.FAILED
    try:
        root = tk.Tk(className="Chatd")
    except tk.TclError as error:
        return _no_window(error)
    try:
        return _run(root, identity, home, room, theme, scale)
    finally:
        root.destroy()


def _no_window(error: Exception) -> int:
    output.note(f"error: no window can be opened: {error}. On a terminal use: chat")
    return output.FAILED


def _run(
    root: tk.Tk, identity: str | None, home: str | None, room: str, theme: str | None, scale: float | None
) -> int:
    from tkinter import TclError

    from chatctl.window.carrying_over import carry_over
    from chatctl.window.controller import Controller
    from chatctl.window.drafts import Drafts
    from chatctl.window.palette import DARK, LIGHT
    from chatctl.window.theme import Theme
    from chatctl.window.window import Window

    _harden(root)
    _bind_desktop_keys(root)
    try:
        look = Theme(root, scale=scale, environ=os.environ)
    except TclError as error:
        # For example, a machine without any font.
        return _no_window(error)
    folder = state_root(os.environ)
    saved = _load_preferences(folder)
    dark = (theme or saved.get("theme")) == "dark"
    look.use(DARK if dark else LIGHT)
    found = _find_identity(root, look, identity, home)
    if found is None:
        return output.OK
    look.zoom(saved.get("points", look.points))
    first = [found]

    def connect() -> Client:
        # Later calls read the file again: an expired certificate may have been replaced.
        # A pipe can be read once only.
        again = not first and found.path.is_file()
        identity = read_identity(found.path) if again else found
        first.clear()
        return Client(identity, state=state_folder(identity, os.environ), wait_out=True)

    told = carry_over(found, os.environ)
    control = Controller(connect, room)
    if told:
        control.tell_first.append(told)
    drafts = Drafts(state_folder(found, os.environ))
    control.model.times = _times(saved.get("times"))
    window = Window(root, control, look, drafts, dark=dark, notify=saved.get("notify") is not False)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: window.quit())
    try:
        window.run()
    finally:
        root.withdraw()
        root.update_idletasks()
        window.save_drafts()
        drafts.close()
        control.markers.send_last(control.network.client)
        control.network.close()
        colours = "dark" if window.dark else "light"
        kept = {"theme": colours, "points": look.points, "notify": window.notifier.on}
        _save_preferences(folder, kept | {"times": control.model.times.value})
    if window.wants_invite:
        # Begins with the page for an invite, as there is no identity any more.
        set_aside(found.path)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - this program again
    if unsent := control.network.client.unsent:
        output.note(f"{unsent} not sent yet; the next run will send them")
    return output.OK


def _times(saved: object) -> Times:
    """Return the zone of the last run; UTC for damaged preferences."""
    return next((times for times in Times if times.value == saved), Times.UTC)


def _find_identity(root: tk.Tk, theme: Theme, option: str | None, home: str | None) -> Identity | None:
    """Return the identity to use; ask for one if there is none. Return None if the person gives up."""
    from chatctl.window.first_run import FirstRun
    from chatctl.window.identity_input import check_dates

    try:
        found = renew_expired(load_identity(option, home))
        check_dates(found)
    except ChatdError as error:
        if option or home or os.environ.get("CHATD_IDENTITY") or os.environ.get("CHATD_HOME"):
            raise
        return FirstRun(root, theme, error).run()
    return found


def _harden(root: tk.Tk) -> None:
    # Otherwise any program on the display could run Tcl code in this one, with Tk's "send".
    if root.tk.call("info", "commands", "send"):
        root.tk.call("rename", "send", "")
    # A bug in one callback is reported and does not end the conversation.
    root.report_callback_exception = lambda _type, error, _trace: output.show_bug(error)


def _bind_desktop_keys(root: tk.Tk) -> None:
    """Give keys their usual meaning on a desktop; on X11, Tk has that of Emacs."""
    root.event_delete("<<LineStart>>", "<Control-a>")
    root.event_add("<<SelectAll>>", "<Control-a>")
    root.tk.eval("bind TButton <Return> {%W invoke}")


def _load_preferences(folder: Path) -> dict[str, Any]:
    """Return the preferences of the last run; empty if they cannot be read."""
    try:
        saved = json.loads((folder / PREFERENCES).read_text("utf-8")[:PREFERENCES_LIMIT])
    except (OSError, ValueError, RecursionError):
        return {}
    return saved if isinstance(saved, dict) and isinstance(saved.get("points"), int) else {}


def _save_preferences(folder: Path, preferences: dict[str, Any]) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / PREFERENCES).write_text(json.dumps(preferences), "utf-8")
    except OSError:
        pass  # harmless: the next run uses the defaults
