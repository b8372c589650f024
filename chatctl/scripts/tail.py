"""`chat tail`: what a room shows, as a stream for people and programs."""

from __future__ import annotations

import sys

import click

from chatctl.client import CaughtUp, Client, Disconnected, Restored
from chatctl.connecting import App, connecting, room_name
from chatctl.model import paging
from chatctl.model.render import happening
from chatctl.scripts.one_shot import enter, show_event
from chatd.console import output
from chatd.errors import ChatdError
from chatd.proto import events as ev
from chatd.proto.requests import PAGE_LIMIT

# Pages of so many events are looked through for the last N messages of a room in which people come and go.
_PAGES, _PAGE_AT_LEAST = 20, 100


@click.command()
@click.argument("room", metavar="ROOM", type=room_name)
@click.option(
    "-n",
    "count",
    type=click.IntRange(0, PAGE_LIMIT),
    default=10,
    show_default=True,
    help="Begin with the last N of what is shown.",
)
@click.option("--since", type=click.IntRange(0), help="Begin after this sequence number instead.")
@click.option(
    "--all", "everything", is_flag=True, help="Also who came and went, and topics; not only messages."
)
@connecting
def tail(app: App, room: str, count: int, since: int | None, everything: bool) -> int:
    """Print what is said in ROOM (the # may be left out, @name is one user) until Ctrl-C.

    With --json one object a line: type, seq, at (ms since 1970 UTC), room, user, role, body ...
    --all also tells of who was kicked or banned; that has no seq and is not told again by --since.
    Connects again by itself and misses nothing; to go on in another run, give --since the last seq.
    Ends with 4 when this user leaves the room or is put out of it.
    """
    with app.client(live=True, reconnect=True) as client:
        name = enter(client, room)
        follower = _Follower(name, app.as_json, everything)
        if since is None:
            begin = _last(client, name, count, follower)
        else:
            begin = paging.history(client.request, name, after=since).events
        for event in begin:
            follower.show(event)
        # Where nothing is said for a while, a program that hangs would look the same.
        output.aside(f"listening to {room} at {client.server}; Ctrl-C ends")
        for item in client.events():
            if isinstance(item, ev.Logged):
                follower.show(item)
                if isinstance(item, ev.Parted) and (item.user, item.room) == (client.identity.user, name):
                    # Nothing more will come; waiting in silence would look like a quiet room.
                    raise ChatdError("E301", happening(item) or "")
            elif isinstance(item, ev.Presence):
                follower.gone(item)
            elif isinstance(item, CaughtUp):
                _still_in(client, name)
            elif isinstance(item, Restored):
                follower.restored(item)
            elif isinstance(item, Disconnected) and item.retry_in is not None:
                output.note(f"{item.error.reason}; connecting again")
        error = client.error or ChatdError("E607", "the connection ended")
        output.show_error(error)
        return output.exit_code(error)


class _Follower:
    """Prints the events of one room, each once."""

    def __init__(self, room: str, as_json: bool, everything: bool) -> None:
        self._room = room
        self._as_json = as_json
        self._everything = everything
        self._last = -1

    def shows(self, event: ev.Logged) -> bool:
        """Whether it is of the kinds that are asked for."""
        return isinstance(event, ev.Message | ev.Announcement) or self._everything

    def show(self, event: ev.Logged) -> None:
        if event.seq <= self._last or getattr(event, "room", self._room) != self._room:
            return
        if self.shows(event):
            self._last = event.seq
            show_event(event, as_json=self._as_json, room=self._room)
            sys.stdout.flush()

    def gone(self, event: ev.Presence) -> None:
        """Show who was made to go; who comes and goes as usual would be most of the lines."""
        if self._everything and event.cause and event.room == self._room:
            show_event(event, as_json=self._as_json, room=self._room)
            sys.stdout.flush()

    def restored(self, event: Restored) -> None:
        """Another log goes on after that event: say so, and show what it has."""
        self._last = min(self._last, event.seq)
        output.note(event.text)


def _still_in(client: Client, room: str) -> None:
    """Raise E301 when this user left the room while events did not come by themselves.

    What is missed is told of the rooms one is in, so nothing tells that one is not. Nor does the welcome:
    none comes after a restart of the hub, and it does not list all rooms of somebody who is in very many.
    """
    if not room.startswith("#"):
        return
    try:
        paging.history_page(client.request, room, limit=1)
    except ChatdError as error:
        if error.code in ("E301", "E404"):
            raise ChatdError("E301", f"{client.identity.user} is not in {room} any more") from None


def _last(client: Client, room: str, count: int, follower: _Follower) -> list[ev.Logged]:
    """The last ``count`` events that ``follower`` shows, as far as `_PAGES` reach.

    What came since the welcome comes as an event, too.
    """
    found: list[ev.Logged] = []
    before: int | None = None
    for _ in range(_PAGES if count else 0):
        page = paging.history_page(client.request, room, before=before, limit=max(count, _PAGE_AT_LEAST))
        events = paging.typed(page["events"])
        found[:0] = filter(follower.shows, events)
        if len(found) >= count or not page["more"] or not events:
            break
        before = events[0].seq
    return found[-count:]
