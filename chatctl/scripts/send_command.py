"""`chat send`, and how commands enter a room."""

from __future__ import annotations

import sys
from collections import deque

import click

from chatctl.client import Client, Sent, SentResult
from chatctl.connecting import App, connecting, room_name
from chatctl.model.folding import kind_of
from chatctl.scripts.standard_input import InputLine, at_line, check_utf8, read_all, read_lines
from chatd.console import output
from chatd.console.pasting import pasteable
from chatd.errors import ChatdError
from chatd.proto.advice import with_way
from chatd.proto.text import conversation_at, visible

# Lines sent ahead of their replies; a refusal is noticed this late at most.
READ_AHEAD = 64
REPLY_TIMEOUT = 30.0
# After so long without an answer, why there is none is told.
QUIET_SECONDS = 2.0


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
        self._told = False
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

    def _answer(self, sent: Sent) -> SentResult:
        """Wait for the answer to a message; say once why there is none yet, if the server has told."""
        try:
            return sent.wait(QUIET_SECONDS)
        except ChatdError:
            if sent.state != "pending" or self._client.error is not None:
                raise
        if not self._told and (why := sent.put_off) is not None:
            self._told = True
            output.note(f"waiting: {visible(why.reason, newlines=False)} ({why.code})")
        return sent.wait(REPLY_TIMEOUT - QUIET_SECONDS)

    def _await_reply(self, sent: Sent, line: int | None) -> None:
        try:
            result = self._answer(sent)
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
