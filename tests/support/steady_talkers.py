"""Users who keep talking while a test breaks things, and the check that no message was lost or duplicated.

Message bodies are "user-counter", so a failure names the lost or duplicated one (docs/reliability.md).
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
REPLY_SECONDS = 60.0


class Delivered(NamedTuple):
    """A message as a client received it."""

    seq: int
    body: str


class Talker:
    """A user who sends one message after another and records what is acknowledged and received."""

    def __init__(self, identity: Path) -> None:
        self.client = Client(read_identity(identity))
        self.user = self.client.identity.user
        self.acknowledged: list[Delivered] = []
        self.refused: list[ChatdError] = []
        self.seen: list[Delivered] = []
        self.sent = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._talk, name=f"talker-{self.user}")
        self.client.on_event(self._see)

    def start(self) -> None:
        """Connect and start sending."""
        self.client.start()
        self.client.wait_connected(30.0)
        self._thread.start()

    def finish(self) -> None:
        """Stop sending; wait for the last reply."""
        self._stop.set()
        self._thread.join(REPLY_SECONDS)
        assert not self._thread.is_alive(), f"{self.user} got no reply to the last message"

    def close(self) -> None:
        """Stop sending and disconnect."""
        self._stop.set()
        self.client.close()

    def _talk(self) -> None:
        while not self._stop.is_set():
            body = f"{self.user}-{self.sent}"
            self.sent += 1
            try:
                result = self.client.send(ROOM, body).wait(REPLY_SECONDS)
            except ChatdError as error:
                self.refused.append(error)
            else:
                self.acknowledged.append(Delivered(result.seq, body))

    def _see(self, event: object) -> None:
        if isinstance(event, FromServer) and isinstance(event, Message):
            self.seen.append(Delivered(event.seq, event.body))


def assert_delivered_once_in_order(talkers: list[Talker]) -> None:
    """Check that every talker received every acknowledged message once, all in the same order."""
    acknowledged = {message for talker in talkers for message in talker.acknowledged}
    assert acknowledged
    first = talkers[0].seen
    for talker in talkers:
        assert not talker.refused, talker.refused[:3]
        assert talker.seen == sorted(talker.seen), f"{talker.user} saw events out of order"
        bodies = Counter(message.body for message in talker.seen)
        duplicated = [body for body, count in bodies.items() if count > 1]
        assert not duplicated, f"{talker.user} received more than once: {duplicated[:5]}"
        lost = acknowledged - set(talker.seen)
        assert not lost, f"{talker.user} never received {sorted(lost)[:5]} of {len(acknowledged)}"
        assert talker.seen == first, f"{talker.user} and {talkers[0].user} received different conversations"
    for talker in talkers:
        own = [message.body for message in first if message.body.startswith(f"{talker.user}-")]
        order = [f"{talker.user}-{n}" for n in range(talker.sent)]
        assert own == order, f"{talker.user}'s messages are not in the order of sending"
