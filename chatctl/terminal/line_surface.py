"""The conversations of one user in the line client: what is printed when, and what commands can ask of it.

Everything here runs on the event loop's thread; only requests wait on the threads of a small pool.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar, TypeVar

from chatctl.client import (
    Acknowledged,
    AnyEvent,
    CaughtUp,
    Client,
    Connected,
    Disconnected,
    Refused,
    Restored,
)
from chatctl.model import answers, paging, room_text
from chatctl.model.actions import caught_up_note, focus_note
from chatctl.model.chat_model import ChatModel
from chatctl.model.conversation import TimelineRow
from chatctl.model.expiring import expiry_warning
from chatctl.model.hits import Hits, render_hit
from chatctl.model.render import Line, Viewer, snippet
from chatctl.terminal.line_reading import Reading
from chatctl.terminal.transcript import LineScreen, Transcript
from chatd.errors import ChatdError
from chatd.pki.identity import Identity
from chatd.proto import events as ev
from chatd.proto.advice import with_way
from chatd.proto.frames import JsonObject
from chatd.proto.request_bounds import PAGE_LIMIT

T = TypeVar("T")

# Events printed from before the start: older ones are in /history.
MISSED_LIMIT = 20
# A message is shown as pending only when its answer takes noticeably long.
PENDING_SECONDS = 0.3
SEARCH_PAGE = 20
# Pages that one /catchup reads at most before it finds something of others.
CATCH_UP_PAGES = 20
COUNT_DOWN_SECONDS = 0.5
MARKER_CHECK_SECONDS = 5.0
# Live replies to unknown messages hold up the others at most so often: anybody can send such.
QUOTES_SECONDS = 1.0


class LineSurface:
    """``first_room``: the address to begin at. ``error``: why the server refused for good. ``begun``: the
    first room was entered, or refused.
    """

    help_hints: tuple[str, ...] = (
        "Tab completes; Ctrl-R finds typed lines; // begins a message with /",
        "a pasted block is one message; Ctrl-D sends what /paste began, on an empty line it quits",
        "marks of names: * admin, ~ guest, + other",
    )

    def __init__(self, client: Client, first_room: str, screen: LineScreen, model: ChatModel) -> None:
        self.client = client
        self.screen = screen
        self.model = model
        self.transcript = Transcript(screen, model)
        self.error: ChatdError | None = None
        self._first_room = first_room
        self._started = False
        self.begun = asyncio.Event()
        self._counting_down = False
        self._missed: deque[AnyEvent] = deque(maxlen=MISSED_LIMIT)
        self._entering = asyncio.Lock()
        self._quotes_after = 0.0
        # Live events that arrive while a room's history is fetched; None: no fetch is under way.
        self._delayed: list[AnyEvent] | None = None
        self._pool = ThreadPoolExecutor(4, "chat-request")
        self._tasks: set[asyncio.Task[None]] = set()
        self.reading = Reading(model, client.request, self._on_thread, self._spawn)

    # -- for the commands

    async def ask(self, kind: str, **fields: Any) -> JsonObject:
        return await self._on_thread(partial(self.client.request, kind, **fields))

    async def ask_all(self, kind: str, key: str, by: str, **fields: Any) -> list[JsonObject]:
        return await self._on_thread(partial(paging.list_all, self.client.request, kind, key, by, **fields))

    async def enter(self, address: str) -> None:
        room = self.model.resolve(address)
        if address.startswith("@") and room not in self.model.conversations:
            for user in self.model.others(room):
                await self.ask("whois", user=user)  # raises for an unknown user
        join = partial(self.ask, "join", room=address) if address.startswith("#") else None
        await self._enter(room, join)

    async def create(self, room: str, topic: str | None, options: Mapping[str, Any]) -> None:
        await self._enter(room, partial(self.ask, "create", room=room, topic=topic, **options))

    async def show_older(self, count: int) -> tuple[int, bool]:
        room = self.model.require_current()
        page = await self._history(room, count=count, before=self.transcript.oldest(room))
        events = self.model.add_history(room, page.events, more=page.more, before=self.model.here.oldest)
        await self.reading.load_quotes(room)
        self.transcript.earlier(room, events)
        return len(events), page.more

    async def catch_up(self, count: int) -> None:
        room = self.model.require_current()
        if room not in self.transcript.unread_after:
            self.note(caught_up_note(self.model))
            return
        if not count:
            self.transcript.skip_unread(room)
            self.note(caught_up_note(self.model))
            return
        for _ in range(CATCH_UP_PAGES):
            page = await self._history(room, count=count, after=self.transcript.unread_after[room])
            await self.reading.load_quotes(room, paging.replied_to(page.events))
            if self.transcript.unread_page(room, page) or not page.more:
                break
        self.note("/catchup reads on" if page.more else caught_up_note(self.model))

    async def search(self, query: str) -> None:
        result = await self.ask("search", query=query, limit=SEARCH_PAGE)
        hits, viewer = Hits(query), Viewer(self.model.me, dated=True, times=self.model.times)
        found = [event for event in paging.typed(result.get("events")) if isinstance(event, ev.Message)]
        self.show([render_hit(event, hits, viewer) for event in found])
        self.note(answers.found(len(found), result, query))

    def say(self, text: str, *, to: str = "", kind: str = "text", reply_to: int | None = None) -> None:
        to = to or self.model.address(self.model.require_current())
        self.model.sending(self.client.send(to, text, kind=kind, reply_to=reply_to))
        asyncio.get_running_loop().call_later(PENDING_SECONDS + 0.01, self.screen.redraw)

    def edit(self, seq: int, text: str) -> None:
        self.model.sending(self.client.edit(self.model.require_current(), seq, text))
        asyncio.get_running_loop().call_later(PENDING_SECONDS + 0.01, self.screen.redraw)

    @property
    def identity(self) -> Identity:
        return self.client.identity

    def show_whole(self, event: ev.Message) -> None:
        self.transcript.event(event, dated=True, labelled=True, whole=True)

    def show(self, lines: list[Line]) -> None:
        self.transcript.show(lines)

    def note(self, text: str) -> None:
        self.transcript.note(text)

    def focus(self, rooms: frozenset[str] | None) -> None:
        self.model.focus = rooms
        self.note("messages for you from all rooms are shown again" if rooms is None else focus_note(rooms))

    def paste(self) -> None:
        self.screen.paste()

    def reconnect(self) -> None:
        self.note("connecting")
        self.client.try_now()

    def quit(self) -> None:
        self.screen.close()

    # -- for the line client

    def pending(self) -> list[tuple[str, TimelineRow]]:
        """Messages whose answer takes noticeably long, with their conversation."""
        return self.model.pending(PENDING_SECONDS)

    def start(self, work: Coroutine[Any, Any, None], what: str = "error") -> None:
        """Run something in the background; print its refusal."""
        self._spawn(self.guarded(work, what))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def guarded(self, work: Coroutine[Any, Any, None], what: str = "error") -> None:
        """Run something; print its refusal after ``what``, such as "/kick"."""
        try:
            await work
        except ChatdError as error:
            self.transcript.error(error, what)

    def stop(self) -> None:
        """Cancel what `start` began."""
        for task in self._tasks:
            task.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def take(self, event: AnyEvent) -> None:
        """Apply an event of the library, and print it."""
        self._HANDLERS.get(type(event), LineSurface._take_from_server)(self, event)
        self.screen.redraw()

    # -- events

    def _connected(self, event: Connected) -> None:
        model, welcome = self.model, event.welcome
        was_down, was_in = model.connection == "reconnecting", model.current in model.joined
        invitations = model.invitations.new_in(welcome)
        model.take(event)
        if was_down:
            self.note("connected again")
        elif not self._started:
            self.note(f"connected to {welcome.instance} as {welcome.user} ({welcome.role}); /help tells more")
            if ends := expiry_warning(self.client.identity, datetime.now(UTC)):
                self.note(ends)
            if not welcome.envelope:
                warning = ChatdError("W111", "this server has the envelope switched off")
                self.transcript.error(warning, "warning")
        # At the start `_begin` tells of them, below what the first room has.
        for room in invitations if self._started else ():
            self.note(room_text.invited(room))
        if was_in and model.current not in model.joined:
            self.note(f"you are not in {model.current} any more")
            self._leave_current(by_choice=False)

    def _restored(self, event: Restored) -> None:
        self.model.take(event)
        self.transcript.restore(event.seq)
        self.note(event.text)

    def _disconnected(self, event: Disconnected) -> None:
        known = self.model.trouble if self.model.connection == "reconnecting" else None
        self.model.take(event)
        if event.retry_in is None:
            self.error = event.error
            self.screen.close()
            return
        if known is None or known.code != event.error.code:
            self.note(
                f"not connected: {event.error.reason} ({event.error.code}). {event.error.fix}. "
                "Trying again, or now: /reconnect"
            )
        if not self._counting_down:
            self._count_down()

    def _count_down(self) -> None:
        """Draw the seconds until the next attempt while there are any."""
        self._counting_down = self.model.retry_seconds > 0
        if self._counting_down:
            self.screen.redraw()
            asyncio.get_running_loop().call_later(COUNT_DOWN_SECONDS, self._count_down)

    def _caught_up(self, event: CaughtUp) -> None:
        self.model.take(event)
        if self.model.rooms_missing:
            self.start(self._load_rooms())
        if self._started:
            if self.model.stale:
                self.start(self.reading.load_unread())
            return
        self._started = True
        self.start(self._begin())

    async def _begin(self) -> None:
        """Learn what is unread, print what was missed, and enter the first room."""
        await self.guarded(self.reading.load_unread())
        # What was read on another device is not news.
        missed = [event for event in self._missed if not self.model.is_read(event)]
        self._missed.clear()
        for room in {event.room for event in missed if isinstance(event, ev.Message)}:
            await self.reading.load_quotes(room)
        if missed:
            self.note("while you were away")
        for event in missed:
            self.transcript.event(event, dated=True)
            self._note_shown(event)
        try:
            await self._enter_first()
        finally:
            for room in self.model.invited_to:
                self.note(room_text.invited(room))
            self.begun.set()
        self._check_markers()

    def _check_markers(self) -> None:
        self.reading.send_markers()
        asyncio.get_running_loop().call_later(MARKER_CHECK_SECONDS, self._check_markers)

    def _note_shown(self, event: AnyEvent) -> None:
        if isinstance(event, ev.Message) and event.room != self.model.current:
            self.model.show(event)

    def _acknowledged(self, event: Acknowledged) -> None:
        self.model.take(event)
        for text in self.model.sent_notes:
            self.note(text)

    def _refused(self, event: Refused) -> None:
        self.model.take(event)
        error = with_way(event.error, "/say!")
        self.transcript.error(error, f'not sent: "{snippet(event.sent.body)}"')

    def _take_from_server(self, event: AnyEvent) -> None:
        if self._delayed is not None:
            self._delayed.append(event)
            return
        if self._lacks_quote(event):
            self._delayed = [event]
            self._quotes_after = asyncio.get_running_loop().time() + QUOTES_SECONDS
            self._spawn(self._hold_for_quotes(self.model.current))
            return
        self.model.take(event)
        if isinstance(event, ev.ReadMarker) and self.model.stale and self._started:
            self.start(self.reading.load_unread())
        if not self.transcript.claim(event):
            return
        if not self._started:
            self._missed.append(event)
            return
        if self._is_for_me(event):
            self.screen.bell()
        self.transcript.event(event)
        self._note_shown(event)
        if isinstance(event, ev.Parted) and (event.user, event.room) == (self.model.me, self.model.current):
            self._leave_current(by_choice=event.by == self.model.me)
        elif isinstance(event, ev.RoomRemoved) and event.room == self.model.current:
            self._leave_current(by_choice=False)

    def _is_for_me(self, event: AnyEvent) -> bool:
        """Whether somebody wrote to this user, or invited them."""
        if isinstance(event, ev.Standing):
            return event.change == "invited"
        return isinstance(event, ev.Message) and self.model.addresses_me(event)

    def _lacks_quote(self, event: AnyEvent) -> bool:
        """Whether to fetch, before an event is printed, the message that it replies to."""
        if not self._started or not isinstance(event, ev.Message) or event.room != self.model.current:
            return False
        unknown = event.reply_to is not None and self.model.quote(event) is None
        return unknown and asyncio.get_running_loop().time() >= self._quotes_after

    async def _hold_for_quotes(self, room: str) -> None:
        async with self._entering:
            held = [event for event in self._delayed or () if isinstance(event, ev.Message)]
            try:
                await self.reading.load_quotes(room, paging.replied_to([e for e in held if e.room == room]))
            finally:
                self._release()

    # -- entering and leaving rooms

    async def _enter(self, room: str, join: Callable[[], Awaitable[JsonObject]] | None) -> None:
        """Make a conversation current and print what is not printed yet. Raises the server's refusal."""
        async with self._entering:
            self._delayed = self._delayed or []
            since = self.model.heard
            try:
                result = await join() if join is not None else {}
                page = await self._latest(room)
                if join is not None:
                    self.model.entered(room, since)
                    self.model.set_rooms([{**result, "room": room}], since)
                await self._arrive(room, result, page)
            finally:
                self._release()

    def _release(self) -> None:
        delayed, self._delayed = self._delayed or [], None
        for event in delayed:
            self._take_from_server(event)

    async def _arrive(self, room: str, result: JsonObject, page: paging.HistoryPage) -> None:
        model, where = self.model, self.model.conversation(room)
        unread, first, newest = where.unread, where.read.first, self.transcript.newest(room)
        earlier = where.read.hide_unread()
        model.switch(room)
        self.note(answers.room_head(result, model.title(room), unread))
        events = model.add_history(room, page.events, more=page.more)
        await self.reading.load_quotes(room)
        self.transcript.latest(
            room, [e for e in events if e.seq > newest], unread=unread, first=first, earlier=earlier
        )
        self.reading.send_markers()
        self.screen.redraw()

    async def _latest(self, room: str) -> paging.HistoryPage:
        """The last events of a room, as many as the server wants to be shown on entering one."""
        welcome = self.client.welcome
        limit = min(welcome.limits.history_on_join, PAGE_LIMIT) if welcome else 0
        try:
            return await self._history(room, count=limit)
        except ChatdError as error:
            self.transcript.error(error)
            return paging.HistoryPage([], more=True)

    def _leave_current(self, *, by_choice: bool) -> None:
        """Go on to another room, but not when removed from one: Enter must not send elsewhere what is
        half typed for the room that is gone.
        """
        self.model.current = ""
        joined = [room for room in self.model.joined if room.startswith("#")]
        if not by_choice:
            self.note(room_text.left_without_choice(joined))
        elif joined:
            self.start(self.enter(min(joined)))

    async def _load_rooms(self) -> None:
        """Learn of the rooms that the welcome had no space for."""
        since = self.model.heard
        self.model.set_rooms(await self.ask_all("rooms", "rooms", "room"), since)

    async def _enter_first(self) -> None:
        try:
            await self.enter(self._first_room)
        except ChatdError as error:
            self.transcript.error(error)
            others = [r for r in self.model.joined if r.startswith("#") and r != self._first_room]
            if others:
                await self.enter(min(others))

    async def _history(self, room: str, **page: Any) -> paging.HistoryPage:
        return await self._on_thread(partial(paging.history, self.client.request, room, **page))

    async def _on_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    _HANDLERS: ClassVar[dict[type[Any], Callable[[LineSurface, Any], None]]] = {
        Connected: _connected,
        Restored: _restored,
        Disconnected: _disconnected,
        CaughtUp: _caught_up,
        Acknowledged: _acknowledged,
        Refused: _refused,
    }
