"""The line client: `run` connects the library, the model and the screen."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from datetime import UTC, datetime

from chatctl.client import AnyEvent, Client, state_folder
from chatctl.model.chat_model import ChatModel
from chatctl.model.commands import parse
from chatctl.model.folding import kind_of
from chatctl.model.grammar import Mistake, Say
from chatctl.model.render import Line, safe, short_count, snippet
from chatctl.model.send_question import SendQuestion
from chatctl.model.times import Times
from chatctl.model.wrapping import columns
from chatctl.terminal.cell_text import separate
from chatctl.terminal.line_surface import LineSurface
from chatctl.terminal.screen import Screen
from chatctl.terminal.tab_completion import LineCompleter
from chatctl.terminal.themes import DEFAULT_THEME
from chatctl.terminal.typed_lines import TypedLines
from chatd.console import output

# Events passed to the loop and not printed yet; beyond that the library's thread waits.
QUEUE_LIMIT = 256
# Quitting waits this long for messages without an answer; the next run sends the others.
DRAIN_SECONDS = 3.0
# Pending messages shown above the prompt.
PENDING_LINES = 3
CONNECTED = "· connected "
MORE = "…"


def run(client: Client, room: str, theme: str = DEFAULT_THEME, times: Times = Times.UTC) -> int:
    """Chat on this terminal, beginning in ``room``, and close the client; return the exit code.

    ``theme`` is a name of `THEMES`.
    """
    client.start()
    chat = LineClient(client, room, theme, times)
    asyncio.run(chat.run())
    chat.surface.reading.markers.send_last(client)
    for text in chat.lines.unsent():
        output.note(f'not sent: "{snippet(text)}"')
    error = chat.surface.error
    if client.unsent and error is None:
        client.close(drain=DRAIN_SECONDS)
    if left := client.unsent:
        output.note(f"{left} not sent yet; the next run of chat sends them")
    client.close()
    if error is None:
        return output.OK
    output.show_error(error)
    return output.exit_code(error)


class LineClient:
    """One run. The library's events come from their own thread; everything else is on the event loop."""

    def __init__(self, client: Client, room: str, theme: str, times: Times) -> None:
        self._client = client
        self._model = ChatModel(client.identity.user)
        self._model.times = times
        self._screen = Screen(
            prompt=self._prompt,
            status=self._status,
            on_line=self._on_line,
            completer=LineCompleter(self._model),
            history=state_folder(client.identity, os.environ) / "typed",
            theme=theme,
        )
        self._model.sending_earlier(client.outbox)
        self.surface = LineSurface(client, room, self._screen, self._model)
        self._send_question = SendQuestion()
        self.lines = TypedLines(self.surface.begun)
        self._queue_space = threading.Semaphore(QUEUE_LIMIT)

    async def run(self) -> None:
        """Run until the user or the server ends it."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._screen.close)
        loop.add_signal_handler(signal.SIGHUP, self._screen.hang_up)
        threading.Thread(target=self._pump, args=(loop,), name="chat-events", daemon=True).start()
        work = loop.create_task(self._work())
        try:
            await self._screen.run()
        finally:
            work.cancel()
            self.surface.stop()
            self._screen.finish()

    def _pump(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            for event in self._client.events():
                self._queue_space.acquire()
                loop.call_soon_threadsafe(self._take, event)
            loop.call_soon_threadsafe(self._ended)
        except RuntimeError:
            pass  # the loop was closed: the run is over

    def _ended(self) -> None:
        self.surface.error = self.surface.error or self._client.error
        self._screen.close()

    def _take(self, event: AnyEvent) -> None:
        self._queue_space.release()
        self.surface.take(event)

    # -- input

    def _on_line(self, text: str, pasted: bool) -> None:
        meant = Say(text) if pasted else parse(text, self.surface.model.permissions)
        if isinstance(meant, Mistake):
            self.surface.transcript.mistake(meant.sentence)
        elif self.lines.overtakes(meant):
            self.surface.start(meant.carry_out(self.surface), f"/{meant.command.name}")
        else:
            self.lines.put(meant)
            if not (self.surface.begun.is_set() or self._client.connected):
                self.surface.note("this waits for the connection")

    async def _work(self) -> None:
        """Carry out lines in order; later lines wait only for commands that switch rooms."""
        while True:
            meant = await self.lines.next()
            if isinstance(meant, Say):
                await self.surface.guarded(self._say(meant.text))
            elif meant.command.switches:
                await self.surface.guarded(meant.carry_out(self.surface), f"/{meant.command.name}")
            else:
                self.surface.start(meant.carry_out(self.surface), f"/{meant.command.name}")

    async def _say(self, text: str) -> None:
        text = text.strip("\n")
        if question := self._send_question.ask(self._client.welcome, self._model.current, text):
            self.surface.note(f"{question}: Up brings it back")
        else:
            # Only a paste has several lines.
            self.surface.say(text, kind=kind_of(text))

    # -- drawing

    def _prompt(self, pasting: bool) -> Line:
        line: Line = []
        pending = self.surface.pending()
        for room, row in pending[:PENDING_LINES]:
            text = f"... {self._model.title(room)} {separate(snippet(row.body))}\n"
            line.append(("class:pending", text))
        if len(pending) > PENDING_LINES:
            line.append(("class:pending", f"... and {len(pending) - PENDING_LINES} more\n"))
        keys = " (Ctrl-D sends, Ctrl-C drops)" if pasting else ""
        return [*line, ("class:prompt", f"{self._model.title(self._model.current)}{keys}> ")]

    def _status(self) -> Line:
        model, welcome = self._model, self._client.welcome
        where = ("class:status", f" {model.title(model.current) or 'no room'} ")
        connection = ("class:status" if self._client.connected else "class:alert", self._connection())
        who = ("class:status", f"· {model.me} ({safe(welcome.role)}) " if welcome else f"· {model.me} ")
        parts: Line = [where, connection, who]
        if welcome is not None and not welcome.envelope:
            parts.append(("class:alert", " NO ENVELOPE "))
        if welcome is not None and welcome.isolated and self._client.connected:
            parts.append(("class:alert", " CUT OFF: may be old "))
        identity, now = self._client.identity, datetime.now(UTC)
        if identity.ends_soon(now):
            days = max((identity.not_after - now).days, 0)
            parts.append(("class:alert", f" certificate ends in {days} days "))
        if model.focus is not None:
            parts.append(("class:status", "· focus "))
        for one in sorted(model.conversations.values(), key=lambda one: one.name):
            if one.unread:
                style = "class:alert" if one.mentions else "class:status"
                parts.append((style, f"· {model.title(one.name)} {short_count(one.unread)} "))
        # A narrow terminal shows what is unusual first.
        usual = [who, connection] if connection[1] == CONNECTED else [who]
        for part in usual:
            if sum(columns(text) for _, text in parts) > self._screen.columns:
                parts.remove(part)
        return _whole(parts, self._screen.columns)

    def _connection(self) -> str:
        unsent = f" ({self._client.unsent} unsent)" if self._client.unsent else ""
        if self._client.connected:
            return f"· connected{unsent} " if self.surface.pending() else CONNECTED
        return f"· {self._model.connection_words}{unsent} "


def _whole(parts: Line, width: int) -> Line:
    """As many parts as fit: the terminal would cut a count, and 281 is not 28,168."""
    shown: Line = []
    left = width
    for style, text in parts:
        left -= columns(text)
        if left < 0 and shown:
            return [*shown[: len(shown) - (left + columns(text) < columns(MORE))], ("class:status", MORE)]
        shown.append((style, text))
    return shown
