"""A real hub in this process, with its log and one link to a worker."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from chatd.config.schema import Settings
from chatd.config.sections import LimitsSection, RoleLimits
from chatd.hub.hub import Hub
from chatd.hub.links import Link
from chatd.hub.query_threads import QueryThreads
from chatd.hub.recovery import carry_out, recover
from chatd.link.wire import LINK_VERSION
from chatd.proto.frames import HEADER_SIZE, encode
from chatd.store.event_log import EventLog
from tests.bench.dialects import body


class HubLoad:
    """Feeds messages of 120 bytes to the hub: `take` reads and decides them, `settle` does the rest."""

    def __init__(self, hub: Hub, link: Link, peer: socket.socket) -> None:
        self.hub, self._link, self._peer = hub, link, peer
        self._number = 0
        hub.links[link.number] = link
        hub.take(link, [(["hello", LINK_VERSION], b"")])
        hub.take(link, [(["open", 1, "bob", "b", "1", "127.0.0.1", False], b"")])
        hub.take(link, [(["request", 1], encode({"type": "resume", "id": 1})[HEADER_SIZE:])])
        hub.recorder.commit()

    def batch(self, size: int) -> int:
        """Process ``size`` new messages; return ``size``."""
        self.take(size)
        self.settle()
        return size

    def take(self, size: int) -> int:
        """Read and decide ``size`` new messages, as if one read of the link had returned them."""
        first, self._number = self._number, self._number + size
        self.hub.take(
            self._link,
            ((["request", 1], request(number)[HEADER_SIZE:]) for number in range(first, self._number)),
        )
        return size

    def settle(self) -> None:
        """Commit, and write the replies and events to the worker."""
        self.hub.recorder.commit()
        while self._link.write():
            self._peer.recv(1 << 20)
        self._peer.recv(1 << 20)


@contextmanager
def hub_load(folder: Path) -> Iterator[HubLoad]:
    """A hub on a new log in ``folder``/data; its only member receives its own messages."""
    # A user over the rate would cost a frame for each request.
    unlimited = RoleLimits(messages_per_second=1_000_000, burst=1_000_000, bytes_per_day=0)
    data, settings = folder / "data", Settings(limits=LimitsSection(per_role={"user": unlimited}))
    EventLog.open(data, now=1).close()
    carry_out(data, settings, [{"type": "user_add", "id": 1, "user": "bob", "device": "b", "serial": "1"}])
    with closing(EventLog.open(data, now=1)) as log, closing(QueryThreads(data)) as reader:
        hub = Hub(log, recover(log), settings, reader, lambda: time.time_ns() // 1_000_000)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            yield HubLoad(hub, Link(ours), theirs)


def request(number: int) -> bytes:
    """A client's frame that sends message ``number``."""
    text = body(number).decode()
    return encode(
        {"type": "send", "id": number + 1, "msg_id": f"{number:032x}", "to": "#lobby", "body": text}
    )
