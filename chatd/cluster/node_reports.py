"""What each hub tells the others of itself every second, so that each can say how all nodes are."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from chatd.store.entry import Point

KIND: Final = "node"
REPORT_SECONDS: Final = 1.0
_VERSION_CHARS: Final = 40


class NodeReport(NamedTuple):
    """A node's epoch, the end of its log, its place in the stream, its version, and its clock in ms."""

    epoch: int
    end: Point
    seq: int
    version: str
    clock: int

    def header(self) -> list[Any]:
        """Return the header of its message."""
        end = self.end
        return [self.epoch, end.seq, end.chain_hash.hex(), self.seq, self.version, self.clock]


def read_report(header: list[Any]) -> NodeReport:
    """Read the header of a report. Raises ValueError, TypeError: its sender is another version of chatd."""
    epoch, head, chain, seq, version, clock = header[:6]
    end = Point(int(head), bytes.fromhex(chain))
    return NodeReport(int(epoch), end, int(seq), str(version)[:_VERSION_CHARS], int(clock))
