"""`chat` without a terminal: sends lines of stdin to a room and prints the room's messages."""

from __future__ import annotations

import sys
import threading

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
from chatctl.connecting import wait_connected
from chatctl.model.times import Times
from chatctl.scripts.send_command import enter, recipient
from chatctl.scripts.showing import event_text
from chatctl.scripts.standard_input import InputLine, at_line, read_lines
from chatd.console import output, streams
from chatd.errors import ChatdError
from chatd.proto import events as ev
from chatd.proto.advice import with_way

# Lines sent ahead of their replies.
READ_AHEAD = 256


def run(client: Client, room: str, times: Times = Times.UTC) -> int:
    """Send each line of standard input to ``room`` and print the room's events; returns the exit code.

    Ends after the end of the input, once each line was refused, or accepted and printed: with 0, with 6
    if some lines were refused, with the first refusal's code if all were. Raises the error that ended
    the client.
    """
    client.start()
    wait_connected(client, None)
    return RoomPipe(client, room, times).run()


class RoomPipe:
    """Moves lines between stdin, one room and stdout."""

    def __init__(self, client: Client, room: str, times: Times) -> None:
        self._client = client
        self._to = room
        self._room = room
        self._times = times
        self._send_slots = threading.Semaphore(READ_AHEAD)
        # Protects the two attributes below, which the stdin thread uses too.
        self._lock = threading.Lock()
        # Lines on their way, by msg_id: their numbers.
        self._unseen: dict[str, int] = {}
        self._at_end = False
        # The seq of messages that were accepted but have not come back as events yet, by msg_id.
        self._accepted_seqs: dict[str, int] = {}
        self._caught_up = 0
        self._reading: threading.Thread | None = None
        self._accepted = 0
        self._failure: ChatdError | None = None
        self._held = False

    def run(self) -> int:
        self._to = recipient(self._client, self._to)
        self._room = enter(self._client, self._to)
        while not self._done():
            # With a timeout, because the stdin thread cannot wake this one at the end of input.
            event = self._client.next_event(0.2)
            if event is not None:
                self._handle(event)
            elif self._client.error is not None:
                raise self._client.error
        if self._failure is None:
            return output.HELD if self._held else output.OK
        return output.PARTLY if self._accepted else output.exit_code(self._failure)

    def _done(self) -> bool:
        if streams.reader_left():
            # As the programs before it in the pipeline will, but with the messages on their way sent.
            return not self._client.unsent
        with self._lock:
            return self._at_end and not self._unseen

    def _handle(self, event: AnyEvent) -> None:
        if isinstance(event, CaughtUp):
            self._caught_up = event.cursor
            self._forget_skipped()
            self._start_reading()
        elif isinstance(event, Acknowledged):
            self._acknowledged(event)
        elif isinstance(event, Refused):
            self._send_slots.release()
            self._refused(event)
        elif isinstance(event, Disconnected):
            if event.retry_in is not None:
                output.note(f"{event.error.reason}; connecting again ({self._client.unsent} unsent)")
        elif isinstance(event, Restored):
            output.note(event.text)
        elif isinstance(event, Connected):
            if event.lacks(self._room) and self._reading is not None:
                output.note(f"you are not in {self._room} any more")
        else:
            self._show(event)

    def _acknowledged(self, event: Acknowledged) -> None:
        self._accepted += 1
        self._send_slots.release()
        result = event.sent.wait(0)
        for changed in result.notes:
            output.note(f"note: {changed.get('text', '')}")
        with self._lock:
            unseen = event.sent.msg_id in self._unseen
        if result.held:
            # It comes once a moderator has approved it, which nobody waits for.
            self._held = True
            self._seen(event.sent.msg_id)
        elif unseen:
            self._accepted_seqs[event.sent.msg_id] = result.seq
            self._forget_skipped()

    def _forget_skipped(self) -> None:
        """Stop waiting for messages before the cursor that were not delivered.

        They were redacted meanwhile, or this user was removed from the room.
        """
        for msg_id in [key for key, seq in self._accepted_seqs.items() if seq <= self._caught_up]:
            self._seen(msg_id)

    def _refused(self, event: Refused) -> None:
        self._failure = self._failure or event.error
        with self._lock:
            number = self._unseen.get(event.sent.msg_id)
        error = with_way(event.error, "chat send ROOM TEXT --anyway")
        output.show_error(error if number is None else at_line(error, number))
        self._seen(event.sent.msg_id)

    def _show(self, event: AnyEvent) -> None:
        if not isinstance(event, ev.Announcement) and getattr(event, "room", None) != self._room:
            return
        if text := event_text(event, self._room, self._times):
            output.write(f"{text}\n")
        if isinstance(event, ev.Message):
            self._seen(event.msg_id)

    def _seen(self, msg_id: str) -> None:
        self._accepted_seqs.pop(msg_id, None)
        with self._lock:
            self._unseen.pop(msg_id, None)

    def _start_reading(self) -> None:
        # Not before the session is live, or the events of the own lines could be missed.
        if self._reading is None:
            self._reading = threading.Thread(target=self._read_lines, name="chat-stdin", daemon=True)
            self._reading.start()

    def _read_lines(self) -> None:
        try:
            for line in read_lines(sys.stdin.fileno()):
                if streams.reader_left():
                    break
                if line.text.strip():
                    self._send(line)
        except ChatdError as error:
            # If the client has ended, `run` raises its error; keep any other failure.
            self._failure = self._failure or error
        finally:
            with self._lock:
                self._at_end = True

    def _send(self, line: InputLine) -> None:
        if line.text.startswith("/") and sys.stdin.isatty():
            # A person who expects the line client would send "/msg bob ..." to everybody.
            output.note("not sent: plain mode has no commands; see chat --help")
            return
        try:
            text = line.checked()
        except ChatdError as error:
            self._failure = self._failure or error
            output.show_error(error)
            return
        self._send_slots.acquire()
        # Under the lock: the message must not come back before its id is stored.
        with self._lock:
            self._unseen[self._client.send(self._to, text).msg_id] = line.number
