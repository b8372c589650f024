"""The line client: `run` puts the conversation, the commands and the screen together."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from datetime import UTC, datetime

from chatctl.client import AnyEvent, Client, state_folder
from chatctl.model.grammar import CommandCall, Mistake, Say, parse
from chatctl.model.render import Line, name, snippet, title
from chatctl.terminal.actions import SWITCHING, carry_out
from chatctl.terminal.cell_text import separate
from chatctl.terminal.line_rooms import Rooms
from chatctl.terminal.screen import Screen
from chatctl.terminal.tab_completion import LineCompleter
from chatctl.terminal.talk import Talk
from chatctl.terminal.themes import DEFAULT_THEME
from chatctl.terminal.wrapping import columns
from chatd.console import output

# Events handed to the screen and not yet shown; above it the library waits.
AHEAD_LIMIT = 256
# How long quitting waits for messages without an answer; what remains is sent by the next run.
DRAIN_SECONDS = 3.0
# Pending messages shown above the prompt.
PENDING_LINES = 3
EXPIRY_DAYS = 14
CONNECTED = "· connected "


def run(client: Client, room: str, theme: str = DEFAULT_THEME) -> int:
    """Chat on this terminal, beginning in ``room``; the exit code. ``theme`` is a name of `THEMES`.

    A terminal that cannot place its cursor gets plain mode. Closes the client.
    """
    if os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        from chatctl.scripts import pipe

        return pipe.run(client, room, sys.stdin, sys.stdout)
    client.start()
    chat = LineClient(client, room, theme)
    asyncio.run(chat.run())
    if client.unsent and chat.talk.error is None:
        client.close(drain=DRAIN_SECONDS)
    if left := client.unsent:
        output.note(f"{left} not sent yet; chat sends them when it runs the next time")
    client.close()
    if chat.talk.error is not None:
        output.show_error(chat.talk.error)
        return output.exit_code(chat.talk.error)
    return output.OK


class LineClient:
    """One run. The library's events come from a thread of their own; all else is on the event loop."""

    def __init__(self, client: Client, room: str, theme: str) -> None:
        self._client = client
        rooms = Rooms(client.identity.user)
        self._screen = Screen(
            prompt=self._prompt,
            status=self._status,
            on_line=self._on_line,
            completer=LineCompleter(rooms, lambda: client.welcome.permissions if client.welcome else ()),
            history=state_folder(client.identity, os.environ) / "typed",
            theme=theme,
        )
        self.talk = Talk(client, room, self._screen, rooms)
        self._lines: asyncio.Queue[Say | CommandCall] = asyncio.Queue()
        self._ahead = threading.Semaphore(AHEAD_LIMIT)

    async def run(self) -> None:
        """Until the user or the server ends it."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._screen.close)
        loop.add_signal_handler(signal.SIGHUP, self._screen.hang_up)
        threading.Thread(target=self._pump, args=(loop,), name="chat-events", daemon=True).start()
        work = loop.create_task(self._work())
        try:
            await self._screen.run()
        finally:
            work.cancel()
            self.talk.stop()
            self._screen.finish()

    def _pump(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            for event in self._client.events():
                self._ahead.acquire()
                loop.call_soon_threadsafe(self._take, event)
            loop.call_soon_threadsafe(self._ended)
        except RuntimeError:
            pass  # the loop was closed: the run is over

    def _ended(self) -> None:
        self.talk.error = self.talk.error or self._client.error
        self._screen.close()

    def _take(self, event: AnyEvent) -> None:
        self._ahead.release()
        self.talk.take(event)

    # -- what is typed

    def _on_line(self, text: str, pasted: bool) -> None:
        meant = Say(text) if pasted else parse(text)
        if isinstance(meant, Mistake):
            self.talk.mistaken(meant.sentence)
        else:
            self._lines.put_nowait(meant)

    async def _work(self) -> None:
        """Lines in the order they were typed; only what changes the room is waited for."""
        while True:
            meant = await self._lines.get()
            if isinstance(meant, Say):
                await self.talk.guarded(self._say(meant.text))
            elif meant.command.name in SWITCHING:
                await self.talk.guarded(carry_out(self.talk, meant))
            else:
                self.talk.start(carry_out(self.talk, meant))

    async def _say(self, text: str) -> None:
        self.talk.say(text.strip("\n"))

    # -- what is drawn

    def _prompt(self, pasting: bool) -> Line:
        line: Line = []
        pending = self.talk.pending()
        for sent in pending[:PENDING_LINES]:
            body = separate(snippet(sent.body))
            line.append(("class:pending", f"... {title(sent.to, self.talk.rooms.me)} {body}\n"))
        if len(pending) > PENDING_LINES:
            line.append(("class:pending", f"... and {len(pending) - PENDING_LINES} more\n"))
        room = title(self.talk.rooms.current, self.talk.rooms.me)
        how = " (Ctrl-D sends, Ctrl-C drops)" if pasting else ""
        return [*line, ("class:prompt", f"{room}{how}> ")]

    def _status(self) -> Line:
        welcome, me = self._client.welcome, self.talk.rooms.me
        where = ("class:status", f" {title(self.talk.rooms.current, me) or 'no room'} ")
        connection = ("class:status" if self._client.connected else "class:alert", self._connection())
        who = ("class:status", f"· {me} ({name(welcome.role)}) " if welcome else f"· {me} ")
        parts: Line = [where, connection, who]
        if welcome is not None and not welcome.envelope:
            parts.append(("class:alert", " NO ENVELOPE "))
        if (days := self._days_left()) < EXPIRY_DAYS:
            parts.append(("class:alert", f" certificate ends in {max(days, 0)} days "))
        if self.talk.rooms.focus is not None:
            parts.append(("class:status", "· focus "))
        for room, count, called in self.talk.rooms.unread():
            parts.append(("class:alert" if called else "class:status", f"· {title(room, me)} {count} "))
        # On a narrow terminal what is as usual gives way to what is not.
        usual = [who, connection] if connection[1] == CONNECTED else [who]
        for part in usual:
            if sum(columns(text) for _, text in parts) > self._screen.columns:
                parts.remove(part)
        return parts

    def _connection(self) -> str:
        unsent = f" ({self._client.unsent} unsent)" if self._client.unsent else ""
        if self._client.connected:
            return f"· connected{unsent} " if self.talk.pending() else CONNECTED
        return f"· {'reconnecting' if self._client.welcome else 'connecting'}{unsent} "

    def _days_left(self) -> int:
        ends = self._client.identity.not_after
        return (ends.replace(tzinfo=ends.tzinfo or UTC) - datetime.now(UTC)).days
