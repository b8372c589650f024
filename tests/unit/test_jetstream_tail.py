"""What a tail of the stream tells the loop; no server answers here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chatd.cluster.jetstream_tail import JetStreamTail
from chatd.cluster.log_link import StreamGoneError
from chatd.cluster.nats_address import NatsAddress


def no_address() -> NatsAddress:
    raise OSError("there is no server")


@pytest.fixture
def tail() -> Iterator[JetStreamTail]:
    tail = JetStreamTail(no_address, "CHATD", 7)
    yield tail
    tail.close()


def test_what_was_trimmed_is_told_after_the_last_messages_before_it(tail: JetStreamTail) -> None:
    tail._add(b"8")
    tail._trimmed = True
    assert tail.receive() == [b"8"]
    for _ in range(2):
        with pytest.raises(StreamGoneError):
            tail.receive()


def test_nothing_is_told_while_nothing_comes(tail: JetStreamTail) -> None:
    assert tail.receive() == []
    tail._add(b"8")
    tail._add(b"9")
    assert tail.receive() == [b"8", b"9"]
    assert tail.receive() == []
