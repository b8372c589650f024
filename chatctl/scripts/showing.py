"""Print events on stdout, as text or JSON."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

import click

from chatctl.client import AnyEvent
from chatctl.model.render import Line, Quote, Viewer, plain, render
from chatctl.model.times import Times
from chatd.console import output, streams
from chatd.proto.events import Logged, Message, Presence


def show_event(
    event: Logged | Presence,
    *,
    as_json: bool,
    room: str,
    times: Times = Times.UTC,
    quotes: Mapping[int, Quote] | None = None,
) -> None:
    """Print an event of ``room`` as a line of JSON, or of text with its seq and what it replies to."""
    if as_json:
        output.json_line(event.model_dump(exclude_none=True))
    else:
        viewer = Viewer(room=room, numbered=True, times=times)
        quote = (quotes or {}).get(event.reply_to or 0) if isinstance(event, Message) else None
        lines = render(event, viewer, quote)  # type: ignore[arg-type]  # as in Transcript
        if lines:  # some events have no text
            output.write(f"{lines_text(lines)}\n")


def event_text(event: AnyEvent, room: str | None, times: Times = Times.UTC) -> str:
    """An event as text for stdout; events of ``room`` get no label."""
    return lines_text(render(event, Viewer(room=room, times=times)))


def lines_text(lines: list[Line]) -> str:
    """Lines as text for stdout: wrapped, and with what was searched for marked, if that is a terminal."""
    try:
        width = os.get_terminal_size(sys.stdout.fileno()).columns
    except (OSError, ValueError):
        width = 0
    if not width:
        return plain(lines)
    # For terminals only: its tables of widths take long to load.
    from chatctl.model.hits import HIT
    from chatctl.model.wrapping import wrap

    shown = ([(style, streams.expressible(part)) for style, part in line] for line in lines)
    rows = [row for line in shown for row in wrap(line, width)]
    if os.environ.get("NO_COLOR"):
        return plain(rows)
    return plain(
        [
            (style, click.style(text, bold=True, underline=True) if style == HIT else text)
            for style, text in row
        ]
        for row in rows
    )
