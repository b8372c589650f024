"""The client without a terminal: lines of standard input go to a room, what the room shows comes out."""

from __future__ import annotations

import threading
from typing import TextIO

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
from chatctl.model.render import render_plain
from chatctl.scripts.one_shot import enter, read_lines
from chatd.console import output
from chatd.errors import ChatdError
from chatd.proto import events as ev

CONNECT_TIMEOUT = 10.0
# Lines read ahead of the server's answers.
READ_AHEAD = 256


def run(client: Client, room: str, stdin: TextIO, stdout: TextIO) -> int:
    """Send each line of ``stdin`` to ``room``, print what the room shows; the exit code.

    Ends at the end of ``stdin``, once every line was answered and those accepted were shown: 0, or 6
    when some lines were refused, or that failure's code when all were. Raises what ended the connection.
    """
    client.start()
    client.wait_connected(CONNECT_TIMEOUT * len(client.identity.servers))
    return _Plain(client, room, stdin, stdout).run()


class _Plain:
    def __init__(self, client: Client, room: str, stdin: TextIO, stdout: TextIO) -> None:
        self._client = client
        self._to = room
        self._room = room
        self._stdin = stdin
        self._stdout = stdout
        self._room_left = threading.Semaphore(READ_AHEAD)
        # Protects the two below, which the reading thread and this one share.
        self._lock = threading.Lock()
        self._unseen: set[str] = set()
        self._at_end = False
        # Answered and not seen coming back yet: which place in the log they have.
        self._answered: dict[str, int] = {}
        self._caught_up = 0
        self._reading: threading.Thread | None = None
        self._accepted = 0
        self._failure: ChatdError | None = None

    def run(self) -> int:
        self._room = enter(self._client, self._to)
        while not self._done():
            # The reading thread cannot wake this one at the end of input; nothing else needs the limit.
            event = self._client.next_event(0.2)
            if event is not None:
                self._take(event)
            elif self._client.error is not None:
                raise self._client.error
        if self._failure is None:
            return output.OK
        return output.PARTLY if self._accepted else output.exit_code(self._failure)

    def _done(self) -> bool:
        with self._lock:
            return self._at_end and not self._unseen

    def _take(self, event: AnyEvent) -> None:
        if isinstance(event, CaughtUp):
            self._caught_up = event.cursor
            self._pass_over()
            self._start_reading()
        elif isinstance(event, Acknowledged):
            self._acknowledged(event)
        elif isinstance(event, Refused):
            self._room_left.release()
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
        self._room_left.release()
        result = event.sent.wait(0)
        for changed in result.notes:
            output.note(f"note: {changed.get('text', '')}")
        with self._lock:
            unseen = event.sent.msg_id in self._unseen
        if unseen:
            self._answered[event.sent.msg_id] = result.seq
            self._pass_over()

    def _pass_over(self) -> None:
        """What was missed has been told, and some messages were not among it: they do not come any more.

        They were erased meanwhile, or this user was put out of the room.
        """
        for msg_id in [key for key, seq in self._answered.items() if seq <= self._caught_up]:
            self._seen(msg_id)

    def _refused(self, event: Refused) -> None:
        self._failure = self._failure or event.error
        output.show_error(event.error)
        self._seen(event.sent.msg_id)

    def _show(self, event: AnyEvent) -> None:
        if not isinstance(event, ev.Announcement) and getattr(event, "room", None) != self._room:
            return
        if text := render_plain(event, room=self._room):
            print(text, file=self._stdout, flush=True)
        if isinstance(event, ev.Message):
            self._seen(event.msg_id)

    def _seen(self, msg_id: str) -> None:
        self._answered.pop(msg_id, None)
        with self._lock:
            self._unseen.discard(msg_id)

    def _start_reading(self) -> None:
        # Not before this session is live: the own lines are to be seen coming back.
        if self._reading is None:
            self._reading = threading.Thread(target=self._read, name="chat-stdin", daemon=True)
            self._reading.start()

    def _read(self) -> None:
        try:
            for text in read_lines(self._stdin.fileno()):
                if text.startswith("/") and self._stdin.isatty():
                    # Somebody who takes this for the line client would say "/msg bob ..." to everybody.
                    output.note("not sent: plain mode has no commands; see chat --help")
                elif text.strip():
                    self._room_left.acquire()
                    # Under the lock, so that the message cannot come back before it is noted.
                    with self._lock:
                        self._unseen.add(self._client.send(self._to, text).msg_id)
        except ChatdError as error:
            # The client has ended; `run` tells why. Only what it cannot know is noted here.
            self._failure = self._failure or error
        finally:
            with self._lock:
                self._at_end = True
