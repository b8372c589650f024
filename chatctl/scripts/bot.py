"""`chat bot`: a session as JSON Lines on stdin and stdout, for bots in any language."""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click

from chatctl.client import (
    Acknowledged,
    AnyEvent,
    CaughtUp,
    Client,
    Connected,
    Disconnected,
    Refused,
    Restored,
    Sent,
)
from chatctl.connecting import App, connecting, room_name
from chatctl.scripts.send_command import enter
from chatctl.scripts.standard_input import read_lines
from chatd.console import output, streams
from chatd.console.arguments import NamedPath
from chatd.errors import ChatdError
from chatd.proto import events as ev
from chatd.proto.frames import PAYLOAD_LIMIT, JsonObject, decode
from chatd.proto.requests import REQUESTS, AnyRequest, Edit, Send, parse_request

# Messages sent ahead of their replies.
READ_AHEAD = 64
# How long SIGTERM waits for unanswered messages.
DRAIN_SECONDS = 3.0
# Without events, the end of stdin is noticed this late.
_POLL_SECONDS = 0.2
# Requests that the library makes by itself; a second resume would confuse it.
_INTERNAL = frozenset({"resume"})


@click.command()
@click.option(
    "--room", "rooms", metavar="ROOM", type=room_name, multiple=True, help="Join ROOM first; repeatable."
)
@click.option(
    "--own",
    is_flag=True,
    help="Also print this user's own messages; then a bot can answer itself.",
)
@click.option(
    "--state",
    metavar="DIR",
    type=NamedPath(file_okay=False, path_type=Path),
    help="Keep unsent messages and the cursor in this folder, so that the next run continues.",
)
@connecting
def bot(app: App, rooms: tuple[str, ...], own: bool, state: Path | None) -> int:
    """Chat as JSON Lines: commands on standard input, events and replies on standard output.

    A command is an object such as {"do": "send", "to": "#war", "body": "hello", "ref": 1}; "do" is any
    request of docs/protocol.md, and the reply repeats "ref". Ends on SIGTERM, and at the end of standard
    input once all commands are answered. The output is always JSON. See docs/scripts.md.
    """
    signal.signal(signal.SIGTERM, _terminated)
    with app.client(reconnect=True, live=True, state=state) as client:
        for room in rooms:
            enter(client, room)
        try:
            return JsonLinesBot(client, own).run()
        except SystemExit:
            client.close(drain=DRAIN_SECONDS)
            raise


def _terminated(_number: int, _frame: FrameType | None) -> NoReturn:
    # Not a flag: the main thread may be blocked in a write to a program that does not read.
    raise SystemExit(output.OK)


class JsonLinesBot:
    """Carries out the commands from stdin, and writes replies and events to stdout."""

    def __init__(self, client: Client, own: bool) -> None:
        self._client = client
        self._own = own
        self._send_slots = threading.Semaphore(READ_AHEAD)
        # Protects stdout and the three attributes below, which the stdin thread uses too.
        self._lock = threading.Lock()
        self._refs: dict[str, Any] = {}
        self._at_end = False
        self._failure: ChatdError | output.OutputEndedError | None = None

    def run(self) -> int:
        """Run until the end of stdin; raises the error that ended the client."""
        threading.Thread(target=self._read_commands, name="bot-stdin", daemon=True).start()
        while not self._done():
            event = self._client.next_event(_POLL_SECONDS)
            if event is not None:
                self._print_event(event)
            elif streams.reader_left():
                raise output.OutputEndedError
            elif self._client.error is not None:
                raise self._client.error
        return output.OK

    def _done(self) -> bool:
        with self._lock:
            if self._failure is not None:
                raise self._failure
            return self._at_end and not self._refs

    # -- events

    def _print_event(self, event: AnyEvent) -> None:
        if isinstance(event, Acknowledged):
            result = event.sent.wait(0)._asdict()
            self._answer_send(event.sent.msg_id, {"type": "ok", "result": result})
        elif isinstance(event, Refused):
            self._answer_send(event.sent.msg_id, _error(event.error))
        elif (line := self._line_of(event)) is not None:
            with self._lock:
                _write(line)

    def _line_of(self, event: AnyEvent) -> JsonObject | None:
        match event:
            case Connected():
                return {**event.welcome.model_dump(), "type": "connected"}
            case Disconnected():
                return {**_error(event.error), "type": "disconnected", "retry_in": event.retry_in}
            case Restored():
                return {"type": "restored", "seq": event.seq}
            case CaughtUp():
                return {"type": "caught_up", "cursor": event.cursor}
            case ev.Message() | ev.Edited() if event.user == self._client.identity.user and not self._own:
                return None
            case ev.Logged() | ev.Presence() | ev.Standing() | ev.Attention() | ev.Slowed() | ev.Isolated():
                return event.model_dump(exclude_none=True)
        return None

    def _answer_send(self, msg_id: str, reply: JsonObject) -> None:
        with self._lock:
            if msg_id not in self._refs:
                return  # sent by an earlier run
            _write({**reply, "msg_id": msg_id, "ref": self._refs.pop(msg_id)})
        self._send_slots.release()

    # -- commands

    def _read_commands(self) -> None:
        try:
            for line in read_lines(sys.stdin.fileno(), limit=PAYLOAD_LIMIT):
                if line.text.strip():
                    self._carry_out(line.text)
        except (ChatdError, output.OutputEndedError) as error:
            with self._lock:
                self._failure = error
        finally:
            with self._lock:
                self._at_end = True

    def _carry_out(self, text: str) -> None:
        """Carry out one command; raises the error that ended the client."""
        ref: Any = None
        try:
            command = _decode(text)
            ref = command.pop("ref", None)
            kind = command.pop("do", None)
            if not isinstance(kind, str) or kind in _INTERNAL or kind not in REQUESTS:
                raise ChatdError("E103", f'"do" is {json.dumps(kind)}', 'name a request, such as "send"')
            if command.keys() & {"type", "id"}:
                raise ChatdError("E102", 'a command has "type" or "id"', 'write "do" and "ref"')
            if kind in ("send", "edit"):
                self._send(command, kind, ref)
                return
            parse_request({**command, "type": kind, "id": 1})
            reply: JsonObject = {"type": "ok", "result": self._client.request(kind, **command)}
        except ChatdError as error:
            if self._client.error is not None:
                raise
            reply = _error(error)
        with self._lock:
            _write({**reply, "ref": ref})

    def _send(self, command: JsonObject, kind: str, ref: Any) -> None:
        asked = parse_request({"msg_id": "0" * 32, **command, "type": kind, "id": 1})
        self._send_slots.acquire()
        try:
            # Under the lock: the answer must not be handled before its "ref" is stored.
            with self._lock:
                sent = self._hand_over(asked)
                self._refs[sent.msg_id] = ref
        except ChatdError:
            self._send_slots.release()
            raise

    def _hand_over(self, asked: AnyRequest) -> Sent:
        if isinstance(asked, Edit):
            return self._client.edit(asked.room, asked.seq, asked.body)
        assert isinstance(asked, Send)  # noqa: S101 - the table's rows for "send" and "edit"
        return self._client.send(asked.to, asked.body, kind=asked.kind, reply_to=asked.reply_to)


def _decode(text: str) -> JsonObject:
    """Read a line as a JSON object. Raises E101, E102."""
    try:
        return decode(text.encode("utf-8", "surrogateescape"))
    except ChatdError as error:
        fix = 'write one JSON object on each line: {"do": "send", "to": "#lobby", "body": "hello"}'
        raise ChatdError(error.code, error.reason, fix) from None


def _error(error: ChatdError) -> JsonObject:
    return {"type": "error", **output.error_object(error)}


def _write(line: JsonObject) -> None:
    """Write a line to stdout's descriptor. Raises OutputEndedError.

    Not to `sys.stdout`: a thread blocked there holds its lock, for which the interpreter waits at exit.
    """
    streams.write_all(output.json_text(line).encode() + b"\n")
    if streams.lost() is not None:
        raise output.OutputEndedError
