"""One client process of a trial: says "user-counter" as fast as its window allows, writes everything down.

    python -m tests.chaos.talker '{"identity": ..., "journal": ..., ...}'

It runs until a line comes on its standard input; then it waits for its last answers, writes ``quiet``
on its standard output, waits until it has seen the announcement `THE_END`, and ends. It may be killed
at any moment and started again as the next run.
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

THE_END = "the end of the trial"
PATIENCE_SECONDS = 120.0
EXIT_REFUSED = 3


class Orders(NamedTuple):
    """What one run does. ``first``: the first counter; ``window``: how many messages may wait for their
    answer; ``pause``: seconds between two; ``state``: folder of the outbox and cursor, "" for none."""

    identity: str
    journal: str
    state: str
    rooms: list[str]
    run: int
    first: int
    window: int
    pause: float


class Talker:
    """The process' one client."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        identity = read_identity(Path(orders.identity))
        self._user = identity.user
        self._journal = Journal(Path(orders.journal))
        self._client = Client(identity, state=Path(orders.state) if orders.state else None)
        self._journal.write(
            "start",
            who=f"{identity.user}/{identity.device}",
            run=orders.run,
            cursor=self._client.cursor,
            durable=bool(orders.state),
        )
        self._slots = threading.Semaphore(orders.window)
        self._stop = threading.Event()
        self._saw_end = threading.Event()
        self._over = threading.Event()

    def run(self) -> int:
        """Until told to end (0), or until the server will not have this client (EXIT_REFUSED)."""
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._wait_for_order, daemon=True).start()
        self._client.start()
        try:
            self._enter_rooms()
            self._talk()
            self._drain()
        except ChatdError:
            pass
        self._client.close()
        self._over.wait(10.0)
        if (error := self._client.error) is not None and error.code != "E607":  # E607: we closed it
            self._journal.write("ended", c=error.code, why=error.reason)
            return EXIT_REFUSED
        self._journal.write("end" if self._saw_end.is_set() else "gave up")
        return 0

    def _enter_rooms(self) -> None:
        for room in self._orders.rooms:
            self._patiently("join", room=room)

    def _patiently(self, kind: str, **fields: Any) -> None:
        """Ask until there is an answer; one that says no is an answer."""
        deadline = time.monotonic() + PATIENCE_SECONDS
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
        counter = self._orders.first
        while not self._stop.is_set():
            if not self._slots.acquire(timeout=0.1):
                if self._client.error is not None:
                    raise self._client.error
                continue
            body, room = f"{self._user}-{counter}", self._orders.rooms[counter % len(self._orders.rooms)]
            counter += 1
            self._journal.write("try", b=body, r=room)
            sent = self._client.send(room, body)
            self._journal.write("kept", b=body, id=sent.msg_id)
            self._stop.wait(self._orders.pause)

    def _drain(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._client.unsent and time.monotonic() < deadline:
            time.sleep(0.02)
        sys.stdout.write("quiet\n")
        sys.stdout.flush()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._saw_end.wait(0.2) and self._client.error is None and time.monotonic() < deadline:
            pass

    def _wait_for_order(self) -> None:
        sys.stdin.readline()
        self._stop.set()

    def _listen(self) -> None:
        for event in self._client.events():
            self._note(event)
        self._over.set()

    def _note(self, event: object) -> None:
        write = self._journal.write
        if isinstance(event, ev.Message):
            sender = f"{event.user}/{event.device}"
            write("see", s=event.seq, e="message", r=event.room, b=event.body, f=sender)
        elif isinstance(event, ev.Logged):
            write("see", s=event.seq, e=event.type, r=getattr(event, "room", "*"))
            if isinstance(event, ev.Announcement) and event.body == THE_END:
                self._saw_end.set()
        elif isinstance(event, Acknowledged):
            write("ack", b=event.sent.body, s=event.sent.wait(0).seq, id=event.sent.msg_id)
            self._slots.release()
        elif isinstance(event, Refused):
            write("no", b=event.sent.body, c=event.error.code)
            self._slots.release()
        else:
            self._note_connection(event)

    def _note_connection(self, event: object) -> None:
        if isinstance(event, Connected):
            self._journal.write("open", head=event.welcome.head)
        elif isinstance(event, CaughtUp):
            self._journal.write("live", at=event.cursor)
        elif isinstance(event, ev.Lagged):
            self._journal.write("lagged")
        elif isinstance(event, Disconnected):
            self._journal.write("gone", c=event.error.code)


def main() -> None:
    sys.exit(Talker(Orders(**json.loads(sys.argv[1]))).run())


if __name__ == "__main__":
    main()
