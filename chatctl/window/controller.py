"""Carries out what the person wants and what the server says on the model. No Tk: any loop may poll it."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

from chatctl.client import AnyEvent, CaughtUp, Client, Connected
from chatctl.model import answers, paging, render, room_text
from chatctl.model.actions import caught_up_note
from chatctl.model.chat_model import ChatModel
from chatctl.model.commands import parse
from chatctl.model.conversation import READING_LIMIT, Conversation
from chatctl.model.expiring import expiry_warning
from chatctl.model.folding import kind_of
from chatctl.model.grammar import Mistake, Say
from chatctl.model.marker_sender import MarkerSender
from chatctl.model.send_question import SendQuestion
from chatctl.window.network import Failed, NetworkThread, PendingReply
from chatctl.window.quote_fetch import QuoteFetch
from chatd.errors import ChatdError
from chatd.pki.identity import Identity
from chatd.proto import events as ev
from chatd.proto.frames import JsonObject

PAGE = 60
SEARCH_PAGE = 50


class WindowView(Protocol):
    """The window operations that the controller uses."""

    def search(self, query: str) -> None: ...
    def show_whole(self, event: ev.Message) -> None: ...
    def quit(self) -> None: ...


class Controller:
    """One run of the window, and the `Surface` of its commands. Everything runs on the loop's thread.

    ``sought``: room and seq of a message to scroll to; the view clears it.
    """

    help_hints: tuple[str, ...] = ("F1 lists the keys",)

    def __init__(self, connect: Callable[[], Client], room: str) -> None:
        client = connect()
        self._connect = connect
        self.model = ChatModel(client.identity.user)
        self.model.tells_view = True
        self.network = NetworkThread(client, self._take)
        self.view: WindowView | None = None
        self.sought: tuple[str, int] | None = None
        self._first_room = room
        self.tell_first: list[str] = []  # what to tell the person once there is a connection
        self._unread_sought = ""  # the conversation whose first unread message to scroll to
        self._fetching_older = False
        self._quotes = QuoteFetch(self.model, self.spawn)
        self.markers = MarkerSender(self.model)
        self._send_question = SendQuestion()

    def start(self) -> None:
        """Show the first room and connect."""
        self.model.switch(self.model.resolve(self._first_room))
        self.model.sending_earlier(self.network.client.outbox)
        if warning := expiry_warning(self.network.client.identity, datetime.now(UTC)):
            self.tell_first.append(warning)
        self.network.start()

    def connect_again(self) -> None:
        """Start over after the connection ended for good: the ban may be over, the certificate renewed."""
        if self.model.connection != "ended":
            return
        # Closes its outbox, which the next client opens.
        self.network.close()
        try:
            client = self._connect()
        except ChatdError as error:
            self.fail(error)
            return
        self.network = NetworkThread(client, self._take)
        self.model.begin_again()
        self.model.sending_earlier(client.outbox)
        self.network.start()

    def submit(self, text: str, *, pasted: bool = False) -> None:
        """Carry out what was typed, a message or a command; show a refusal in the conversation.

        ``pasted``: several lines are a snippet.
        """
        meant = parse(text.strip("\n"), self.model.permissions)
        if isinstance(meant, Mistake):
            self.model.note(meant.sentence, kind="error")
        elif not isinstance(meant, Say):
            self.spawn(meant.carry_out(self), partial(self.fail, what=f"/{meant.command.name}: "))
        elif question := self._send_question.ask(self.model.welcome, self.model.current, meant.text):
            self.model.note(question, kind="error")
            self.model.here.refused.append(text)
        elif meant.text.strip():
            self.say(meant.text, kind=kind_of(meant.text) if pasted else "text")

    def spawn(self, work: Coroutine[PendingReply, Any, None], failed: Failed | None = None) -> None:
        """Run a coroutine that waits for replies; ``failed`` (None: `fail`) gets its refusal."""
        self._resume(work, partial(work.send, None), failed or self.fail)

    def _resume(
        self, work: Coroutine[PendingReply, Any, None], step: Callable[[], PendingReply], failed: Failed
    ) -> None:
        try:
            pending = step()
        except StopIteration:
            return
        except ChatdError as error:
            failed(error)
            return
        self.network.submit(
            pending,
            lambda reply: self._resume(work, partial(work.send, reply), failed),
            lambda error: self._resume(work, partial(work.throw, error), failed),
        )

    # -- for the commands

    async def ask(self, kind: str, **fields: Any) -> JsonObject:
        result: JsonObject = await PendingReply(kind, fields, lambda request: request(kind, **fields))
        return result

    async def ask_all(self, kind: str, key: str, by: str, **fields: Any) -> list[JsonObject]:
        entries: list[JsonObject] = await PendingReply(
            kind, fields, lambda request: paging.list_all(request, kind, key, by, **fields)
        )
        return entries

    def say(self, text: str, *, to: str = "", kind: str = "text", reply_to: int | None = None) -> None:
        here = self.model.here

        def failed(error: ChatdError) -> None:
            self.fail(error)
            here.refused.append(text)

        target = to or self.model.address(self.model.require_current())
        self.network.send(self.model.sending, failed, target, text, kind=kind, reply_to=reply_to)

    def edit(self, seq: int, text: str) -> None:
        self.network.edit(self.model.sending, self.fail, self.model.require_current(), seq, text)

    @property
    def identity(self) -> Identity:
        return self.network.client.identity

    def show_whole(self, event: ev.Message) -> None:
        if self.view is not None:
            self.view.show_whole(event)

    def show(self, lines: list[render.Line]) -> None:
        self.model.note(render.plain(lines), kind="listing")

    def note(self, text: str) -> None:
        self.model.note(text)

    def fail(self, error: ChatdError, what: str = "") -> None:
        """Show a refusal, and what to do; ``what`` says which command it belongs to."""
        self.model.note(f"{what}{error.reason}; {error.fix} ({error.code})", kind="error")

    async def enter(self, address: str) -> None:
        room = self.model.resolve(address)
        if room in self.model.joined or (room.startswith("@") and room in self.model.conversations):
            self.switch(room)
        elif room.startswith("@"):
            for user in self.model.others(room):
                await self.ask("whois", user=user)  # raises for an unknown user
            self.switch(room)
        else:
            await self._join("join", room=room)

    async def create(self, room: str, topic: str | None, options: Mapping[str, Any]) -> None:
        await self._join("create", room=room, topic=topic, **options)

    async def show_older(self, count: int) -> tuple[int, bool]:
        here = self.model.here
        if not here.has_older or len(here.rows) >= READING_LIMIT:
            return 0, here.has_older
        events = await self._fetch(here.name, count, here.oldest if here.loaded else None)
        if events:
            self.sought = (here.name, events[0].seq)
        return len(events), here.has_older

    async def catch_up(self, count: int) -> None:
        if not count:
            self.model.here.read.gap = None
            self.model.changed.add("state")
        elif self.model.here.read.first:
            self._unread_sought = self.model.current
            self._seek_further()
        else:
            self.note(caught_up_note(self.model))

    async def search(self, query: str) -> None:
        if self.view is not None:
            self.view.search(query)

    def focus(self, rooms: frozenset[str] | None) -> None:
        self.note("the window always shows one room at a time")

    def paste(self) -> None:
        self.note("paste into the input; Shift+Enter begins a new line")

    def reconnect(self) -> None:
        if self.model.connection == "ended":
            self.connect_again()
        else:
            self.network.client.try_now()

    def quit(self) -> None:
        if self.view is not None:
            self.view.quit()

    # -- rooms

    def switch(self, name: str) -> None:
        """Make a conversation current."""
        self.model.switch(name)
        # The marker of the conversation before goes first: the server counts what is after it.
        self.send_markers(time.monotonic())
        if self.model.stale and self.model.connection == "connected":
            self.spawn(self._load_unread())
        self._load()

    def step(self, by: int, *, unread: bool = False) -> None:
        """Switch to the next or previous conversation in the list, or to the next unread one."""
        names = [one.name for one in self.model.listed()]
        if self.model.current in names:
            at = names.index(self.model.current)
            others = names[at + 1 :] + names[:at]
            found = [name for name in others if not unread or self.model.conversation(name).unread]
            if found:
                self.switch(found[0] if by > 0 else found[-1])

    async def _join(self, kind: str, **fields: Any) -> None:
        since = self.model.heard
        result = await self.ask(kind, **fields)
        room = str(result.get("room", ""))
        if self.model.entered(room, since):
            self.model.set_rooms([result], since)
            self.switch(room)
            if rules := answers.room_rules(result):
                self.model.note(f"{room}: {rules}")
        else:
            self.model.note(f"you are not in {room} any more", kind="error")

    # -- history and search

    def older(self) -> None:
        """Fetch the page before the first row, unless there is none or it is being fetched."""
        here = self.model.here
        if self._fetching_older or not here.has_older or not here.loaded:
            return
        if self.model.connection == "connected" and len(here.rows) < READING_LIMIT:
            self._fetching_older = True
            self.spawn(self._fetch_older(here.name, here.oldest))

    def find(
        self,
        query: str,
        done: Callable[[list[ev.Message], str], None],
        failed: Failed,
        before: int | None = None,
    ) -> None:
        """Search all conversations; ``done`` gets the messages, newest first, and `answers.found`."""

        async def search() -> None:
            result = await self.ask("search", query=query, limit=SEARCH_PAGE, before=before)
            found = [event for event in paging.typed(result.get("events")) if isinstance(event, ev.Message)]
            told = answers.found(len(found), result, "" if before else query)
            done(sorted(found, key=lambda one: -one.seq), told)

        self.spawn(search(), failed)

    def seek(self, event: ev.Message) -> None:
        """Switch to a found message; the view scrolls to it once it is fetched."""
        self.sought = (event.room, event.seq)
        self.switch(event.room)
        self._seek_further()

    def _seek_further(self) -> None:
        here = self.model.here
        if self._unread_sought == here.name:
            self._seek_unread(here)
        if self.sought is None or self.sought[0] != here.name:
            return
        if here.has_older and (here.oldest or 0) > self.sought[1] and len(here.rows) < READING_LIMIT:
            self.older()

    def _seek_unread(self, here: Conversation) -> None:
        first = here.read.first
        if here.has_older and (here.oldest or 0) > first and len(here.rows) < READING_LIMIT:
            self.older()
            return
        self._unread_sought = ""
        rows = (row for row in here.rows if row.is_message and row.seq >= first and row.user != self.model.me)
        if row := next(rows, None):
            self.sought = (here.name, row.seq)
            self.model.changed.add("rows")

    async def _fetch_older(self, name: str, before: int | None) -> None:
        try:
            await self._fetch(name, PAGE, before)
        finally:
            self._fetching_older = False
        self._seek_further()

    async def _fetch(self, name: str, count: int, before: int | None = None) -> list[ev.Logged]:
        page: paging.HistoryPage = await PendingReply(
            "history",
            {"room": name, "before": before},
            lambda request: paging.history(request, name, count=count, before=before),
        )
        found = self.model.add_history(name, page.events, more=page.more, before=before)
        self._quotes.want()
        return found

    def _load(self) -> None:
        """Fetch what the current conversation lacks; without a connection `_live` does it later."""
        here = self.model.here
        known = here.name in self.model.joined or here.name.startswith("@")
        if self.model.connection != "connected" or not known:
            return
        if not here.loaded:
            self.spawn(self._load_history(here.name))
        if here.name.startswith("#") and "presence.read" in self.model.permissions:
            self.spawn(self._load_members(here.name))

    async def _load_history(self, name: str) -> None:
        await self._fetch(name, PAGE)
        self._seek_further()

    async def _load_members(self, name: str) -> None:
        since = self.model.request_members(name)
        self.model.set_members(name, await self.ask_all("who", "members", "user", room=name), since)

    # -- events

    def _take(self, event: AnyEvent) -> None:
        if isinstance(event, Connected):
            with self._moving_on():
                self.model.take(event)
            for text in self.tell_first:
                self.model.note(text)
            self.tell_first.clear()
            return
        self.model.take(event)
        about_here = getattr(event, "room", None) == self.model.current
        own = getattr(event, "user", None) == self.model.me
        if isinstance(event, CaughtUp):
            self._live()
        elif isinstance(event, ev.Message) and about_here:
            self._quotes.want()
        elif isinstance(event, ev.ReadMarker) and self.model.stale:
            self.spawn(self._load_unread())
        elif isinstance(event, ev.Joined) and own and about_here:
            self._load()
        elif isinstance(event, ev.Parted) and own and about_here:
            self._move_on(event.room, room_text.why_removed(event))
        elif isinstance(event, ev.RoomRemoved) and about_here:
            self._move_on(event.room, render.describe(event) or "")
        elif isinstance(event, ev.Parted) and own:
            self.model.note(room_text.why_removed(event), kind="error")

    @contextmanager
    def _moving_on(self) -> Iterator[None]:
        """Move on to another room if the body removes this user from the current one."""
        current = self.model.current
        was_in = current in self.model.joined
        yield
        if was_in and current == self.model.current and current not in self.model.joined:
            self._move_on(current, f"you are not in {current} any more")

    def send_markers(self, now: float) -> None:
        """Tell the server what was read; ``now`` in seconds of a monotonic clock."""
        if self.model.connection == "connected":
            for marker in self.markers.due(now):
                request = self.ask("read", room=marker.room, seq=marker.seq)
                self.spawn(_ignore(request), partial(self.markers.failed, marker))

    async def _load_unread(self) -> None:
        self.model.set_unread(await PendingReply("unread", {}, paging.unread))

    def _live(self) -> None:
        """Request again what may have changed while there was no session."""
        self.spawn(self._load_rooms())
        self.spawn(self._load_unread())
        here = self.model.here
        # Never back into a room that this user was removed from.
        if here.name.startswith("#") and here.name not in self.model.joined and not here.left:
            self.spawn(self.enter(here.name))
        else:
            self._load()

    async def _load_rooms(self) -> None:
        since = self.model.heard
        found = await self.ask_all("rooms", "rooms", "room")
        with self._moving_on():
            self.model.set_rooms(found, since)

    def _move_on(self, left: str, why: str) -> None:
        other = next((one.name for one in self.model.listed() if one.name != left), "")
        if other:
            self.switch(other)
        if why:
            self.model.note(why, kind="error")


async def _ignore(work: Coroutine[PendingReply, Any, JsonObject]) -> None:
    """Wait for a reply that nobody needs."""
    await work
