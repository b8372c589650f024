"""A real terminal for tests: tmux on a socket of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.daemon import wait_until
from tests.support.rendered_screens import Screen, read_rows

TMUX = shutil.which("tmux")
ENDED = "ended with the exit code"


class Terminal:
    """One tmux server with a window per program; ``raw`` below ``folder`` gets every byte written."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._environ = {**environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        self._environ.pop("TMUX", None)
        self._names: list[str] = []

    # Targets are written "=NAME:": the bare name could be that of a window, which tmux names after the
    # command in it.

    def open(self, name: str, command: Sequence[str], *, columns: int = 90, rows: int = 40) -> None:
        """Start a program in a window; the window stays when it ends."""
        size = ("-x", str(columns), "-y", str(rows))
        self._tmux("-f", "/dev/null", "new-session", "-d", "-s", name, *size, "cat")
        self._tmux("pipe-pane", "-t", f"={name}:", f"cat > {self._raw(name)}")
        # The shell tells the exit code: tmux itself sometimes misses it (remain-on-exit of tmux 3.3a).
        script = f'"$@"; echo "{ENDED} $?"; exec sleep 600'
        self._tmux("respawn-pane", "-k", "-t", f"={name}:", "sh", "-c", script, "sh", *command)
        self._names.append(name)

    def keys(self, name: str, *keys: str) -> None:
        """Press keys; text is typed as it is."""
        self._tmux("send-keys", "-t", f"={name}:", *keys)

    def paste(self, name: str, text: str) -> None:
        """Paste, bracketed when the program asked for that."""
        self._tmux("load-buffer", "-", text=text)
        self._tmux("paste-buffer", "-p", "-t", f"={name}:")

    def resize(self, name: str, columns: int, rows: int) -> None:
        """Change the size of a window."""
        self._tmux("resize-window", "-t", f"={name}:", "-x", str(columns), "-y", str(rows))

    def text(self, name: str) -> str:
        """What is on the screen and above it, rows that were wrapped by the terminal joined."""
        return self._tmux("capture-pane", "-p", "-J", "-S", "-1000", "-t", f"={name}:")

    def rows(self, name: str) -> list[str]:
        """The rows of the screen as they stand there."""
        return self._tmux("capture-pane", "-p", "-t", f"={name}:").splitlines()

    def screen(self, name: str) -> Screen:
        """The screen with its colours and cursor, both of one moment."""
        target = ("-t", f"={name}:")
        place = ("display-message", "-p", *target, "#{cursor_x} #{cursor_y}")
        place_line, _, captured = self._tmux(
            *place, ";", "capture-pane", "-e", "-N", "-p", *target
        ).partition("\n")
        column, line = map(int, place_line.split())
        return Screen(read_rows(captured), (column, line))

    def raw(self, name: str, holding: bytes = b"") -> bytes:
        """Every byte the program wrote, once ``holding`` is among them: the record is behind the screen."""
        path = self._raw(name)
        wait_until(lambda: holding in path.read_bytes(), what=f"{holding!r} in what {name} wrote")
        return path.read_bytes()

    def title(self, name: str) -> str:
        """The title of the window's pane."""
        return self._tmux("display-message", "-p", "-t", f"={name}:", "#{pane_title}").strip()

    def wait(self, name: str, text: str) -> str:
        """Wait until a text is on the screen; all that is there then."""
        return str(
            wait_until(lambda: text in (shown := self.text(name)) and shown, what=f"{text!r} in {name}")
        )

    def wait_for(self, name: str, pattern: str) -> None:
        """Wait until the screen matches; a screen in the middle of being drawn does not."""
        try:
            wait_until(lambda: re.search(pattern, self.text(name)), what=f"{pattern!r} in {name}")
        except AssertionError as error:
            raise AssertionError(f"{error}; the screen:\n{self.text(name)}") from None

    def wait_end(self, name: str) -> int:
        """Wait until the program has ended; its exit code."""
        shown = self.wait(name, ENDED)
        return int(shown.rpartition(ENDED)[2].split()[0])

    def close(self) -> None:
        """End all programs."""
        if self._names:
            self._tmux("kill-server")

    def _raw(self, name: str) -> Path:
        return self._folder / f"{name}.raw"

    def _tmux(self, *arguments: str, text: str = "") -> str:
        assert TMUX is not None
        command = [TMUX, "-S", str(self._folder / "tmux"), *arguments]
        done = subprocess.run(
            command, env=self._environ, input=text, capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout
