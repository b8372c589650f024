"""The tail of a stream of a real nats-server: in order, without gaps, over restarts, under backlog."""

from __future__ import annotations

import select
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from chatd.cluster import jetstream_tail
from chatd.cluster.jetstream import JetStreamLink
from chatd.cluster.log_link import Outcome, StreamGoneError, Tail
from chatd.cluster.nats_address import read_address
from chatd.config.cluster_section import ClusterSection
from chatd.config.schema import Settings
from chatd.config.sections import ServerSection
from chatd.nats.nats_server import NatsServer
from tests.support.daemon import wait_until

SECONDS = 30.0


class Stream:
    """A server with a stream of its own."""

    def __init__(self, home: Path) -> None:
        for folder in ("data", "run"):
            (home / folder).mkdir(parents=True)
        self._home = home
        self._settings = Settings(server=ServerSection(name="lab"), cluster=ClusterSection(node="alpha"))
        self.start()
        self.link = JetStreamLink(partial(read_address, home))
        self.link.create()
        self.last = 0

    def start(self) -> None:
        self.server = NatsServer.start(self._home, self._settings)
        wait_until(self.server.announce)

    def stop(self) -> None:
        self.server.stop()
        wait_until(lambda: not self.server.is_alive())

    def append(self, count: int, size: int = 0) -> list[bytes]:
        """Append numbered messages of at least so many bytes; return them."""
        added = [b"%d " % (self.last + number) + bytes(size) for number in range(1, count + 1)]
        for data in added:
            assert self.link.append(self.last, data, SECONDS) is Outcome.IN
            self.last += 1
        return added

    def close(self) -> None:
        self.link.close()
        self.stop()


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[Stream]:
    stream = Stream(tmp_path / "home")
    yield stream
    stream.close()


def received(tail: Tail, count: int) -> list[bytes]:
    """Wait for so many messages."""
    found: list[bytes] = []
    while len(found) < count:
        assert select.select([tail], [], [], SECONDS)[0], f"only {len(found)} of {count} arrived"
        found += tail.receive()
    return found


def test_a_tail_brings_what_is_there_and_what_comes(stream: Stream) -> None:
    before = stream.append(5)
    tail = stream.link.tail(2)
    assert received(tail, 3) == before[2:]
    later = stream.append(4)
    assert received(tail, 4) == later
    tail.close()


def test_a_tail_goes_on_after_the_server_was_away(stream: Stream) -> None:
    tail = stream.link.tail(0)
    sent = stream.append(3)
    assert received(tail, 3) == sent
    stream.stop()
    stream.start()
    later = stream.append(3)
    assert received(tail, 3) == later
    tail.close()


def test_a_reader_that_is_slow_gets_everything_in_order(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jetstream_tail, "WAITING_BYTES", 1_000_000)
    sent = stream.append(40, size=100_000)
    tail = stream.link.tail(0)
    select.select([tail], [], [], SECONDS)
    assert received(tail, 40) == sent
    tail.close()


def test_a_tail_of_what_was_trimmed_says_so(stream: Stream) -> None:
    stream.append(5)
    stream.link.trim(3)
    tail = stream.link.tail(1)
    with pytest.raises(StreamGoneError):
        received(tail, 1)
    tail.close()
