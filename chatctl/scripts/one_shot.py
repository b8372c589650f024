"""One-shot commands of `chat`: send, history, whoami."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import click

from chatctl.client import AnyEvent, Client, Sent
from chatctl.connecting import App, connecting, room_name, time_option
from chatctl.model import paging
from chatctl.model.folding import kind_of
from chatctl.model.hits import HIT
from chatctl.model.render import Line, Quote, Viewer, plain, render
from chatctl.model.times import Times
from chatctl.model.wrapping import wrap
from chatctl.scripts.standard_input import InputLine, at_line, check_utf8, read_all, read_lines
from chatd.console import output, streams
from chatd.console.numbers import SEQ, number
from chatd.console.pasting import pasteable
from chatd.errors import ChatdError
from chatd.pki.home_addresses import servers_of
from chatd.pki.identity import Identity
from chatd.proto.advice import with_way
from chatd.proto.events import Logged, Message, Presence
from chatd.proto.requests import PAGE_LIMIT
from chatd.proto.text import conversation_at

# Lines sent ahead of their replies; a refusal is noticed this late at most.
READ_AHEAD = 64
REPLY_TIMEOUT = 30.0


def enter(client: Client, room: str) -> str:
    """Join ``room`` if necessary; returns the ``room`` of its events. Raises the server's refusal."""
    me = client.identity.user
    if room.startswith("@"):
        return conversation_at(room, me)
    welcome = client.welcome
    if welcome is None or room not in welcome.rooms:
        client.request("join", room=room)
    return room


def recipient(client: Client, room: str) -> str:
    """Join ``room`` if necessary; returns where messages to it are sent, for a group with all its names."""
    name = enter(client, room)
    return name if "," in room else room


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


@click.command()
@click.argument("room", metavar="ROOM", type=room_name)
@click.argument("text", nargs=-1)
@click.option("--lines", is_flag=True, help="Send each line of standard input as a message.")
@click.option("--anyway", is_flag=True, help="Send although there is a forbidden word.")
@connecting
def send(app: App, room: str, text: tuple[str, ...], lines: bool, anyway: bool) -> int:
    """Send TEXT, or standard input as one message, to ROOM and wait until the server has it.

    ROOM is a room (the # may be left out) or @name for one user; a room is joined first if necessary.
    With --lines, a refused line does not stop the others: the error names its number, and with --json an
    object says so, too. The exit code is then 6. It is 9 if a message waits for a moderator before
    anybody reads it.
    """
    if lines and text:
        raise click.UsageError("--lines reads standard input; omit TEXT.")
    if any(map(str.isspace, room)):
        raise click.UsageError(f"The room comes first: chat send ROOM {pasteable(room.removeprefix('#'))}")
    if not lines and not text and sys.stdin.isatty():
        output.note("reading the message from the terminal; Ctrl-D ends it")
    with app.client(reconnect=True) as client:
        sender = MessageSender(client, recipient(client, room), app.as_json, anyway=anyway)
        if lines:
            for line in read_lines(sys.stdin.fileno()):
                if line.text.strip():
                    sender.send_line(line)
        else:
            body = check_utf8(" ".join(text), "TEXT") if text else read_all(sys.stdin.fileno())
            sender.send(body, "text" if text else kind_of(body))
        return sender.finish()


class MessageSender:
    """Sends messages ahead of their replies and reports failures."""

    def __init__(self, client: Client, room: str, as_json: bool, *, anyway: bool = False) -> None:
        self._anyway = anyway
        self._client = client
        self._room = room
        self._as_json = as_json
        # With the number of their line of standard input.
        self._unanswered: deque[tuple[Sent, int | None]] = deque()
        self._accepted = 0
        self._held = False
        self._first_failure: ChatdError | None = None

    def send_line(self, line: InputLine) -> None:
        try:
            body = line.checked()
        except ChatdError as error:
            self._failed(error, line.number)
        else:
            self.send(body, line=line.number)

    def send(self, body: str, kind: str = "text", line: int | None = None) -> None:
        try:
            sent = self._client.send(self._room, body, kind=kind, anyway=self._anyway)
            self._unanswered.append((sent, line))
        except ChatdError as error:
            if self._client.error is not None:
                raise  # no other line can be sent either
            self._failed(error, line)
        while len(self._unanswered) >= READ_AHEAD or (
            self._unanswered and self._unanswered[0][0].state != "pending"
        ):
            self._await_reply(*self._unanswered.popleft())

    def finish(self) -> int:
        """Wait for all replies; returns the exit code."""
        while self._unanswered:
            self._await_reply(*self._unanswered.popleft())
        if self._first_failure is None:
            return output.HELD if self._held else output.OK
        return output.PARTLY if self._accepted else output.exit_code(self._first_failure)

    def _await_reply(self, sent: Sent, line: int | None) -> None:
        try:
            result = sent.wait(REPLY_TIMEOUT)
        except ChatdError as error:
            if sent.state == "pending" and self._client.error is not None:
                raise
            self._failed(error, line)
            return
        self._accepted += 1
        self._held = self._held or result.held
        for changed in result.notes:
            output.note(f"note: {changed.get('text', '')}")
        if self._as_json:
            output.json_line({"msg_id": sent.msg_id, **result._asdict()})

    def _failed(self, error: ChatdError, line: int | None) -> None:
        self._first_failure = self._first_failure or error
        error = with_way(error, "add --anyway")
        output.show_error(error if line is None else at_line(error, line))
        if self._as_json and line is not None:
            output.json_line({"line": line, "error": output.error_object(error)})


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


def record_key_of(identity: Identity) -> str:
    """Return the record key that the certificate names, with the day: a later one comes with a renewal."""
    if not identity.record_key:
        return "the identity is older than the record key"
    return f"{identity.record_key} (as of {identity.not_before:%Y-%m-%d}, when this certificate was made)"


@click.command()
@connecting
def whoami(app: App) -> None:
    """Log in and show your user, role and rooms, and when your identity expires."""
    with app.client() as client:
        welcome = client.wait_connected(0)
        identity = client.identity
    ends = identity.not_after if identity.not_after.tzinfo else identity.not_after.replace(tzinfo=UTC)
    days = (ends - datetime.fromtimestamp(time.time(), UTC)).days
    servers = list(servers_of(identity))
    result = {
        "user": welcome.user,
        "device": welcome.device,
        "role": welcome.role,
        "permissions": welcome.permissions,
        "rooms": welcome.rooms,
        "instance": welcome.instance,
        "server": welcome.server,
        "servers": servers,
        "envelope": welcome.envelope,
        "expires": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "identity": str(identity.path),
        "record_key": identity.record_key,
    }

    def print_text() -> None:
        output.line(f"{welcome.user}/{welcome.device}  role {welcome.role}  on {welcome.instance}")
        output.line(f"server    {output.joined(servers)} (chatd {welcome.version})")
        output.line(f"envelope  {'on' if welcome.envelope else 'OFF: only TLS protects this connection'}")
        output.line(f"rooms     {output.joined(welcome.rooms)}")
        output.line(f"identity  {identity.path}, expires {result['expires']} (in {days} days)")
        output.line(f"record    {record_key_of(identity)}")

    app.show(result, print_text)
