"""A virtual X display for windows under test, with keyboard and mouse input."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.daemon import BIN, wait_until


def missing() -> str:
    """Return what the window tests need and is not installed; "" if nothing is missing."""
    try:
        import tkinter  # noqa: F401
    except ImportError:
        return "this Python has no Tk"
    programs = [name for name in ("Xvfb", "xdotool") if shutil.which(name) is None]
    return f"not installed: {', '.join(programs)}" if programs else ""


class Display:
    """An X server without a window manager. Windows are found by title."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.environ = {**os.environ, "DISPLAY": name}

    def xdotool(self, *arguments: str) -> str:
        """Run xdotool; return its output."""
        done = subprocess.run(
            ["xdotool", *arguments], env=self.environ, capture_output=True, text=True, timeout=60
        )
        return done.stdout

    def windows(self, title: str) -> set[str]:
        """Return the ids of the windows whose titles match a pattern."""
        return set(self.xdotool("search", "--onlyvisible", "--name", title).split())

    def window(self, title: str, before: set[str]) -> str:
        """Wait for a window with this title that is not one of ``before``; return its id."""
        found: set[str] = wait_until(lambda: self.windows(title) - before, what=f"a window {title}")
        return found.pop()

    def focus(self, window: str) -> None:
        """Raise a window and give it the keyboard focus, as a window manager does on a click."""
        self.xdotool("windowraise", window, "windowfocus", "--sync", window)

    def unfocus(self) -> None:
        """Take the keyboard focus away from all windows."""
        self.xdotool("windowfocus", self.xdotool("search", "--maxdepth", "0", ".*").split()[0])

    def keys(self, *keys: str) -> None:
        """Press keys in order, such as "Return" or "ctrl+f"."""
        self.xdotool("key", "--delay", "15", *keys)

    def type(self, text: str) -> None:
        """Type an ASCII text."""
        self.xdotool("type", "--delay", "8", text)

    def click(self, window: str, x: int, y: int) -> None:
        """Click at a position within a window."""
        self.xdotool("mousemove", "--sync", "--window", window, str(x), str(y), "click", "1")

    def title(self, window: str) -> str:
        """Return the window's current title."""
        return self.xdotool("getwindowname", window).strip()


@contextmanager
def display(width: int = 1600, height: int = 1200, *, picture: Path | None = None) -> Iterator[Display]:
    """Start an X server on a free display; it keeps its screen in the folder ``picture``."""
    read_end, write_end = os.pipe()
    command = [
        *("Xvfb", "-displayfd", str(write_end), "-screen", "0", f"{width}x{height}x24"),
        *("-nolisten", "tcp", "-noreset"),
        *(("-fbdir", str(picture)) if picture else ()),
    ]
    server = subprocess.Popen(
        command, pass_fds=[write_end], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(write_end)
    try:
        with os.fdopen(read_end) as reader:
            number = reader.readline().strip()
        if not number:
            raise AssertionError(f"Xvfb ended with {server.wait(10)}")
        yield Display(f":{number}")
    finally:
        server.terminate()
        server.wait(10)


def open_window(shown_on: Display, environ: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    """Start `chat window`; the caller must end the process."""
    return subprocess.Popen(
        [str(BIN / "chat"), "window", *arguments],
        env={**environ, "DISPLAY": shown_on.name},
        # Not the checkout: after `make run` it is a home, and its admin's identity would be used.
        cwd="/",
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


_SELECTED = "import tkinter; root = tkinter.Tk(); root.withdraw(); print(root.selection_get())"


def copied_text(shown_on: Display) -> str:
    """Return the text of the clipboard, "" if it has none."""
    code = _SELECTED.replace("selection_get()", "clipboard_get(), end=''")
    done = subprocess.run(
        [sys.executable, "-c", code], env=shown_on.environ, capture_output=True, text=True, timeout=60
    )
    return done.stdout


def text_of(shown_on: Display, window: str) -> str:
    """Return the text of the message area, selected by keyboard and read as the X selection."""
    shown_on.focus(window)
    # Escape focuses the input; Shift-Tab goes back from there to the message area.
    shown_on.keys("Escape", "shift+Tab", "ctrl+slash")
    done = subprocess.run(
        [sys.executable, "-c", _SELECTED], env=shown_on.environ, capture_output=True, text=True, timeout=60
    )
    shown_on.keys("Escape")
    return done.stdout
