"""The conversation of one user in the line client: what is shown when, and what is on its way.

Everything here runs on the event loop's thread; only requests wait on threads of a small pool.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Protocol

from chatctl.client import (
    Acknowledged,
    AnyEvent,
    CaughtUp,
    Client,
    Connected,
    Disconnected,
    Refused,
    Restored,
    Sent,
)
from chatctl.model import answers
from chatctl.model.render import Line, Viewer, day_of, name, render, snippet, title
from chatctl.terminal.line_rooms import Rooms
from chatd.errors import ChatdError
from chatd.proto import events as ev
from chatd.proto.frames import JsonObject
from chatd.proto.requests import PAGE_LIMIT

# Calls for this user that came while they were not connected; older ones are found with /history.
MISSED_LIMIT = 20
# A message is marked as pending when its answer takes longer than the eye minds.
PENDING_SECONDS = 0.3
# Pages of one list that are asked for; 200 entries each.
PAGES_LIMIT = 10


class Showing(Protocol):
    """What a conversation needs of a screen."""

    def show(self, lines: list[Line]) -> None: ...
    def bell(self) -> None: ...
    def redraw(self) -> None: ...
    def paste(self) -> None: ...
    def close(self) -> None: ...


class Talk:
    """``room``: where to begin. ``error`` is set when the server refused for good."""

    def __init__(self, client: Client, room: str, screen: Showing, rooms: Rooms) -> None:
        self.client = client
        self.screen = screen
        self.rooms = rooms
        self.error: ChatdError | None = None
        self.down = False
        self._first_room = room
        self._started = False
        self._day = ""
        self._missed: deque[AnyEvent] = deque(maxlen=MISSED_LIMIT)
        self._entering = asyncio.Lock()
        # Live events of the time in which a room's history is fetched; None: none is fetched.
        self._held: list[AnyEvent] | None = None
        self._pending: dict[str, tuple[Sent, float]] = {}
        self._pool = ThreadPoolExecutor(4, "chat-request")
        self._tasks: set[asyncio.Task[None]] = set()

    # -- what the user does

    def say(self, text: str, *, to: str = "", kind: str = "text", reply_to: int | None = None) -> None:
        """Send a message; it appears when the server has it. Raises E301 outside of any room."""
        to = to or self.rooms.current
        if not to:
            raise ChatdError("E301", "you are in no room", "see /rooms, then /join one")
        sent = self.client.send(to, text, kind=kind, reply_to=reply_to)
        self._pending[sent.msg_id] = (sent, time.monotonic())
        asyncio.get_running_loop().call_later(PENDING_SECONDS, self.screen.redraw)

    async def ask(self, kind: str, **fields: Any) -> JsonObject:
        """A request's result. Raises the server's refusal."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: self.client.request(kind, **fields))

    async def ask_all(self, kind: str, key: str, by: str, **fields: Any) -> list[JsonObject]:
        """All entries of a paged list."""
        found: list[JsonObject] = []
        after: str | None = None
        for _ in range(PAGES_LIMIT):
            page = await self.ask(kind, after=after, **fields)
            entries = [entry for entry in page.get(key, ()) if isinstance(entry, dict)]
            found += entries
            if not page.get("more") or not entries:
                break
            after = str(entries[-1].get(by, ""))
        return found

    async def enter(self, room: str, *, create: JsonObject | None = None) -> None:
        """Make a conversation current and show what was said there and is not on the screen yet.

        ``create``: the fields with which to make the room first. Raises the server's refusal.
        """
        async with self._entering:
            self._held = []
            try:
                head: JsonObject = {}
                if create is not None:
                    head = await self.ask("create", room=room, **create)
                elif room.startswith("#"):
                    head = await self.ask("join", room=room)
                self._arrive(room, head, await self._past(room))
            finally:
                held, self._held = self._held, None
                for event in held:
                    self._take(event)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something besides; its refusal is told."""
        task = asyncio.get_running_loop().create_task(self.guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something; its refusal is told."""
        try:
            await work
        except ChatdError as error:
            self.fail(error)

    def stop(self) -> None:
        """Give up what was begun with `start`."""
        for task in self._tasks:
            task.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    # -- what is shown

    def show(self, lines: list[Line]) -> None:
        """Lines above the prompt."""
        self.screen.show(lines)

    def note(self, text: str) -> None:
        """A sentence of the client's own."""
        self.show([answers.note(text)])

    def mistaken(self, sentence: str) -> None:
        """Why a line was not read as a command; it can be had back with Up."""
        self.show([[("class:error", f"-- {name(sentence)} --")]])

    def fail(self, error: ChatdError, what: str = "error") -> None:
        """Why something was not done, and what to do."""
        self.show([[("class:error", f"{what}: {name(str(error))}")]])

    def show_event(self, event: AnyEvent, *, dated: bool = False, here: bool = True) -> None:
        """An event as it looks to this user. ``here``: the current room needs no label."""
        view = Viewer(self.rooms.me, self.rooms.current if here else None, dated)
        lines = render(event, view, self.rooms.quote(event))
        if lines and not dated and isinstance(event, ev.Logged) and (day := day_of(event.at)) != self._day:
            self._day = day
            lines.insert(0, answers.note(day))
        self.show(lines)

    def pending(self) -> list[Sent]:
        """Messages whose answer takes noticeably long."""
        now = time.monotonic()
        return [sent for sent, since in self._pending.values() if now - since >= PENDING_SECONDS]

    # -- what happens

    def take(self, event: AnyEvent) -> None:
        """Anything the library tells."""
        handle = self._HANDLERS.get(type(event), Talk._take)
        handle(self, event)
        self.screen.redraw()

    def _connected(self, event: Connected) -> None:
        lost = self.rooms.current in self.rooms.joined and event.lacks(self.rooms.current)
        self.rooms.joined = {room for room in self.rooms.joined if not event.lacks(room)}
        self.rooms.joined |= {room for room in event.welcome.rooms if room.startswith("#")}
        if self.down:
            self.note("connected again")
        elif not self._started:
            welcome = event.welcome
            self.note(f"connected to {welcome.instance} as {welcome.user} ({welcome.role}); /help tells more")
            if not welcome.envelope:
                self.fail(ChatdError("W111", "this server has the envelope switched off"), "warning")
        self.down = False
        if lost:
            self.note(f"you are not in {self.rooms.current} any more")
            self._leave(by_choice=False)

    def _restored(self, event: Restored) -> None:
        self.rooms.restored(event.seq)
        self.note(event.text)

    def _disconnected(self, event: Disconnected) -> None:
        if event.retry_in is None:
            self.error = event.error
            self.screen.close()
        elif not self.down:
            self.down = True
            self.note(f"not connected: {event.error.reason} ({event.error.code}); trying again")

    def _caught_up(self, event: CaughtUp) -> None:
        if self._started:
            return
        self._started = True
        if self._missed:
            self.note("while you were away")
        for missed in self._missed:
            self.show_event(missed, dated=True)
        self._missed.clear()
        self.start(self._enter_first())

    def _acknowledged(self, event: Acknowledged) -> None:
        self._pending.pop(event.sent.msg_id, None)
        for changed in event.sent.wait(0).notes:
            self.note(f"your message was changed: {changed.get('text', changed.get('rule', ''))}")

    def _refused(self, event: Refused) -> None:
        self._pending.pop(event.sent.msg_id, None)
        self.fail(event.error, f'not sent: "{snippet(event.sent.body)}"')

    def _take(self, event: AnyEvent) -> None:
        if self._held is not None:
            self._held.append(event)
            return
        if not self.rooms.take(event):
            return
        if not self._started:
            self._missed.append(event)
            return
        if isinstance(event, ev.Message):
            self._pending.pop(event.msg_id, None)
            if self.rooms.calls(event):
                self.screen.bell()
        self.show_event(event)
        if isinstance(event, ev.Parted) and (event.user, event.room) == (self.rooms.me, self.rooms.current):
            self._leave(by_choice=event.by == self.rooms.me)

    def _arrive(self, room: str, head: JsonObject, past: list[ev.Logged]) -> None:
        unread = self.rooms.switch(room)
        if room.startswith("#"):
            self.rooms.joined.add(room)
        self.show([answers.room_head(head, title(room, self.rooms.me), unread)])
        for event in past:
            self.rooms.here.shown(event.seq)
            if isinstance(event, ev.Message):
                self.rooms.here.remember(event)
            self.show_event(event)  # type: ignore[arg-type]  # Logged is abstract; all others fit
        self.screen.redraw()

    def _leave(self, *, by_choice: bool) -> None:
        """Out of the current room: on to another, if there is one.

        Not for who was put out: what stands half typed on the line was meant for the room that is
        gone, and Enter must not say it in another.
        """
        self.rooms.current = ""
        if not by_choice:
            self.show([answers.note("you are in no room now; /join ROOM goes on elsewhere")])
            self.screen.redraw()
        elif self.rooms.joined:
            self.start(self.enter(min(self.rooms.joined)))

    async def _enter_first(self) -> None:
        try:
            await self.enter(self._first_room)
        except ChatdError as error:
            self.fail(error)
            if self.rooms.joined - {self._first_room}:
                await self.enter(min(self.rooms.joined - {self._first_room}))

    async def _past(self, room: str) -> list[ev.Logged]:
        """The last events of a room that are not on the screen yet."""
        welcome = self.client.welcome
        limit = welcome.limits.history_on_join if welcome else 0
        if not limit:
            return []
        try:
            result = await self.ask("history", room=room, limit=min(limit, PAGE_LIMIT))
        except ChatdError as error:
            if room.startswith("@"):
                return []  # nobody wrote there yet
            self.fail(error)
            return []
        return [event for event in typed(result) if event.seq > self.rooms[room].newest]

    _HANDLERS: ClassVar[dict[type[Any], Callable[[Talk, Any], None]]] = {
        Connected: _connected,
        Restored: _restored,
        Disconnected: _disconnected,
        CaughtUp: _caught_up,
        Acknowledged: _acknowledged,
        Refused: _refused,
    }


def typed(result: JsonObject) -> list[ev.Logged]:
    """The events in a result, without those of a kind this client does not know."""
    items = result.get("events")
    parsed = (ev.parse_from_server(item) for item in (items if isinstance(items, list) else ()))
    return [event for event in parsed if isinstance(event, ev.Logged)]
