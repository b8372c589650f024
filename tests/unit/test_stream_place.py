"""Which messages of a cluster's stream count."""

from __future__ import annotations

import pytest

from chatd.cluster.stream_message import MessageKind, StreamHeader
from chatd.cluster.stream_place import StreamPlace, after, counts, void
from chatd.store.entry import Point

LOG = Point(9, bytes(32))
PLACE = StreamPlace(seq=4, generation=2, epoch=7, leader="alpha")
BATCH = StreamHeader(MessageKind.BATCH, 2, 7, "alpha", LOG, 3, 1)
CLAIM = StreamHeader(MessageKind.CLAIM, 2, 8, "beta", LOG, 0, 1)
GENESIS = StreamHeader(MessageKind.GENESIS, 3, 0, "beta", LOG, 0, 1)


@pytest.mark.parametrize("header", [BATCH, CLAIM, GENESIS], ids=["batch", "claim", "genesis"])
def test_what_continues_the_log_counts(header: StreamHeader) -> None:
    assert counts(PLACE, LOG, header)


VOID = {
    "batch of an earlier leader": BATCH._replace(epoch=6),
    "batch of a later leader": BATCH._replace(epoch=8),
    "batch of another node": BATCH._replace(node="beta"),
    "batch of another generation": BATCH._replace(generation=1),
    "batch that leaves a gap": BATCH._replace(previous=Point(10, bytes(32))),
    "batch stored twice": BATCH._replace(previous=Point(6, bytes(32))),
    "batch of another history": BATCH._replace(previous=Point(9, b"x" * 32)),
    "batch without entries": BATCH._replace(entries=0),
    "claim of the epoch": CLAIM._replace(epoch=7),
    "claim of an earlier epoch": CLAIM._replace(epoch=3),
    "claim by a node that is behind": CLAIM._replace(previous=Point(8, bytes(32))),
    "claim of another generation": CLAIM._replace(generation=3),
    "genesis of the generation": GENESIS._replace(generation=2),
    "genesis of another log": GENESIS._replace(previous=Point(9, b"x" * 32)),
}


@pytest.mark.parametrize("header", VOID.values(), ids=VOID.keys())
def test_all_else_is_void(header: StreamHeader) -> None:
    assert not counts(PLACE, LOG, header)


def test_every_message_takes_a_place_and_only_claims_change_the_lead() -> None:
    assert after(PLACE, BATCH) == PLACE._replace(seq=5)
    assert after(PLACE, CLAIM) == StreamPlace(5, 2, 8, "beta")
    assert after(PLACE, GENESIS) == StreamPlace(5, 3, 0, "beta")
    assert void(PLACE) == PLACE._replace(seq=5)
