"""The screen: an undisturbed input line, the conversation printed above it, a status line below.

All methods must be called on the event loop's thread. Only safe lines, those of `render` and `answers`,
may be shown: this module does not escape text again.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import Completer
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition, is_done
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout import ConditionalContainer, FormattedTextControl, HSplit, Layout, Window
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.renderer import print_formatted_text
from prompt_toolkit.shortcuts import CompleteStyle

from chatctl.model.render import Line
from chatctl.model.wrapping import wrap
from chatctl.terminal.cell_text import SeparateCharacters
from chatctl.terminal.resize_guard import ResizeGuard, rewraps
from chatctl.terminal.themes import DEFAULT_THEME, style_of
from chatctl.terminal.tty import open_terminal, print_above, suspend
from chatd.console import streams
from chatd.console.output import bug_lines
from chatd.proto.frames import STRING_LIMIT
from chatd.proto.text import visible

# A second Ctrl-C within this time quits.
QUIT_SECONDS = 2.0
# Typed lines kept for the next run.
HISTORY_ENTRIES = 1_000
# No server accepts a longer message, and each key in a line of 300,000 characters takes seconds.
INPUT_LIMIT = STRING_LIMIT


class Screen:
    """``prompt`` and ``status`` give the prompt and the status line whenever they are drawn.

    ``on_line`` gets the typed text, and whether it was typed after /paste. The input is always empty
    afterwards; Up brings the text back.
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
        # The original: the program's own stdout hides that the terminal is gone.
        self._output = open_terminal(sys.__stdout__ or sys.stdout)
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
            # A menu would need empty lines below the prompt.
            complete_style=CompleteStyle.READLINE_LIKE,
            reserve_space_for_menu=0,
            history=_history(history),
            key_bindings=self._keys(),
            erase_when_done=True,
            input_processors=[SeparateCharacters()],
            style=self._style,
            output=self._output,
        )
        self._add_status(status)
        self._resize_guard = ResizeGuard(
            self._session.app, active=rewraps(os.environ), on_settled=self._flush
        )
        # One application for the whole run: between two, the terminal would echo input itself and a
        # paste would not be bracketed.
        self._session.default_buffer.accept_handler = self._accept
        self._session.default_buffer.on_text_changed += self._bound_input

    async def run(self) -> None:
        """Read lines until `close`, Ctrl-D on an empty line, or Ctrl-C twice."""
        # Not prompt_toolkit's handler, which prints a traceback and waits for Enter.
        asyncio.get_running_loop().set_exception_handler(self._show_bug)
        with patch_stdout():
            try:
                await self._session.prompt_async(pre_run=self._before_run, set_exception_handler=False)
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
        """End `run` because the terminal is gone."""
        self._output.hang_up()

    def _before_run(self) -> None:
        # Closed before the start: only now is there an application to end.
        if self._closed:
            asyncio.get_running_loop().call_soon(self.close)

    def show(self, lines: list[Line]) -> None:
        """Print lines above the input, together with all others of this loop iteration."""
        if lines and not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting += lines

    def finish(self) -> None:
        """Print the remaining lines after `run` has ended."""
        self._print(self._take_waiting())

    @property
    def columns(self) -> int:
        """The current width of the terminal."""
        return self._output.get_size().columns

    def redraw(self) -> None:
        """Draw the prompt and the status line again."""
        self._session.app.invalidate()

    def bell(self) -> None:
        """Ring the terminal's bell."""
        self._output.bell()

    def paste(self) -> None:
        """Let the next message have several lines: Enter starts a new one, Ctrl-D sends."""
        self.pasting = True
        self.redraw()

    def _flush(self) -> None:
        if not self._waiting or (self._session.app.is_running and self._resize_guard.is_waiting()):
            return
        lines = self._take_waiting()
        if self._session.app.is_running:
            print_above(self._session.app, self._output, self._resize_guard, lambda: self._print(lines))
        else:
            self._print(lines)

    def _take_waiting(self) -> list[Line]:
        lines, self._waiting = self._waiting, []
        return lines

    def _print(self, lines: list[Line]) -> None:
        text = FormattedText()
        for line in lines:
            shown = [(style, streams.expressible(part)) for style, part in line]
            for row in wrap(shown, self.columns):
                text += [*row, ("", "\n")]
        # Not the function in shortcuts, which would wait for the application.
        print_formatted_text(self._output, text, self._style)
        self._output.flush()

    def _accept(self, buffer: Buffer) -> bool:
        pasted, self.pasting = self.pasting, False
        if buffer.text.strip():
            self._on_line(buffer.text, pasted)
        # Do not keep the text: the next input would be appended to it.
        return False

    def _bound_input(self, buffer: Buffer) -> None:
        """Cut what no server would accept, such as an unbracketed paste or a line of the history."""
        if len(buffer.text) > INPUT_LIMIT:
            buffer.document = Document(buffer.text[:INPUT_LIMIT], min(buffer.cursor_position, INPUT_LIMIT))
            self._remark(f"cut to {INPUT_LIMIT:,} characters, the longest message")

    def _remark(self, text: str) -> None:
        self.show([[("class:quiet", f"-- {text} --")]])

    def _show_bug(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception") or RuntimeError(context["message"])
        self.show([[("class:error", visible(line))] for line in bug_lines(error)])

    def _add_status(self, status: Callable[[], Line]) -> None:
        # Not PromptSession's toolbar, which stays hidden until the terminal has reported its cursor.
        # Not padded to the full width: a narrowed terminal would wrap it and move everything up a row.
        bar = Window(FormattedTextControl(lambda: FormattedText(status())), height=1)
        visible_bar = ConditionalContainer(bar, filter=~is_done)
        app, buffer = self._session.app, self._session.default_buffer
        app.layout = Layout(HSplit([app.layout.container, visible_bar]), focused_element=buffer)

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("c-c")
        def clear_or_quit(event: KeyPressEvent) -> None:
            now = time.monotonic()
            if event.current_buffer.text or self.pasting:
                self.pasting = False
                event.current_buffer.reset()
            elif now - self._interrupted < QUIT_SECONDS:
                self.close()
            else:
                self._interrupted = now
                self._remark("Ctrl-C again quits; so does Ctrl-D")

        @keys.add("c-d", filter=Condition(lambda: self.pasting))
        def send_paste(event: KeyPressEvent) -> None:
            event.current_buffer.validate_and_handle()

        @keys.add(Keys.BracketedPaste)
        def insert_paste(event: KeyPressEvent) -> None:
            # Some terminals paste "\r\n" or "\r".
            pasted = event.data.replace("\r\n", "\n").replace("\r", "\n")
            space = INPUT_LIMIT - len(event.current_buffer.text)
            if len(pasted) <= space:
                event.current_buffer.insert_text(pasted)
            else:
                self._remark(f"not pasted: {len(pasted):,} characters, of which {space:,} fit")

        @keys.add(Keys.Vt100MouseEvent)
        def insert_colour(event: KeyPressEvent) -> None:
            # Colours of a paste that the terminal does not bracket look like the mouse, which is not in use.
            event.current_buffer.insert_text(event.data)

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
        return InMemoryHistory()  # an unwritable folder is no reason to refuse to chat
    return FileHistory(path)


def _shorten(path: Path) -> None:
    """Drop the oldest entries, which start with an empty line and a comment in FileHistory's format."""
    entries = path.read_text(encoding="utf-8", errors="replace").split("\n# ")
    if len(entries) > 2 * HISTORY_ENTRIES:
        path.write_text("".join(f"\n# {entry}" for entry in entries[-HISTORY_ENTRIES:]), encoding="utf-8")
