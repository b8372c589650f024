"""One client process of a trial: sends "user-counter" as fast as its window allows, and records it all.

    python -m tests.chaos.talker '{"identity": ..., "journal": ..., ...}'

It sends until it reads a line on standard input. It then waits for its last answers, prints ``quiet``,
waits for the announcement `END_MARK`, and ends. It may be killed at any moment and started again as the
next run.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from chatctl.client import Acknowledged, CaughtUp, Client, Connected, Disconnected, Refused
from chatd.errors import ChatdError
from chatd.pki.identity import read_identity
from chatd.proto import events as ev
from tests.chaos.journal import Journal

END_MARK = "the end of the trial"
TIMEOUT_SECONDS = 120.0
EXIT_REFUSED = 3


class RunSpec(NamedTuple):
    """What one run does. ``first``: the first counter; ``window``: how many messages may be unanswered;
    ``pause``: seconds between messages; ``state``: folder of the outbox and cursor, "" for none."""

    identity: str
    journal: str
    state: str
    rooms: list[str]
    run: int
    first: int
    window: int
    pause: float


class Talker:
    """The only client of this process."""

    def __init__(self, spec: RunSpec) -> None:
        self._spec = spec
        identity = read_identity(Path(spec.identity))
        self._user = identity.user
        self._journal = Journal(Path(spec.journal))
        self._client = Client(identity, state=Path(spec.state) if spec.state else None)
        self._journal.write(
            "start",
            who=f"{identity.user}/{identity.device}",
            run=spec.run,
            cursor=self._client.cursor,
            durable=bool(spec.state),
        )
        self._slots = threading.Semaphore(spec.window)
        self._stop = threading.Event()
        self._end_seen = threading.Event()
        self._listener_done = threading.Event()

    def run(self) -> int:
        """Run until ordered to end and return 0, or EXIT_REFUSED if the server refuses this client."""
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._await_end_order, daemon=True).start()
        self._client.start()
        why = ""
        try:
            self._enter_rooms()
            self._talk()
            self._drain()
        except ChatdError as failure:
            why = str(failure)
        state = {
            "unsent": self._client.unsent,
            "connected": self._client.connected,
            "server": self._client.server,
            "cursor": self._client.cursor,
        }
        self._client.close()
        self._listener_done.wait(10.0)
        if (error := self._client.error) is not None and error.code != "E607":  # E607: closed by us
            self._journal.write("ended", c=error.code, why=error.reason)
            return EXIT_REFUSED
        if self._end_seen.is_set():
            self._journal.write("end")
        else:
            self._journal.write("gave up", why=why, **state)
        return 0

    def _enter_rooms(self) -> None:
        for room in self._spec.rooms:
            self._request_until_answered("join", room=room)

    def _request_until_answered(self, kind: str, **fields: Any) -> None:
        """Repeat a request until it is answered; a refusal is an answer."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            try:
                self._client.request(kind, timeout=30.0, **fields)
                return
            except ChatdError as error:
                if self._client.error is not None:
                    raise
                if error.code[:2] in ("E3", "E4"):
                    return
                time.sleep(0.1)

    def _talk(self) -> None:
        counter = self._spec.first
        while not self._stop.is_set():
            if not self._slots.acquire(timeout=0.1):
                if self._client.error is not None:
                    raise self._client.error
                continue
            body, room = f"{self._user}-{counter}", self._spec.rooms[counter % len(self._spec.rooms)]
            counter += 1
            self._journal.write("try", b=body, r=room)
            sent = self._client.send(room, body)
            self._journal.write("kept", b=body, id=sent.msg_id)
            self._stop.wait(self._spec.pause)

    def _drain(self) -> None:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while self._client.unsent and time.monotonic() < deadline:
            time.sleep(0.02)
        sys.stdout.write("quiet\n")
        sys.stdout.flush()
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not self._end_seen.wait(0.2) and self._client.error is None and time.monotonic() < deadline:
            pass

    def _await_end_order(self) -> None:
        sys.stdin.readline()
        self._stop.set()

    def _listen(self) -> None:
        for event in self._client.events():
            self._record(event)
        self._listener_done.set()

    def _record(self, event: object) -> None:
        write = self._journal.write
        if isinstance(event, ev.Message):
            sender = f"{event.user}/{event.device}"
            write("see", s=event.seq, e="message", r=event.room, b=event.body, f=sender)
        elif isinstance(event, ev.Logged):
            write("see", s=event.seq, e=event.type, r=getattr(event, "room", "*"))
            if isinstance(event, ev.Announcement) and event.body == END_MARK:
                self._end_seen.set()
        elif isinstance(event, Acknowledged):
            write("ack", b=event.sent.body, s=event.sent.wait(0).seq, id=event.sent.msg_id)
            self._slots.release()
        elif isinstance(event, Refused):
            write("no", b=event.sent.body, c=event.error.code)
            self._slots.release()
        else:
            self._record_connection(event)

    def _record_connection(self, event: object) -> None:
        if isinstance(event, Connected):
            self._journal.write("open", head=event.welcome.head, at=self._client.server)
        elif isinstance(event, CaughtUp):
            self._journal.write("live", at=event.cursor)
        elif isinstance(event, ev.Lagged):
            self._journal.write("lagged")
        elif isinstance(event, Disconnected):
            self._journal.write("gone", c=event.error.code)


def main() -> None:
    sys.exit(Talker(RunSpec(**json.loads(sys.argv[1]))).run())


if __name__ == "__main__":
    main()
