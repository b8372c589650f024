"""The terminal: a line being typed that nothing disturbs, what happens above it, a status line below.

All methods belong to the thread of the event loop. Only lines made by `render` and `answers` may be
shown: this module does not make text harmless a second time.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import Completer
from prompt_toolkit.filters import Condition, is_done
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import ConditionalContainer, FormattedTextControl, HSplit, Layout, Window
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.renderer import print_formatted_text
from prompt_toolkit.shortcuts import CompleteStyle

from chatctl.model.render import Line
from chatctl.terminal.cell_text import Apart
from chatctl.terminal.reflow import Reflow, breaks_anew
from chatctl.terminal.themes import DEFAULT_THEME, style_of
from chatctl.terminal.tty import open_terminal, print_above, suspend
from chatctl.terminal.wrapping import wrap

# A second Ctrl-C within this time quits.
TWICE_SECONDS = 2.0
# Typed lines kept from one run to the next.
HISTORY_ENTRIES = 1_000


class Screen:
    """``prompt`` and ``status`` give the line's prompt and the line below it each time they are drawn.

    ``on_line`` gets what was typed, and whether it was typed as one message of several lines. Whatever
    becomes of it, the line is empty afterwards, and Up brings it back.
    """

    def __init__(
        self,
        *,
        prompt: Callable[[bool], Line],
        status: Callable[[], Line],
        on_line: Callable[[str, bool], None],
        completer: Completer,
        history: Path | None = None,
        theme: str = DEFAULT_THEME,
    ) -> None:
        self._style = style_of(theme)
        self._output = open_terminal(sys.stdout)
        self._output.on_gone = self.close
        self._on_line = on_line
        self._waiting: list[Line] = []
        self._interrupted = float("-inf")
        self._closed = False
        self.pasting = False
        self._session: PromptSession[str] = PromptSession(
            lambda: FormattedText(prompt(self.pasting)),
            multiline=Condition(lambda: self.pasting),
            prompt_continuation="    ",
            completer=completer,
            complete_while_typing=False,
            # Menus would need lines kept free under the prompt; readline's way needs none.
            complete_style=CompleteStyle.READLINE_LIKE,
            reserve_space_for_menu=0,
            history=_history(history),
            key_bindings=self._keys(),
            erase_when_done=True,
            input_processors=[Apart()],
            style=self._style,
            output=self._output,
        )
        self._add_status(status)
        self._reflow = Reflow(self._session.app, active=breaks_anew(os.environ), on_settled=self._flush)
        # One application for the whole run: between two there would be moments in which the terminal
        # echoes by itself and a paste is not bracketed.
        self._session.default_buffer.accept_handler = self._accept

    async def run(self) -> None:
        """Until `close`, Ctrl-D on an empty line, or Ctrl-C twice."""
        with patch_stdout():
            try:
                await self._session.prompt_async(pre_run=self._before_run)
            except (EOFError, KeyboardInterrupt):
                pass
            finally:
                self._output.release()

    def close(self) -> None:
        """End `run`."""
        self._closed = True
        future = self._session.app.future
        if future is not None and not future.done():
            self._session.app.exit(result="")

    def hang_up(self) -> None:
        """End `run`; there is no terminal any more."""
        self._output.hang_up()

    def _before_run(self) -> None:
        # Refused before there was anything to end: the application has no future to set until now.
        if self._closed:
            asyncio.get_running_loop().call_soon(self.close)

    def show(self, lines: list[Line]) -> None:
        """Print lines above the one being typed, at once with all others of this moment."""
        if lines and not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting += lines

    def finish(self) -> None:
        """Print what is waiting after `run` has ended."""
        self._print(self._take_waiting())

    @property
    def columns(self) -> int:
        """The width of the terminal now."""
        return self._output.get_size().columns

    def redraw(self) -> None:
        """The prompt or the status line changed."""
        self._session.app.invalidate()

    def bell(self) -> None:
        """Ring."""
        self._output.bell()

    def paste(self) -> None:
        """Let the next message have several lines: Enter begins a new one, Ctrl-D sends."""
        self.pasting = True
        self.redraw()

    def _flush(self) -> None:
        if not self._waiting or (self._session.app.is_running and self._reflow.holds()):
            return
        lines = self._take_waiting()
        if self._session.app.is_running:
            print_above(self._session.app, self._output, self._reflow, lambda: self._print(lines))
        else:
            self._print(lines)

    def _take_waiting(self) -> list[Line]:
        lines, self._waiting = self._waiting, []
        return lines

    def _print(self, lines: list[Line]) -> None:
        text = FormattedText()
        for line in lines:
            for row in wrap(line, self.columns):
                text += [*row, ("", "\n")]
        # The renderer's function: the one in shortcuts would queue once more behind the application.
        print_formatted_text(self._output, text, self._style)
        self._output.flush()

    def _accept(self, buffer: Buffer) -> bool:
        pasted, self.pasting = self.pasting, False
        if buffer.text.strip():
            self._on_line(buffer.text, pasted)
        # Never kept: what is typed next would be appended to it.
        return False

    def _add_status(self, status: Callable[[], Line]) -> None:
        # Not PromptSession's own toolbar: it stays hidden until the terminal has told the cursor's place.
        # No longer than its words: a bar over the whole width is broken in two by a terminal made narrower,
        # and with every step the conversation moves up by a row.
        bar = Window(FormattedTextControl(lambda: FormattedText(status())), height=1)
        bar_while_typing = ConditionalContainer(bar, filter=~is_done)
        app, buffer = self._session.app, self._session.default_buffer
        app.layout = Layout(HSplit([app.layout.container, bar_while_typing]), focused_element=buffer)

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("c-c")
        def clear_or_quit(event: KeyPressEvent) -> None:
            now = time.monotonic()
            if event.current_buffer.text or self.pasting:
                self.pasting = False
                event.current_buffer.reset()
            elif now - self._interrupted < TWICE_SECONDS:
                self.close()
            else:
                self._interrupted = now
                self.show([[("class:quiet", "-- Ctrl-C again quits; so does Ctrl-D --")]])

        @keys.add("c-d", filter=Condition(lambda: self.pasting))
        def send_paste(event: KeyPressEvent) -> None:
            event.current_buffer.validate_and_handle()

        @keys.add("c-z")
        def stop(event: KeyPressEvent) -> None:
            suspend(self._output)

        return keys


def _history(path: Path | None) -> History:
    if path is None:
        return InMemoryHistory()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        _shorten(path)
    except OSError:
        return InMemoryHistory()  # an unwritable folder is no reason not to chat
    return FileHistory(path)


def _shorten(path: Path) -> None:
    """Drop the oldest entries; each begins with an empty line and a comment (FileHistory's format)."""
    entries = path.read_text(encoding="utf-8", errors="replace").split("\n# ")
    if len(entries) > 2 * HISTORY_ENTRIES:
        path.write_text("".join(f"\n# {entry}" for entry in entries[-HISTORY_ENTRIES:]), encoding="utf-8")
