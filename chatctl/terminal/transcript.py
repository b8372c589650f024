"""Print events above the line client's prompt, each once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import dropwhile
from typing import NamedTuple, Protocol

from chatctl.client import AnyEvent
from chatctl.model import answers
from chatctl.model.chat_model import ChatModel
from chatctl.model.paging import HistoryPage
from chatctl.model.read_state import Gap
from chatctl.model.render import Line, Viewer, render, safe
from chatd.errors import ChatdError
from chatd.proto import events as ev
from chatd.proto.frames import INTEGER_LIMIT


class LineScreen(Protocol):
    """The screen operations that the line client uses."""

    def show(self, lines: list[Line]) -> None: ...
    def bell(self) -> None: ...
    def redraw(self) -> None: ...
    def paste(self) -> None: ...
    def close(self) -> None: ...


class Printed(NamedTuple):
    """The first and last seq printed of a conversation; 0 for none."""

    oldest: int = 0
    newest: int = 0


class Transcript:
    """Prints on ``screen``; remembers what was printed of each conversation of ``model``."""

    def __init__(self, screen: LineScreen, model: ChatModel) -> None:
        self._screen = screen
        self._model = model
        self._day = ""
        # This user's own, of which was told last.
        self._newest_device: str | None = None
        self._printed: dict[str, Printed] = {}
        # Room -> the seq after which its unread messages are, where they are not all printed.
        self.unread_after: dict[str, int] = {}
        # Those of which `unread_page` has printed something.
        self._catching_up: set[str] = set()

    def show(self, lines: list[Line]) -> None:
        """Print lines."""
        self._screen.show(lines)

    def note(self, text: str) -> None:
        """Print a sentence of the client's own."""
        self.show([answers.note(text)])

    def mistake(self, sentence: str) -> None:
        """Print why a line is not a command; Up brings the line back."""
        self.show([[("class:error", f"-- {safe(sentence)} --")]])

    def error(self, error: ChatdError, what: str = "error") -> None:
        """Print why something failed, and what to do."""
        self.show([[("class:error", f"{what}: {safe(str(error))}")]])

    def event(
        self, event: AnyEvent, *, dated: bool = False, labelled: bool = False, whole: bool = False
    ) -> None:
        """Print an event; ``dated`` with its day, ``labelled`` with its room even if that is current.

        ``whole``: with all lines of a snippet.
        """
        room = None if labelled else self._model.current
        viewer = self._viewer(room, dated=dated)._replace(folded=not whole)
        lines = render(event, viewer, self._model.quote(event))
        day = self._model.times.day(event.at) if isinstance(event, ev.Logged) else self._day
        if lines and not dated and day != self._day:
            self._day = day
            lines.insert(0, answers.note(day))
        self.show(lines)

    def _viewer(self, room: str | None, *, dated: bool) -> Viewer:
        return Viewer(self._model.me, room, dated, times=self._model.times)

    def page(self, room: str, events: Sequence[ev.Logged], *, dated: bool = False) -> None:
        """Print a page of a room's history."""
        for event in events:
            self._note_printed(room, event.seq)
            self.event(event, dated=dated)  # type: ignore[arg-type]  # Logged is abstract; all others fit

    def latest(
        self, room: str, events: Sequence[ev.Logged], *, unread: int, first: int, earlier: Gap | None = None
    ) -> None:
        """Print the newest page of a room on entering it, with a line above the first unread message.

        ``unread``: the messages from seq ``first`` on, of which the page may show only the last. ``earlier``:
        what was not shown before. Read markers stop before what is not shown.
        """
        read = self._model.conversation(room).read
        new = [one for one in events if first and one.seq >= first and self._is_of_another(one)]
        if first and unread > len(new):
            # What an earlier visit left unread comes first.
            after = self.unread_after.setdefault(room, first - 1)
            read.gap = Gap(after, events[0].seq if events else INTEGER_LIMIT)
            hidden = unread - len(new)
            self.note(f"first unread: {hidden} new before these are not shown; /catchup reads from there")
            self.page(room, events)
            return
        read.gap = earlier
        if new:
            at = events.index(new[0])
            self.page(room, events[:at])
            self.note("first unread")
            events = events[at:]
        self.page(room, events)

    def earlier(self, room: str, events: Sequence[ev.Logged]) -> None:
        """Print events from before the first one printed, below it, with the time they are from."""
        self._heading("earlier", room, events)
        self.page(room, events, dated=True)

    def unread_page(self, room: str, page: HistoryPage) -> bool:
        """Print the next unread events, which may be older than what stands above them; False for none.

        The first of all is a message of somebody else: what this user did before it is not unread.
        """
        events = page.events
        if room not in self._catching_up:
            events = list(dropwhile(lambda one: not self._is_of_another(one), events))
        if events:
            self._catching_up.add(room)
            self._heading("unread", room, events)
        for event in events:
            self.event(event, dated=True)  # type: ignore[arg-type]  # as in `page`
        if page.more and page.events:
            self.unread_after[room] = page.events[-1].seq
            self._model.conversation(room).read.pass_gap(page.events[-1].seq)
        else:
            self.skip_unread(room)
        return bool(events)

    def skip_unread(self, room: str) -> None:
        """Count the unread messages that were not shown as read."""
        self.unread_after.pop(room, None)
        self._catching_up.discard(room)
        self._model.conversation(room).read.gap = None

    def _heading(self, what: str, room: str, events: Sequence[ev.Logged]) -> None:
        if events:
            times = self._model.times
            span = f"{times.when(events[0].at)} to {times.when(events[-1].at)}"
            self.note(f"{what} in {self._model.title(room)}, from {span}")

    def _is_of_another(self, event: ev.Logged) -> bool:
        return isinstance(event, ev.Message) and event.user != self._model.me

    def oldest(self, room: str) -> int | None:
        """The first seq printed of a room; None for none."""
        return self._printed.get(room, Printed()).oldest or None

    def newest(self, room: str) -> int:
        """The last seq printed of a room; 0 for none."""
        return self._printed.get(room, Printed()).newest

    def claim(self, event: AnyEvent) -> bool:
        """Whether to print an event now; events of the log count as printed from then on."""
        model = self._model
        match event:
            case ev.Message() if event.room != model.current:
                if event.user == model.me:
                    return event.room.startswith("@")
                called = model.focus is None and model.addresses_me(event)
                return called or model.is_visible(event.room)
            case ev.Joined() | ev.Parted() if event.user == model.me and event.room != model.current:
                return True
            case ev.RoomRemoved() if event.room != model.current:
                return True
            case ev.ReadMarker():
                return False
            case ev.Presence():
                return self._tells(event)
            case ev.Announcement() | ev.Slowed() | ev.Isolated() | ev.Standing() | ev.GuestReminded():
                return True
            case ev.Attention() | ev.MessageRefused():
                return True
            case ev.Logged():
                return self._is_new(event)
        return False

    def restore(self, seq: int) -> None:
        """Forget what was printed after ``seq``: the server's log continues differently from there."""
        self._printed = {
            room: Printed(min(printed.oldest, seq), min(printed.newest, seq))
            for room, printed in self._printed.items()
        }
        self.unread_after = {room: min(after, seq) for room, after in self.unread_after.items()}

    def _tells(self, event: ev.Presence) -> bool:
        """Tell of others in the current room; of this user's other devices once each, whatever is current."""
        if event.user != self._model.me:
            return event.room == self._model.current
        here = self._model.welcome.device if self._model.welcome else ""
        if event.cause != "new device" or event.device in (None, here, self._newest_device):
            return False
        self._newest_device = event.device
        return True

    def _is_new(self, event: ev.Logged) -> bool:
        room = getattr(event, "room", "")
        if room != self._model.current or event.seq <= self.newest(room):
            return False
        self._note_printed(room, event.seq)
        return True

    def _note_printed(self, room: str, seq: int) -> None:
        oldest, newest = self._printed.get(room, Printed())
        self._printed[room] = Printed(min(oldest or seq, seq), max(newest, seq))
