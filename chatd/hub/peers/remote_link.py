"""The leader's link to the hub of another node, which forwards requests as a worker does."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from chatd.hub.links import Link
from chatd.hub.peers.peer_channel import MESSAGE_BYTES, PeerChannel
from chatd.link.wire import Header, LinkBuffer


class RemoteLink(Link):
    """Frames that are queued leave with the batch they belong to. ``head`` returns the durable head."""

    is_worker = False

    def __init__(self, node: str, channel: PeerChannel, head: Callable[[], int]) -> None:
        self._begin(f"node {node}")
        self.channel = channel
        self._head = head

    @property
    def backlog(self) -> int:
        """Nothing: the bound is that of the asks, and the loop must not wait to write here."""
        return 0

    @backlog.setter
    def backlog(self, _: int) -> None:
        pass

    @property
    def unread(self) -> int:
        return 0

    def receive(self) -> Iterator[tuple[Header, bytes]]:
        """Yield nothing: `chatd.hub.peers.leader_desk` has what arrives."""
        return iter(())

    def write(self) -> bool:
        """Send the released frames, with the head after which they are true."""
        if self._released:
            for frames in cut_frames(bytes(self._released)):
                self.channel.send(frames, self._head())
            self._released.clear()
        return False

    def close(self) -> None:
        self._released.clear()


def cut_frames(data: bytes) -> Iterator[bytes]:
    """Cut link frames into parts of about `MESSAGE_BYTES`, at the ends of frames."""
    start = end = 0
    while end < len(data):
        end += 4 + int.from_bytes(data[end : end + 4], "big")
        if end - start >= MESSAGE_BYTES:
            yield data[start:end]
            start = end
    if start < end:
        yield data[start:end]


def frames_of(data: bytes) -> Iterator[tuple[Header, bytes]]:
    """Yield the link frames of a message. Raises ValueError for a malformed one."""
    return LinkBuffer().feed(data)
