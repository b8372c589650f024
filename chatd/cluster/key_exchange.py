"""Tail keys from node to node: a new one to several disks before its first use, an old one off all disks.

    header                  payload
    give, number            the key   to keep it
    have, number                      it is on the disk
    want, number                      to get it from whoever has it
    drop, number, seq                 whoever has read the stream up to ``seq`` destroys the keys before it

Keys travel as messages between hubs, which NATS does not store. They are in no log line.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from chatd.cluster.log_link import LogLink, StreamGoneError
from chatd.cluster.peer_link import PeerLink, PeerMessage
from chatd.cluster.stream_message import KEY_BYTES
from chatd.cluster.tail_keys import TailKeys
from chatd.crashpoints import crash_point

KIND: Final = "key"
# A message may be lost, hence each is sent again until it has had its effect.
REPEAT_SECONDS: Final = 0.5
# A node that was away learns from it what to destroy.
DROP_SECONDS: Final = 2.0
# A node that is away for longer copies the log of another node.
TAIL_SECONDS: Final = 24 * 3600.0
# Messages between two calls of `settle`; what is beyond is sent again.
_WAITING_LIMIT: Final = 256


class KeyExchange:
    """One node's part. ``copies`` of the ``nodes`` have a key before its first use; ``peers``: None if alone.

    All but `take` write to the log, hence not between its `insert` and `finish`.
    """

    def __init__(
        self,
        keys: TailKeys,
        link: LogLink,
        peers: PeerLink | None = None,
        copies: int = 1,
        clock: Callable[[], float] = time.monotonic,
        nodes: int = 1,
    ) -> None:
        self._nodes = nodes
        self._keys = keys
        self._peers = peers
        self._copies = copies if peers else 1
        self._link = link
        self._clock = clock
        self._waiting: list[PeerMessage] = []
        # The key that is being given to the others, and those that have it.
        self._drawn: tuple[int, bytes] | None = None
        self._holders: set[str] = set()
        # The stream's last message under a former key, and whether former keys are still there.
        self._last_of_former = 0
        self._former = False
        self._replaced_at = 0.0
        # What was sent -> when.
        self._sent: dict[tuple[Any, ...], float] = {}

    def take(self, message: PeerMessage) -> None:
        """Keep a message of kind `KIND` for `settle`."""
        if len(self._waiting) < _WAITING_LIMIT:
            self._waiting.append(message)

    def request(self, number: int) -> None:
        """Ask the others for a key that this node lacks, again and again while it is called."""
        self._repeat(REPEAT_SECONDS, ["want", number])

    def replace(self, epoch: int) -> None:
        """As the leader, begin to replace the current key; `advance` goes on with it."""
        if self._drawn is None:
            self._drawn, self._holders = self._keys.draw(epoch), set()

    def settle(self, seq: int) -> None:
        """Act on the messages that have arrived, at a node that has read the stream up to ``seq``."""
        waiting, self._waiting = self._waiting, []
        for sender, _, header, payload in waiting:
            match header:
                case ["give", int(number)] if len(payload) == KEY_BYTES:
                    self._keep(sender, number, payload)
                case ["have", int(number)] if self._drawn is not None and number == self._drawn[0]:
                    self._holders.add(sender)
                case ["want", int(number)]:
                    self._give(sender, number)
                case ["drop", int(number), int(last)] if seq >= last:
                    self._drop(number)
                case _:
                    pass

    def advance(self, seq: int, applied: Mapping[str, int]) -> bool:
        """As the leader, go on with what `replace` began; return whether there is a new current key now.

        ``seq``: the stream's end. ``applied``: the other nodes that live, with what they have read of it.
        """
        self.settle(seq)
        replaced = self._drawn is not None and self._replaced(*self._drawn)
        if replaced:
            self._replaced_at = self._replaced_at if self._former else self._clock()
            self._drawn, self._last_of_former, self._former = None, seq, True
        if self._former and self._is_read(applied):
            self._destroy_former()
        if self._last_of_former and not self._former:
            self._repeat(DROP_SECONDS, ["drop", self._keys.current, self._last_of_former])
        return replaced

    def _is_read(self, applied: Mapping[str, int]) -> bool:
        """Return whether no node needs the messages under former keys any more.

        A node that is away needs them, but not for what is redacted, nor without end.
        """
        patient = not self._keys.must_destroy and self._clock() - self._replaced_at < TAIL_SECONDS
        awaited = self._nodes - 1 if patient else 0
        return len(applied) >= awaited and all(read >= self._last_of_former for read in applied.values())

    def _replaced(self, number: int, key: bytes) -> bool:
        """Make a new key the current one if enough nodes have it; else give it to them."""
        if len(self._holders) + 1 >= self._copies:
            if self._keys.store(number, key, use=True):
                crash_point("cluster.key.replaced")
                return True
            return False
        self._repeat(REPEAT_SECONDS, ["give", number], key)
        return False

    def _destroy_former(self) -> None:
        """Delete the stream up to here, which the logs have as well, with its keys."""
        try:
            self._link.trim(self._last_of_former)
        except (OSError, StreamGoneError):
            pass  # nobody can read it once the key is gone; the next replacement trims it
        self._former = not self._keys.destroy_former()

    def _drop(self, number: int) -> None:
        """Destroy the keys before a key that others have, too."""
        if number >= self._keys.current and self._keys.find(number) is not None and self._keys.use(number):
            self._keys.destroy_former()

    def _keep(self, sender: str, number: int, key: bytes) -> None:
        """Store a key unless it is a former one; say so if it is on the disk."""
        known = self._keys.find(number)
        if known is None and number >= self._keys.current and self._keys.store(number, key, use=False):
            known = key
        if known == key:
            self._send(sender, ["have", number])

    def _give(self, sender: str, number: int) -> None:
        key = self._keys.find(number)
        if key is not None:
            self._send(sender, ["give", number], key)

    def _repeat(self, seconds: float, header: list[Any], key: bytes = b"") -> None:
        """Send to all others, unless that was done within so many seconds."""
        now, what = self._clock(), tuple(header[:2])
        if now - self._sent.get(what, -seconds) >= seconds:
            self._sent = {sent: at for sent, at in self._sent.items() if now - at < DROP_SECONDS} | {
                what: now
            }
            self._send(None, header, key)

    def _send(self, to: str | None, header: list[Any], key: bytes = b"") -> None:
        if self._peers is not None:
            self._peers.send(to, KIND, header, key)
