"""Starts the desktop client: Tk where there is one, the identity (asked for on the first run), the window."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatctl.client import Client, load_identity, state_folder
from chatd.console import output
from chatd.errors import ChatdError
from chatd.pki.identity import Identity, read_identity

if TYPE_CHECKING:
    import tkinter as tk

PREFERENCES = "window.json"
PREFERENCES_LIMIT = 10_000


def run(identity: str | None, home: str | None, room: str, *, theme: str | None, scale: float | None) -> int:
    """Open the window; the exit code. Without Tk or a display it tells so and returns 1."""
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

    from chatctl.window.controller import Controller
    from chatctl.window.drafts import Drafts
    from chatctl.window.theme import DARK, LIGHT, Theme
    from chatctl.window.window import Window

    _harden(root)
    _usual_keys(root)
    try:
        look = Theme(root, scale=scale, environ=os.environ)
    except TclError as error:
        # Such as a box without any font.
        return _no_window(error)
    folder = preferences_folder(os.environ)
    told = _preferences(folder)
    dark = (theme or told.get("theme")) == "dark"
    look.use(DARK if dark else LIGHT)
    known = _identity(root, look, identity, home)
    if known is None:
        return output.OK
    look.zoom(told.get("points", look.points))
    first = [known]

    def connect() -> Client:
        # Later times read the file again: a certificate that ended may have been replaced.
        identity = first.pop() if first else read_identity(known.path)
        return Client(identity, state=state_folder(identity, os.environ))

    control = Controller(connect, room)
    drafts = Drafts(state_folder(known, os.environ))
    window = Window(
        root,
        control,
        look,
        drafts,
        dark=dark,
        notify=told.get("notify") is not False,
    )
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: window.quit())
    try:
        window.run()
    finally:
        root.withdraw()
        root.update_idletasks()
        window.keep_drafts()
        drafts.close()
        control.network.close()
        kept = {"theme": "dark" if window.dark else "light", "points": look.points}
        _keep(folder, {**kept, "notify": window.notifier.on})
    if left := control.network.client.unsent:
        output.note(f"{left} not sent yet; the next run sends them")
    return output.OK


def _identity(root: tk.Tk, look: Any, option: str | None, home: str | None) -> Identity | None:
    """The identity to use; asked for where none is found. None when the person gave up."""
    from chatctl.window.first_run import FirstRun, check_dates

    try:
        known = load_identity(option, home)
        check_dates(known)
    except ChatdError as error:
        if option or home or os.environ.get("CHATD_IDENTITY") or os.environ.get("CHATD_HOME"):
            raise
        return FirstRun(root, look, error).run()
    return known


def _harden(root: tk.Tk) -> None:
    # Any program on the same display could otherwise run Tcl, and by it anything, in this one (Tk's "send").
    if root.tk.call("info", "commands", "send"):
        root.tk.call("rename", "send", "")
    # A bug in one callback is reported and does not end the conversation.
    root.report_callback_exception = lambda _type, error, _trace: output.show_defect(error)


def _usual_keys(root: tk.Tk) -> None:
    """What these keys do in every other program of a desktop; Tk on X11 has those of its first years."""
    root.event_delete("<<LineStart>>", "<Control-a>")
    root.event_add("<<SelectAll>>", "<Control-a>")
    root.tk.eval("bind Text <<Paste>> {catch {%W delete sel.first sel.last}; tk_textPaste %W}")


def preferences_folder(environ: Mapping[str, str]) -> Path:
    """Where the window keeps how it looks: beside the devices' folders, as it outlives any certificate."""
    return Path(environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "chatd"


def _preferences(folder: Path) -> dict[str, Any]:
    """What was chosen in the last run; nothing when that cannot be read."""
    try:
        text = (folder / PREFERENCES).read_text()[:PREFERENCES_LIMIT]
        told = json.loads(text)
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) and isinstance(told.get("points"), int) else {}


def _keep(folder: Path, told: dict[str, Any]) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / PREFERENCES).write_text(json.dumps(told))
    except OSError:
        pass  # not worth a word: the next run looks as the first one did
