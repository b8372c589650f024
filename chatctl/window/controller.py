"""What the person wants and what the server says, carried out on the model. No Tk: any loop may poll it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from chatctl.client import AnyEvent, CaughtUp, Client, Connected
from chatctl.model import render
from chatctl.model.chat_model import ChatModel
from chatctl.model.conversation import READING_LIMIT
from chatctl.window.network import Failed, NetworkThread
from chatd.errors import ChatdError
from chatd.proto import events as ev
from chatd.proto.frames import JsonObject
from chatd.proto.text import dm_room

PAGE = 60
SEARCH_PAGE = 50


class WindowView(Protocol):
    """What is asked of the window."""

    def search(self, query: str) -> None: ...
    def quit(self) -> None: ...


class Controller:
    """One run of the desktop client. Everything is called, and calls back, on the loop's thread."""

    def __init__(self, connect: Callable[[], Client], room: str) -> None:
        client = connect()
        self._connect = connect
        self.model = ChatModel(client.identity.user)
        self.network = NetworkThread(client, self._take, self.fail)
        self.view: WindowView | None = None
        self._wanted = room
        self._older = False  # a page of history is on its way
        self.sought: tuple[str, int] | None = None  # room and seq of a message to be shown

    def start(self) -> None:
        """Show the first room and connect."""
        self.model.switch(self.named(self._wanted))
        self.network.start()

    def connect_again(self) -> None:
        """Begin anew after the connection ended for good: the ban is over, the certificate is a new one."""
        if self.model.connection != "ended":
            return
        # It has nothing left to wait for. Its outbox is closed before another client opens it.
        self.network.close()
        try:
            client = self._connect()
        except ChatdError as error:
            self.fail(error)
            return
        self.network = NetworkThread(client, self._take, self.fail)
        self.model.begin_again()
        self.network.start()

    def named(self, name: str) -> str:
        """The conversation meant by "#war" or "@bob"."""
        if name.startswith("@") and "," not in name:
            return dm_room(self.model.me, name[1:])
        return name

    # -- sent

    def say(self, text: str, *, to: str = "", kind: str = "text", reply_to: int | None = None) -> None:
        """Send to a room or user (none: the current conversation)."""
        here = self.model.here

        def failed(error: ChatdError) -> None:
            self.fail(error)
            here.draft = here.draft or text

        target = to or self.model.address(here.name)
        self.network.send(self.model.sending, failed, target, text, kind=kind, reply_to=reply_to)

    def fail(self, error: ChatdError) -> None:
        """Tell of a refusal, with what to do."""
        self.model.note(f"{error.reason}; {error.fix} ({error.code})", kind="error")

    # -- rooms

    def switch(self, name: str) -> None:
        """Look at a conversation."""
        self.model.switch(name)
        self._load()

    def step(self, by: int, *, unread: bool = False) -> None:
        """The next or previous conversation in the list, or the next one with something unread."""
        names = [one.name for one in self.model.listed()]
        if self.model.current in names and names:
            at = names.index(self.model.current)
            turned = names[at:] + names[:at]
            found = [n for n in turned[1:] if not unread or self.model.conversation(n).unread]
            if found:
                self.switch(found[0] if by > 0 else found[-1])

    def enter(self, name: str, failed: Failed | None = None) -> None:
        """Look at a room or user, after joining it where that is needed."""
        if name.startswith("@"):
            self._enter_direct(name, failed)
        elif name in self.model.joined:
            self.switch(name)
        else:
            self.network.ask("join", self._entering(), failed, room=name)

    def create(
        self, name: str, topic: str = "", *, guests: bool = False, failed: Failed | None = None
    ) -> None:
        """Make a room and look at it."""
        self.network.ask("create", self._entering(), failed, room=name, topic=topic, guests=guests)

    def part(self, name: str) -> None:
        """Leave a room; the event that follows moves on to another one."""
        self.network.ask("part", lambda _: None, room=name)

    def _enter_direct(self, name: str, failed: Failed | None) -> None:
        room = self.named(name)
        if room in self.model.conversations:
            self.switch(room)
        else:
            # Nobody is switched to a user that is not there.
            self.network.ask("whois", lambda _: self.switch(room), failed, user=name.removeprefix("@"))

    def _entering(self) -> Callable[[JsonObject], None]:
        since = self.model.heard

        def entered(result: JsonObject) -> None:
            room = str(result.get("room", ""))
            if self.model.entered(room, since):
                self.model.set_rooms([result], since)
                self.switch(room)
            else:
                self.model.note(f"you are not in {room} any more", kind="error")

        return entered

    # -- history and search

    def older(self) -> None:
        """Fetch the page before the first row, unless there is none or it is on its way."""
        here = self.model.here
        if self._older or not here.more or not here.loaded or self.model.connection != "connected":
            return
        if len(here.rows) >= READING_LIMIT:
            return  # the timeline's beginning says how to get further
        self._older = True
        self._history(here.name, here.oldest)

    def find(
        self,
        query: str,
        done: Callable[[list[ev.Message], bool], None],
        failed: Failed,
        before: int | None = None,
    ) -> None:
        """Search all conversations, newest first; ``done`` gets the messages and whether there are more."""

        def found(result: JsonObject) -> None:
            events = [event for event in typed(result) if isinstance(event, ev.Message)]
            done(sorted(events, key=lambda one: -one.seq), result.get("more") is True)

        self.network.ask("search", found, failed, query=query, limit=SEARCH_PAGE, before=before)

    def seek(self, event: ev.Message) -> None:
        """Look at a message that was found; the view shows it as soon as it is there."""
        self.sought = (event.room, event.seq)
        self.switch(event.room)
        self._seek_on()

    def _seek_on(self) -> None:
        here = self.model.here
        if self.sought is None or self.sought[0] != here.name:
            return
        if here.more and (here.oldest or 0) > self.sought[1] and len(here.rows) < READING_LIMIT:
            self.older()

    def _history(self, name: str, before: int | None) -> None:
        def done(result: JsonObject) -> None:
            self._older = False
            self.model.add_history(name, typed(result), more=result.get("more") is True, before=before)
            self._seek_on()

        def failed(error: ChatdError) -> None:
            self._older = False
            self.fail(error)

        self.network.ask("history", done, failed, room=name, limit=PAGE, before=before)

    def _load(self) -> None:
        """Fetch what the current conversation has to show; later again if there is no connection now."""
        here = self.model.here
        if self.model.connection != "connected" or not here.name:
            return
        known = here.name in self.model.joined or here.name.startswith("@")
        if known and not here.loaded:
            # A direct conversation that was never opened has no history yet, which is no failure to tell.
            self._history(here.name, None) if here.name.startswith("#") else self._direct_history(here.name)
        if known and here.name.startswith("#") and self.model.allows("presence.read"):
            since = self.model.ask_members(here.name)

            def members(found: list[JsonObject]) -> None:
                self.model.set_members(here.name, found, since)

            self.network.ask_all("who", "members", "user", members, room=here.name)

    def _direct_history(self, name: str) -> None:
        def done(result: JsonObject) -> None:
            self.model.add_history(name, typed(result), more=result.get("more") is True)
            self._seek_on()

        def failed(error: ChatdError) -> None:
            if error.code in ("E301", "E404"):
                self.model.add_history(name, [], more=False)
            else:
                self.fail(error)

        self.network.ask("history", done, failed, room=name, limit=PAGE)

    # -- heard

    def _take(self, event: AnyEvent) -> None:
        if isinstance(event, Connected):
            with self._staying():
                self.model.take(event)
            return
        self.model.take(event)
        mine = isinstance(event, ev.Joined | ev.Parted) and event.user == self.model.me
        if isinstance(event, CaughtUp):
            self._live()
        elif isinstance(event, ev.Joined) and mine and event.room == self.model.current:
            self._load()
        elif isinstance(event, ev.Parted) and mine and event.room == self.model.current:
            self._move_on(event.room, _why_out(event))

    @contextmanager
    def _staying(self) -> Iterator[None]:
        """What is done may tell that one is not in the current room any more, without an event."""
        current = self.model.current
        was_in = current in self.model.joined
        yield
        if was_in and current == self.model.current and current not in self.model.joined:
            self._move_on(current, f"you are not in {current} any more")

    def _live(self) -> None:
        """A session begins: what may have changed while there was none is asked for again."""
        since = self.model.heard

        def told(found: list[JsonObject]) -> None:
            with self._staying():
                self.model.set_rooms(found, since)

        self.network.ask_all("rooms", "rooms", "room", told)
        here = self.model.here
        # Not into a room that one was put out of.
        if here.name.startswith("#") and here.name not in self.model.joined and not here.left:
            self.enter(here.name)
        else:
            self._load()

    def _move_on(self, gone: str, why: str) -> None:
        left = next((one.name for one in self.model.listed() if one.name != gone), "")
        if left:
            self.switch(left)
        if why:
            self.model.note(why, kind="error")


def _why_out(event: ev.Parted) -> str:
    """What is told to who did not leave by themselves."""
    if event.by == event.user:
        return ""
    why = f": {render.one_line(event.reason)}" if event.reason else ""
    return f"you were put out of {event.room} by {event.by}{why}"


def typed(result: JsonObject) -> list[ev.Logged]:
    """The events in a result, without those of a kind this client does not know."""
    parsed = (ev.parse_from_server(event) for event in result.get("events") or ())
    return [event for event in parsed if isinstance(event, ev.Logged)]
