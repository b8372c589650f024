"""The leader's link to another hub: its frames leave whole, in messages of a bounded size, with the head."""

from __future__ import annotations

import pytest

from chatd.hub.links import BACKLOG_BYTES
from chatd.hub.peers.peer_channel import MESSAGE_BYTES, PeerChannel
from chatd.hub.peers.remote_link import RemoteLink, cut_frames, frames_of
from chatd.link.wire import LINK_FRAME_LIMIT, pack
from tests.support.memory_peers import MemoryPeers

LARGE = bytes(60_000)


def test_many_large_answers_leave_in_messages_that_a_hub_takes() -> None:
    network = MemoryPeers("alpha", "beta")
    channel = PeerChannel(network.link("alpha"), "beta", "answer", 1, 7, lambda: 0.0)
    link = RemoteLink("beta", channel, lambda: 42)
    count = 2 * BACKLOG_BYTES // len(LARGE)
    for number in range(count):
        link.send(["reply", number, 1], LARGE)
        assert link.backlog == 0
    assert not link.write()
    assert network.link("beta").receive() == []
    link.stage()
    link.release()
    assert not link.write()
    messages = network.link("beta").receive()
    assert all(len(message.payload) < LINK_FRAME_LIMIT for message in messages)
    assert {message.header[4] for message in messages} == {42}
    found = [header[1] for message in messages for header, _ in frames_of(message.payload)]
    assert found == list(range(count))
    network.close()


@pytest.mark.parametrize("sizes", [[], [0], [MESSAGE_BYTES, 1], [1] * 5, [MESSAGE_BYTES // 2] * 5], ids=len)
def test_frames_are_cut_between_frames(sizes: list[int]) -> None:
    frames = [pack(["x", size], bytes(size)) for size in sizes]
    parts = list(cut_frames(b"".join(frames)))
    assert b"".join(parts) == b"".join(frames)
    assert [header[1] for part in parts for header, _ in frames_of(part)] == sizes
