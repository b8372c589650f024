"""`chat bot`: a session as JSON Lines on standard input and output, for bots in any language."""

from __future__ import annotations

import json
import os
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
)
from chatctl.connecting import App, connecting, room_name
from chatctl.scripts.one_shot import enter, read_lines
from chatd.console import output
from chatd.errors import ChatdError
from chatd.proto import events as ev
from chatd.proto.frames import PAYLOAD_LIMIT, JsonObject, decode
from chatd.proto.requests import Send, parse_request

# Sends read ahead of the server's answers.
READ_AHEAD = 64
# How long the end by SIGTERM waits for messages without an answer.
DRAIN_SECONDS = 3.0
# How soon the end of standard input is noticed while no event comes.
_LOOK_SECONDS = 0.2
# The library does these by itself, and a second resume would confuse it.
_OWN = frozenset({"resume"})


@click.command()
@click.option(
    "--room", "rooms", metavar="ROOM", type=room_name, multiple=True, help="Join ROOM first; may be repeated."
)
@click.option("--own", is_flag=True, help="Also give what this user wrote; the default avoids self-talk.")
@click.option(
    "--state",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep unsent messages and the place in the log here, so that the next run goes on.",
)
@connecting
def bot(app: App, rooms: tuple[str, ...], own: bool, state: Path | None) -> int:
    """Chat as JSON Lines: commands on standard input, events and replies on standard output.

    A command is an object such as {"do": "send", "to": "#war", "body": "hello", "ref": 1}; "do" is any
    request of docs/protocol.md. Its reply repeats "ref". Ends at the end of standard input, once all is
    answered, and on SIGTERM. The output is JSON with or without --json. See docs/scripts.md.
    """
    signal.signal(signal.SIGTERM, _terminated)
    with app.client(reconnect=True, live=True, state=state) as client:
        for room in rooms:
            enter(client, room)
        try:
            return _Bot(client, own).run()
        except SystemExit:
            client.close(drain=DRAIN_SECONDS)
            raise


def _terminated(_number: int, _frame: FrameType | None) -> NoReturn:
    # Not a flag: the main thread may be blocked forever writing to somebody who does not read.
    raise SystemExit(output.OK)


class _Bot:
    def __init__(self, client: Client, own: bool) -> None:
        self._client = client
        self._own = own
        self._room_left = threading.Semaphore(READ_AHEAD)
        # Protects standard output and the three below, which the reading thread and this one share.
        self._lock = threading.Lock()
        self._refs: dict[str, Any] = {}
        self._at_end = False
        self._failure: ChatdError | BrokenPipeError | None = None

    def run(self) -> int:
        """Until the end of standard input; raises what ended the connection for good."""
        threading.Thread(target=self._read, name="bot-stdin", daemon=True).start()
        while not self._done():
            event = self._client.next_event(_LOOK_SECONDS)
            if event is not None:
                self._take(event)
            elif self._client.error is not None:
                raise self._client.error
        return output.OK

    def _done(self) -> bool:
        with self._lock:
            if self._failure is not None:
                raise self._failure
            return self._at_end and not self._refs

    # -- what happens

    def _take(self, event: AnyEvent) -> None:
        if isinstance(event, Acknowledged):
            result = event.sent.wait(0)._asdict()
            self._answer_send(event.sent.msg_id, {"type": "ok", "result": result})
        elif isinstance(event, Refused):
            self._answer_send(event.sent.msg_id, _error(event.error))
        elif (told := self._told(event)) is not None:
            with self._lock:
                _write(told)

    def _told(self, event: AnyEvent) -> JsonObject | None:
        match event:
            case Connected():
                return {**event.welcome.model_dump(), "type": "connected"}
            case Disconnected():
                return {**_error(event.error), "type": "disconnected", "retry_in": event.retry_in}
            case Restored():
                return {"type": "restored", "seq": event.seq}
            case CaughtUp():
                return {"type": "caught_up", "cursor": event.cursor}
            case ev.Message() if event.user == self._client.identity.user and not self._own:
                return None
            case ev.Logged() | ev.Presence() | ev.Slowed():
                return event.model_dump(exclude_none=True)
        return None

    def _answer_send(self, msg_id: str, reply: JsonObject) -> None:
        with self._lock:
            if msg_id not in self._refs:
                return  # left unanswered by an earlier run
            _write({**reply, "msg_id": msg_id, "ref": self._refs.pop(msg_id)})
        self._room_left.release()

    # -- what is asked

    def _read(self) -> None:
        try:
            for text in read_lines(sys.stdin.fileno(), limit=PAYLOAD_LIMIT):
                if text.strip():
                    self._carry_out(text)
        except (ChatdError, BrokenPipeError) as error:
            with self._lock:
                self._failure = error
        finally:
            with self._lock:
                self._at_end = True

    def _carry_out(self, text: str) -> None:
        """One command. Raises what ended the client."""
        ref: Any = None
        try:
            command = decode(text.encode("utf-8", "surrogatepass"))
            ref = command.pop("ref", None)
            kind = command.pop("do", None)
            if not isinstance(kind, str) or kind in _OWN:
                raise ChatdError("E103", f'"do" is {json.dumps(kind)}', 'name a request, such as "send"')
            if command.keys() & {"type", "id"}:
                raise ChatdError("E102", '"type" and "id" are not for commands', 'write "do" and "ref"')
            if kind == "send":
                self._send(command, ref)
                return
            parse_request({**command, "type": kind, "id": 1})
            reply: JsonObject = {"type": "ok", "result": self._client.request(kind, **command)}
        except ChatdError as error:
            if self._client.error is not None:
                raise
            reply = _error(error)
        with self._lock:
            _write({**reply, "ref": ref})

    def _send(self, command: JsonObject, ref: Any) -> None:
        asked = parse_request({"msg_id": "0" * 32, **command, "type": "send", "id": 1})
        assert isinstance(asked, Send)  # noqa: S101 - the table's row for "send"
        self._room_left.acquire()
        try:
            # Under the lock, so that the answer cannot come before its command is noted.
            with self._lock:
                sent = self._client.send(asked.to, asked.body, kind=asked.kind, reply_to=asked.reply_to)
                self._refs[sent.msg_id] = ref
        except ChatdError:
            self._room_left.release()
            raise


def _error(error: ChatdError) -> JsonObject:
    return {"type": "error", **output.error_object(error)}


def _write(line: JsonObject) -> None:
    """A line of output. Not through Python's own stdout: a thread that is blocked there holds its lock,
    which the interpreter waits for at exit (here as in `read_lines`)."""
    rest = memoryview(output.json_text(line).encode() + b"\n")
    while rest:
        rest = rest[os.write(sys.stdout.fileno(), rest) :]
