"""`chat tail`: a room's events as a stream, for people and programs."""

from __future__ import annotations

from collections.abc import Iterator

import click

from chatctl.client import AnyEvent, CaughtUp, Client, Disconnected, Restored
from chatctl.connecting import App, connecting, room_name, time_option
from chatctl.model import paging
from chatctl.model.render import describe
from chatctl.model.times import Times
from chatctl.scripts.send_command import enter
from chatctl.scripts.showing import show_event
from chatd.console import output
from chatd.console.numbers import SEQ, number
from chatd.errors import ChatdError
from chatd.proto import events as ev
from chatd.proto.request_bounds import PAGE_LIMIT

# How far `-n` searches a room full of joins and parts for its last N messages: pages, and their least size.
_PAGES, _PAGE_SIZE_MIN = 20, 100
# In a quiet room, the end of the program that reads the output is noticed this late.
_POLL_SECONDS = 1.0


@click.command()
@click.argument("room", metavar="ROOM", type=room_name)
@click.option(
    "-n",
    "count",
    type=number(0, PAGE_LIMIT),
    default=10,
    show_default=True,
    help="Begin with the last N of the shown events.",
)
@click.option("--since", type=SEQ, help="Begin after this sequence number instead.")
@click.option("--all", "everything", is_flag=True, help="Also show joins, parts and topics.")
@time_option
@connecting
def tail(app: App, room: str, count: int, since: int | None, everything: bool, times: str) -> int:
    """Print the messages in ROOM (the # may be left out, @name is one user) until Ctrl-C.

    With --json, print one object per line: type, seq, at (ms since 1970 UTC), room, user, role, body ...
    --all also shows kicks and bans; these have no seq, and --since does not show them again.
    Reconnects by itself and misses nothing; to continue in another run, pass the last seq to --since.
    Exits with 4 when this user leaves the room or is removed from it.
    """
    with app.client(live=True, reconnect=True) as client:
        name = enter(client, room)
        follower = RoomFollower(name, app.as_json, everything, Times(times))
        if since is None:
            begin = _last(client, name, count, follower)
        else:
            begin = paging.history(client.request, name, after=since).events
        for event in begin:
            follower.show(event)
        # In a quiet room, a program that listens and one that hangs would look the same.
        output.aside(f"listening to {room} at {client.server}; Ctrl-C ends")
        for item in _events(client):
            if isinstance(item, ev.Logged):
                follower.show(item)
                if _ends(item, name, client.identity.user):
                    # No more events will come; going on would look like a quiet room.
                    raise ChatdError("E301", describe(item) or "")
            elif isinstance(item, ev.Presence):
                follower.show_removal(item)
            elif isinstance(item, CaughtUp):
                _require_member(client, name)
            elif isinstance(item, Restored):
                follower.restored(item)
            elif isinstance(item, Disconnected) and item.retry_in is not None:
                output.note(f"{item.error.reason}; connecting again")
        error = client.error or ChatdError("E607", "the connection ended")
        output.show_error(error)
        return output.exit_code(error)


def _ends(event: ev.Logged, room: str, me: str) -> bool:
    """Whether this event ends the user's membership of the room."""
    if isinstance(event, ev.RoomRemoved):
        return event.room == room
    return isinstance(event, ev.Parted) and (event.user, event.room) == (me, room)


class RoomFollower:
    """Prints the events of one room, each once."""

    def __init__(self, room: str, as_json: bool, everything: bool, times: Times) -> None:
        self._room = room
        self._as_json = as_json
        self._everything = everything
        self._times = times
        self._last = -1

    def shows(self, event: ev.Logged) -> bool:
        """Whether to print the event: what people write always, other kinds with --all."""
        own = ev.ReadMarker | ev.GuestReminded | ev.MessageHeld | ev.MessageApproved | ev.MessageRefused
        if isinstance(event, own):
            return False  # about this person, not the room
        return isinstance(event, ev.Message | ev.Edited | ev.Announcement) or self._everything

    def show(self, event: ev.Logged) -> None:
        if event.seq <= self._last or getattr(event, "room", self._room) != self._room:
            return
        if self.shows(event):
            self._last = event.seq
            show_event(event, as_json=self._as_json, room=self._room, times=self._times)
            output.flush()

    def show_removal(self, event: ev.Presence) -> None:
        """Show a kick or ban; other presence would be most of the lines."""
        if self._everything and event.cause and event.room == self._room:
            show_event(event, as_json=self._as_json, room=self._room, times=self._times)
            output.flush()

    def restored(self, event: Restored) -> None:
        """Say that the server was restored, and show the new log's events after the common part."""
        self._last = min(self._last, event.seq)
        output.note(event.text)


def _events(client: Client) -> Iterator[AnyEvent]:
    """Events as they come, until the client ends. Raises OutputEndedError once nobody reads them."""
    while client.error is None:
        event = client.next_event(_POLL_SECONDS)
        if event is None:
            output.flush()
        else:
            yield event
    while (event := client.next_event(0)) is not None:
        yield event


def _require_member(client: Client, room: str) -> None:
    """Raise E301 if this user is not in the room any more.

    Missed events are sent for current rooms only, so none reports the removal. Nor does the welcome:
    there is none after a restart of the hub, and it lists 500 rooms at most.
    """
    if not room.startswith("#"):
        return
    try:
        paging.history_page(client.request, room, limit=1)
    except ChatdError as error:
        if error.code in ("E301", "E404"):
            raise ChatdError("E301", f"{client.identity.user} is not in {room} any more") from None


def _last(client: Client, room: str, count: int, follower: RoomFollower) -> list[ev.Logged]:
    """The last ``count`` events that ``follower`` shows, from at most `_PAGES` pages.

    Those since the welcome also come as live events; `RoomFollower` shows each once.
    """
    found: list[ev.Logged] = []
    before: int | None = None
    for _ in range(_PAGES if count else 0):
        page = paging.history_page(client.request, room, before=before, limit=max(count, _PAGE_SIZE_MIN))
        events = paging.typed(page["events"])
        found[:0] = filter(follower.shows, events)
        if len(found) >= count or not page["more"] or not events:
            break
        before = events[0].seq
    return found[-count:]
