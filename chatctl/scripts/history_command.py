"""`chat history`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from chatctl.client import Client
from chatctl.connecting import App, connecting, room_name, time_option
from chatctl.model import paging
from chatctl.model.render import Quote
from chatctl.model.times import Times
from chatctl.scripts.send_command import enter
from chatctl.scripts.showing import show_event
from chatd.console.numbers import SEQ, number
from chatd.errors import ChatdError
from chatd.proto.events import Logged, Message
from chatd.proto.request_bounds import PAGE_LIMIT


@click.command()
@click.argument("room", metavar="ROOM", type=room_name)
@click.option(
    "-n", "count", type=number(1, PAGE_LIMIT), default=50, show_default=True, help="How many events."
)
@click.option("--before", type=SEQ, help="Only events before this sequence number.")
@click.option("--after", type=SEQ, help="Only events after this sequence number.")
@time_option
@connecting
def history(app: App, room: str, count: int, before: int | None, after: int | None, times: str) -> None:
    """Print the last events of ROOM, oldest first; with --json, one object per line."""
    with app.client() as client:
        name = enter(client, room)
        page = paging.history(client.request, name, count=count, before=before, after=after)
        quotes = {} if app.as_json else quotes_of(client, name, page.events)
    for event in page.events:
        show_event(event, as_json=app.as_json, room=name, times=Times(times), quotes=quotes)


def quotes_of(client: Client, room: str, events: Sequence[Logged]) -> dict[int, Quote]:
    """The messages that events reply to. An older server does not tell those outside the page."""
    found: dict[int, Message | None] = {e.seq: e for e in events if isinstance(e, Message)}
    try:
        found |= paging.quoted(client.request, room, paging.replied_to(events))
    except ChatdError as error:
        if error.code != "E103":
            raise
    return {seq: Quote(one.user, one.body) if one else Quote("") for seq, one in found.items()}
