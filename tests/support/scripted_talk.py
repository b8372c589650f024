"""A conversation that goes on while things break, and what is to be true of it afterwards.

Bodies are "user-counter", so that what is lost or doubled is located (docs/reliability.md).
"""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from chatctl.client import Client
from chatd.errors import ChatdError
from chatd.pki.identity import read_identity
from chatd.proto.events import FromServer, Message

ROOM = "#lobby"
ANSWER_SECONDS = 60.0


class Said(NamedTuple):
    """A message as somebody saw it."""

    seq: int
    body: str


class Talker:
    """One user who keeps sending, one message after the other, and remembers everything."""

    def __init__(self, identity: Path) -> None:
        self.client = Client(read_identity(identity))
        self.user = self.client.identity.user
        self.acknowledged: list[Said] = []
        self.refused: list[ChatdError] = []
        self.seen: list[Said] = []
        self.sent = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._talk, name=f"talker-{self.user}")
        self.client.on_event(self._see)

    def start(self) -> None:
        """Connect and begin."""
        self.client.start()
        self.client.wait_connected(30.0)
        self._thread.start()

    def finish(self) -> None:
        """Send nothing more; wait for the last answer."""
        self._stop.set()
        self._thread.join(ANSWER_SECONDS)
        assert not self._thread.is_alive(), f"{self.user} waits in vain for an answer"

    def close(self) -> None:
        """Disconnect."""
        self._stop.set()
        self.client.close()

    def _talk(self) -> None:
        while not self._stop.is_set():
            body = f"{self.user}-{self.sent}"
            self.sent += 1
            try:
                result = self.client.send(ROOM, body).wait(ANSWER_SECONDS)
            except ChatdError as error:
                self.refused.append(error)
            else:
                self.acknowledged.append(Said(result.seq, body))

    def _see(self, event: object) -> None:
        if isinstance(event, FromServer) and isinstance(event, Message):
            self.seen.append(Said(event.seq, event.body))


def judge(talkers: list[Talker]) -> None:
    """Every acknowledged message is there once, in one order, for everybody who was listening."""
    acknowledged = {said for talker in talkers for said in talker.acknowledged}
    assert acknowledged
    first = talkers[0].seen
    for talker in talkers:
        assert not talker.refused, talker.refused[:3]
        assert talker.seen == sorted(talker.seen), f"{talker.user} saw events out of order"
        bodies = Counter(said.body for said in talker.seen)
        doubled = [body for body, count in bodies.items() if count > 1]
        assert not doubled, f"{talker.user} saw twice: {doubled[:5]}"
        lost = acknowledged - set(talker.seen)
        assert not lost, f"{talker.user} never saw {sorted(lost)[:5]} of {len(acknowledged)}"
        assert talker.seen == first, f"{talker.user} and {talkers[0].user} saw different conversations"
    for talker in talkers:
        own = [said.body for said in first if said.body.startswith(f"{talker.user}-")]
        order = [f"{talker.user}-{n}" for n in range(talker.sent)]
        assert own == order, f"{talker.user}'s messages are not in the order of sending"
