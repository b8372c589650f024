"""A real terminal for tests: a tmux server on its own socket."""

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
    """One tmux server with a session per program; every byte a program writes is recorded in ``folder``."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._environ = {**environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        self._environ.pop("TMUX", None)
        self._names: list[str] = []

    # Targets are written "=NAME:" because a bare name could match a window:
    # tmux names windows after their command.

    def open(self, name: str, command: Sequence[str], *, columns: int = 90, rows: int = 40) -> None:
        """Start a program in a window that stays open when the program ends."""
        size = ("-x", str(columns), "-y", str(rows))
        self._tmux("-f", "/dev/null", "new-session", "-d", "-s", name, *size, "cat")
        self._tmux("pipe-pane", "-t", f"={name}:", f"cat > {self._raw(name)}")
        # The shell prints the exit code because remain-on-exit of tmux 3.3a sometimes misses it.
        script = f'"$@"; echo "{ENDED} $?"; exec sleep 600'
        self._tmux("respawn-pane", "-k", "-t", f"={name}:", "sh", "-c", script, "sh", *command)
        self._names.append(name)

    def keys(self, name: str, *keys: str) -> None:
        """Press keys by tmux's names; any other text is typed literally."""
        self._tmux("send-keys", "-t", f"={name}:", *keys)

    def paste(self, name: str, text: str) -> None:
        """Paste a text, as a bracketed paste if the program has enabled that."""
        self._tmux("load-buffer", "-", text=text)
        self._tmux("paste-buffer", "-p", "-t", f"={name}:")

    def resize(self, name: str, columns: int, rows: int) -> None:
        """Change the size of a window."""
        self._tmux("resize-window", "-t", f"={name}:", "-x", str(columns), "-y", str(rows))

    def text(self, name: str) -> str:
        """Return the screen and its scrollback; rows that the terminal wrapped are joined."""
        return self._tmux("capture-pane", "-p", "-J", "-S", "-1000", "-t", f"={name}:")

    def rows(self, name: str) -> list[str]:
        """Return the rows of the screen, not joined."""
        return self._tmux("capture-pane", "-p", "-t", f"={name}:").splitlines()

    def screen(self, name: str) -> Screen:
        """Capture the screen with its colours and the cursor at the same moment."""
        target = ("-t", f"={name}:")
        query = ("display-message", "-p", *target, "#{cursor_x} #{cursor_y}")
        cursor, _, captured = self._tmux(*query, ";", "capture-pane", "-e", "-N", "-p", *target).partition(
            "\n"
        )
        column, line = map(int, cursor.split())
        return Screen(read_rows(captured), (column, line))

    def raw(self, name: str, holding: bytes = b"") -> bytes:
        """Wait until the program has written ``holding``; return every byte it wrote.

        The recording lags behind the screen.
        """
        path = self._raw(name)
        wait_until(lambda: holding in path.read_bytes(), what=f"{holding!r} in the output of {name}")
        return path.read_bytes()

    def title(self, name: str) -> str:
        """Return the title that the program has set."""
        return self._tmux("display-message", "-p", "-t", f"={name}:", "#{pane_title}").strip()

    def wait(self, name: str, text: str) -> str:
        """Wait until a text is on the screen or above it; return `text` as it is then."""
        return str(
            wait_until(lambda: text in (shown := self.text(name)) and shown, what=f"{text!r} in {name}")
        )

    def wait_for(self, name: str, pattern: str) -> None:
        """Wait until the screen matches a regular expression."""
        try:
            wait_until(lambda: re.search(pattern, self.text(name)), what=f"{pattern!r} in {name}")
        except AssertionError as error:
            raise AssertionError(f"{error}; the screen:\n{self.text(name)}") from None

    def wait_end(self, name: str) -> int:
        """Wait until the program has ended; return its exit code."""
        shown = self.wait(name, ENDED)
        return int(shown.rpartition(ENDED)[2].split()[0])

    def close(self) -> None:
        """End all programs and the tmux server."""
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
