"""`chat search` and `chatctl search`."""

from __future__ import annotations

import click

from chatctl.connecting import App, connecting, time_option
from chatctl.model import answers, paging
from chatctl.model.hits import Hits, render_hit
from chatctl.model.render import Viewer
from chatctl.model.times import Times
from chatctl.scripts.showing import lines_text
from chatd.console import output
from chatd.console.numbers import SEQ, number
from chatd.proto.events import Message
from chatd.proto.request_bounds import PAGE_LIMIT


@click.command()
@click.argument("query", nargs=-1, required=True)
@click.option(
    "-n",
    "count",
    type=number(1, PAGE_LIMIT),
    default=50,
    show_default=True,
    help="How many messages.",
)
@click.option("--before", type=SEQ, help="Only messages before this sequence number.")
@time_option
@connecting
def search(app: App, query: tuple[str, ...], count: int, before: int | None, times: str) -> None:
    """Find messages in your rooms that contain all words of QUERY, the newest first.

    'swap*' finds words that begin with swap, '*swap*' words that contain it. from:NAME, in:#room, in:@NAME,
    has:snippet (has:action, has:text), since:2h, after:2026-01-31 and before:7d narrow the search, and may
    stand alone. Each message is one line around the words found, with its number; --json prints whole
    messages, one object per line.
    """
    text = " ".join(query)
    result = app.ask("search", query=text, limit=count, before=before)
    found = [event for event in paging.typed(result["events"]) if isinstance(event, Message)]
    hits, viewer = Hits(text), Viewer(dated=True, numbered=True, times=Times(times))
    for event in found:
        if app.as_json:
            output.json_line(event.model_dump(exclude_none=True))
        else:
            output.write(lines_text([render_hit(event, hits, viewer)]) + "\n")
    more = ", or continue with --before and the last number" if result.get("more") and found else ""
    if not found or more or answers.unseen(result):
        # With --before, others were found already.
        output.note(answers.found(len(found), result, "" if before else text) + more)
