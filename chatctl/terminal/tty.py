"""The terminal that the line client writes to; keeps its modes during the whole run.

prompt_toolkit turns bracketed paste off and echo on while it prints above the input, and at each resize.
Text pasted at such a moment would arrive as separate lines, and be echoed in the middle of the screen.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from prompt_toolkit.application import Application, run_in_terminal
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output

from chatctl.terminal.resize_guard import ResizeGuard


class Terminal(Vt100_Output):
    """Keeps bracketed paste on until `release`.

    ``on_gone`` is called when writing fails: the terminal's window was closed, or ssh was cut.
    """

    _buffering = False
    _gone = False
    on_gone: Callable[[], None] = staticmethod(lambda: None)

    def disable_bracketed_paste(self) -> None:
        """Ignore the renderer; `release` does it."""

    def erase_down(self) -> None:
        """Erase from the cursor, which is at the start of a row.

        Erases from the second column first: when tmux erases from the upper left corner, it saves the
        screen for scrolling back, with a copy of the input line.
        """
        self.write_raw("\x1b[C\x1b[J\b\x1b[K")

    def release(self) -> None:
        """Restore the terminal for the next program."""
        super().disable_bracketed_paste()
        self.flush()

    def flush(self) -> None:
        """Write what was drawn, unless more is to follow or the terminal is gone."""
        if self._buffering or self._gone:
            return
        try:
            super().flush()
        except OSError:
            # prompt_toolkit would ask for Enter, and forever read from a terminal that only returns errors.
            self.hang_up()

    def hang_up(self) -> None:
        """Stop writing: the terminal is gone."""
        if not self._gone:
            self._gone = True
            self.on_gone()

    @contextmanager
    def buffered(self) -> Iterator[None]:
        """Write everything drawn in here at once, so that the input line does not flicker."""
        self._buffering = True
        try:
            yield
        finally:
            self._buffering = False
            self.flush()


def open_terminal(stdout: TextIO) -> Terminal:
    """The terminal behind ``stdout``."""
    output = Terminal.from_pty(stdout, term=os.environ.get("TERM"), default_color_depth=ColorDepth.from_env())
    assert isinstance(output, Terminal)  # noqa: S101 - it is made by its own class
    # No cursor position requests: on a slow connection their replies end up in the input.
    output.enable_cpr = False
    return output


def print_above(
    app: Application[Any], output: Terminal, guard: ResizeGuard, draw: Callable[[], None]
) -> None:
    """Run ``draw``, which prints above the input of ``app``, on the event loop's thread."""
    # While a list of completions waits for a key (no public attribute says so), draw after it.
    if app._running_in_terminal or app.context is None:
        run_in_terminal(draw)
        return
    with output.buffered():
        app.renderer.erase()
        draw()
        guard.begin_drawing()
        app.context.copy().run(app.renderer.render, app, app.layout)
        guard.end_drawing()


def suspend(output: Terminal) -> None:
    """Stop this process group, as Ctrl-Z does, until the shell continues it."""

    def stop() -> None:
        output.release()
        os.kill(0, signal.SIGTSTP)

    run_in_terminal(stop)
