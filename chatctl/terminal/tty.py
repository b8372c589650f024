"""The terminal that the line client writes to: its modes stay as they are for the whole run.

prompt_toolkit switches bracketed paste off and the terminal's own echo on whenever something is to
stand above the line being typed, and again at every change of size. What is pasted in such a moment
arrives as bare lines: several messages, and an echo in the middle of the screen.
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

from chatctl.terminal.reflow import Reflow


class Terminal(Vt100_Output):
    """Bracketed paste is on from the first drawing until `release`.

    ``on_gone`` is called when nothing can be written any more: the window was closed, ssh was cut.
    """

    _together = False
    _gone = False
    on_gone: Callable[[], None] = staticmethod(lambda: None)

    def disable_bracketed_paste(self) -> None:
        """Not the renderer's to decide: `release` does it."""

    def erase_down(self) -> None:
        """From the cursor on, which always stands at the beginning of a row then.

        Not from that place itself: tmux takes what is erased from the upper left corner on for something to
        be scrolled back to, and would keep a copy of the line being typed.
        """
        self.write_raw("\x1b[C\x1b[J\b\x1b[K")

    def release(self) -> None:
        """Give the terminal back to whoever reads from it next."""
        super().disable_bracketed_paste()
        self.flush()

    def flush(self) -> None:
        """Write what was drawn, unless more belongs to it or nobody is there to see it."""
        if self._together or self._gone:
            return
        try:
            super().flush()
        except OSError:
            # Let through, it would have prompt_toolkit ask for Enter, from a terminal that gives an error
            # at every read, forever.
            self.hang_up()

    def hang_up(self) -> None:
        """The terminal is gone: write no more."""
        if not self._gone:
            self._gone = True
            self.on_gone()

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is drawn in here goes out in one piece: nobody sees the line erased and not yet back."""
        self._together = True
        try:
            yield
        finally:
            self._together = False
            self.flush()


def open_terminal(stdout: TextIO) -> Terminal:
    """The terminal behind ``stdout``."""
    output = Terminal.from_pty(stdout, term=os.environ.get("TERM"), default_color_depth=ColorDepth.from_env())
    assert isinstance(output, Terminal)  # noqa: S101 - it is made by its own class
    # Without cursor position requests: on a slow line their answers end up in what is typed next.
    output.enable_cpr = False
    return output


def print_above(app: Application[Any], output: Terminal, reflow: Reflow, draw: Callable[[], None]) -> None:
    """Let ``draw`` print above what ``app`` shows. On the thread of its event loop."""
    # A list of completions is on the screen and waits for a key (nothing public tells): after it.
    if app._running_in_terminal or app.context is None:
        run_in_terminal(draw)
        return
    with output.together():
        app.renderer.erase()
        draw()
        reflow.begin()
        app.context.copy().run(app.renderer.render, app, app.layout)
        reflow.note()


def suspend(output: Terminal) -> None:
    """Stop this process and its group, as Ctrl-Z does, until the shell lets it go on."""

    def stop() -> None:
        output.release()
        os.kill(0, signal.SIGTSTP)

    run_in_terminal(stop)
