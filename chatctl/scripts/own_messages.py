"""`chat edit` and `chat delete`: change one's own messages."""

from __future__ import annotations

import sys

import click

from chatctl.connecting import App, connecting, room_name
from chatctl.scripts.send_command import REPLY_TIMEOUT
from chatctl.scripts.standard_input import check_utf8, read_all
from chatd.console import output
from chatd.console.numbers import SEQ
from chatd.proto.text import conversation_at

room_argument = click.argument("room", metavar="ROOM", type=room_name)
seq_argument = click.argument("seq", metavar="NUMBER", type=SEQ)


@click.command()
@room_argument
@seq_argument
@click.argument("text", nargs=-1)
@connecting
def edit(app: App, room: str, seq: int, text: tuple[str, ...]) -> None:
    """Replace the text of your message NUMBER in ROOM by TEXT, or by standard input.

    `chat history --json` and `chat search` tell the numbers. The server says for how long this is possible.
    """
    body = check_utf8(" ".join(text), "TEXT") if text else read_all(sys.stdin.fileno())
    with app.client(reconnect=True) as client:
        result = client.edit(conversation_at(room, client.identity.user), seq, body).wait(REPLY_TIMEOUT)
    for changed in result.notes:
        output.note(f"note: {changed.get('text', '')}")
    app.show(result._asdict(), lambda: None)


@click.command()
@room_argument
@seq_argument
@connecting
def delete(app: App, room: str, seq: int) -> None:
    """Delete your message NUMBER in ROOM: nobody can read its text any more."""
    with app.client() as client:
        client.request("delete", room=conversation_at(room, client.identity.user), seq=seq)
    app.show({"room": room, "seq": seq}, lambda: None)
