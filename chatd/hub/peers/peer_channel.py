"""Frames between two hubs, each once and in order, over messages that may be lost.

    header                            payload
    epoch, ident, number, read, note  link frames (chatd.link.wire); none with number 0

``number`` counts the sender's messages from 1, ``read`` those of the other end that it has. What is not read
in `RESEND_SECONDS` is sent again from there on. ``ident`` tells the channels of one pair of nodes apart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from chatd.cluster.peer_link import PeerLink

RESEND_SECONDS: Final = 0.5
# Of one message: the largest frame of a client and its header fit in many times.
MESSAGE_BYTES: Final = 512 * 1024
# A number of the other end that has forgotten the channel: the note of a message without a number.
UNKNOWN_CHANNEL: Final = -1
# What says nothing for long is forgotten by the other end.
ALIVE_SECONDS: Final = 5.0
# Messages that are sent again at a time; the other end reads them before it gets more.
_RESENT: Final = 16


class Arrived(NamedTuple):
    """The link frames of a message; ``note`` is a number of its sender."""

    note: int
    frames: bytes


class PeerChannel:
    """One end. ``kind`` is that of the messages it sends."""

    def __init__(
        self, peers: PeerLink, to: str, kind: str, epoch: int, ident: int, clock: Callable[[], float]
    ) -> None:
        self.to = to
        self.epoch = epoch
        self.ident = ident
        self._peers = peers
        self._kind = kind
        self._clock = clock
        self._number = 0
        self._read = 0
        self._owes_answer = False
        self._unread: deque[tuple[int, Arrived]] = deque()
        self._progress_at = 0.0
        self._sent_at = clock()

    def send(self, frames: bytes, note: int = 0) -> None:
        """Send link frames, at most `MESSAGE_BYTES` and one frame more."""
        if not self._unread:
            self._progress_at = self._clock()
        self._number += 1
        message = Arrived(note, frames)
        self._unread.append((self._number, message))
        self._send(self._number, message)

    def take(self, header: list[Any], frames: bytes) -> Arrived | None:
        """Return what the other end sends, if it is the next; None for what is of another channel, too.

        Raises ValueError for a malformed header.
        """
        epoch, ident, number, read, note = map(int, header)
        if (epoch, ident) != (self.epoch, self.ident):
            return None
        while self._unread and self._unread[0][0] <= read:
            self._unread.popleft()
            self._progress_at = self._clock()
        if not number:
            return Arrived(note, b"") if note == UNKNOWN_CHANNEL else None
        self._owes_answer = True
        if number != self._read + 1:
            return None
        self._read = number
        return Arrived(note, frames)

    def advance(self) -> None:
        """Send again what was not read in time, or say what was read; call it often."""
        if self._unread and self._clock() - self._progress_at >= RESEND_SECONDS:
            self._progress_at = self._clock()
            for number, message in list(self._unread)[:_RESENT]:
                self._send(number, message)
        if self._owes_answer or self._clock() - self._sent_at >= ALIVE_SECONDS:
            self._send(0, Arrived(0, b""))

    def _send(self, number: int, message: Arrived) -> None:
        self._owes_answer, self._sent_at = False, self._clock()
        header = [self.epoch, self.ident, number, self._read, message.note]
        self._peers.send(self.to, self._kind, header, message.frames)
