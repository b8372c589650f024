"""The following hub's questions to the leader: what only the leader decides, and what it answers.

    frame to the leader                                        payload      answer
    request  number, user, device, operator, uid, login, address  the request  reply
    admit    number, user, device, serial, key, ends              -            answer
    question number, name of the link, operation, arguments       -            answer
    act      number, act, by, fields                              -            answer
    settings number, user, device, operator, uid, login           settings     answer
    hook_key number                                               -            answer

The answers are the frames of `chatd.link.wire`, with the number as sid. An answer waits until this node has
applied what it tells of, so that everybody reads their own writes; those of one session keep their order.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from chatd.cluster.peer_link import PeerLink, PeerMessage
from chatd.errors import ChatdError
from chatd.hub.peers.peer_channel import UNKNOWN_CHANNEL, PeerChannel
from chatd.hub.peers.remote_link import cut_frames, frames_of
from chatd.link.wire import pack
from chatd.logs.logger import get_log

ASK: Final = "ask"
ANSWER: Final = "answer"
# Under way at a time, for all sessions of this node. A leader answers within milliseconds; when there is
# none, this is what waits for the next one.
ASKS_LIMIT: Final = 4096
ASK_BYTES_LIMIT: Final = 16 * 1024 * 1024

Answered = Callable[[bytes | ChatdError], None]
log = get_log("server")


@dataclass(slots=True)
class _Step:
    """Something that waits for its turn in an order; ``run`` is None until it is ready."""

    run: Callable[[], None] | None = None


@dataclass(slots=True)
class _Forwarded:
    frame: bytes
    repeatable: bool
    answered: Answered
    here: Callable[[], None]
    order: Hashable
    step: _Step = field(default_factory=_Step)
    sent: bool = False


class Forwarding:
    """The asks of one hub. Owned by its loop.

    Nothing is asked while there is no leader; `lead` tells of each new one.
    """

    def __init__(self, peers: PeerLink, clock: Callable[[], float] = time.monotonic) -> None:
        self._peers = peers
        self._clock = clock
        self._channel: PeerChannel | None = None
        self._isolated = self._full = False
        self._number = 0
        self._asks: dict[int, _Forwarded] = {}
        self._bytes = 0
        self._unsent: list[bytes] = []
        # Answers that wait for their head: (head, number, frame for the asker).
        self._answers: deque[tuple[int, int, bytes]] = deque()
        # What must be answered one after the other -> the steps that are left.
        self._orders: dict[Hashable, deque[_Step]] = {}

    def ask(
        self,
        header: list[Any],
        payload: bytes,
        answered: Answered,
        here: Callable[[], None],
        *,
        repeatable: bool = True,
        order: Hashable = None,
    ) -> None:
        """Ask the leader; ``answered`` gets its frame, or E503 if the outcome is unknown.

        ``here`` decides it in this hub, should that lead before there is an answer. ``repeatable``: it may be
        asked again of another leader. What has the same ``order`` is answered in order. Raises E506 if it
        cannot be asked.
        """
        if self._isolated:
            raise isolated_error(full=self._full)
        operation, *arguments = header
        self._number += 1
        frame = pack([operation, self._number, *arguments], payload)
        if len(self._asks) >= ASKS_LIMIT or self._bytes + len(frame) > ASK_BYTES_LIMIT:
            raise ChatdError(
                "E506", "too many requests wait for the leading machine", "try again in a moment"
            )
        ask = self._asks[self._number] = _Forwarded(frame, repeatable, answered, here, order)
        self._bytes += len(frame)
        if order is not None:
            self._orders.setdefault(order, deque()).append(ask.step)
        if self._channel is not None:
            self._queue(ask)

    def after(self, order: Hashable, act: Callable[[], None]) -> None:
        """Do something once everything of an order that was asked before is answered."""
        steps = self._orders.get(order)
        if steps is None:
            act()
        else:
            steps.append(_Step(act))

    def waits(self, order: Hashable) -> bool:
        """Whether something of an order is not answered yet."""
        return order in self._orders

    def lead(self, leader: str, epoch: int) -> None:
        """Take a new leader, or none if ``leader`` is "". What has an unknown outcome is told so."""
        self._channel = None
        self._unsent.clear()
        if not leader:
            return
        # 31 bits: JSON numbers of any reader.
        ident = int.from_bytes(os.urandom(4), "big") >> 1
        self._channel = PeerChannel(self._peers, leader, ASK, epoch, ident, self._clock)
        answered = {number for _, number, _ in self._answers}
        for number, ask in list(self._asks.items()):
            if number in answered:
                continue
            if ask.sent and not ask.repeatable:
                self._finish(number, ChatdError("E503", "outcome unknown: another machine leads now"))
            else:
                self._queue(ask)

    def end(self) -> None:
        """Decide here what is not answered: this hub leads, and has applied all that was decided before."""
        self.lead("", 0)
        self._isolated = False
        while self._answers:
            _, number, payload = self._answers.popleft()
            self._finish(number, payload)
        for number, ask in list(self._asks.items()):
            if ask.sent and not ask.repeatable:
                self._finish(number, ChatdError("E503", "outcome unknown: this machine leads now"))
            else:
                self._settle(number, ask.here)

    @property
    def has_leader(self) -> bool:
        """Whether there is a leader to ask."""
        return self._channel is not None and not self._isolated

    def isolate(self, isolated: bool, *, full: bool = False) -> None:
        """Refuse what waits, and what is asked from now on, while this hub cannot follow a leader."""
        self._isolated, self._full = isolated, full
        if isolated:
            for number, ask in list(self._asks.items()):
                lost = "this machine's disk is full" if full else "the leading machine is out of reach"
                error = ChatdError("E503", f"outcome unknown: {lost}")
                self._finish(number, error if ask.sent else isolated_error(full=full))

    def take(self, message: PeerMessage) -> None:
        """Take a message of kind `ANSWER`. Raises ValueError."""
        if self._channel is None or message.sender != self._channel.to:
            return
        arrived = self._channel.take(message.header, message.payload)
        if arrived is not None and arrived.note == UNKNOWN_CHANNEL:
            self.lead(message.sender, self._channel.epoch)
        elif arrived is not None:
            for header, payload in frames_of(arrived.frames):
                self._answers.append((arrived.note, int(header[1]), payload))

    def applied(self, head: int) -> None:
        """Give the answers that tell of nothing later than ``head``."""
        while self._answers and self._answers[0][0] <= head:
            _, number, payload = self._answers.popleft()
            self._finish(number, payload)

    def advance(self) -> None:
        """Send what is queued; call it at the end of each iteration of the loop."""
        if self._channel is None:
            return
        if self._unsent:
            for frames in cut_frames(b"".join(self._unsent)):
                self._channel.send(frames)
            self._unsent.clear()
        self._channel.advance()

    def _queue(self, ask: _Forwarded) -> None:
        ask.sent = True
        self._unsent.append(ask.frame)

    def _finish(self, number: int, answer: bytes | ChatdError) -> None:
        ask = self._asks.get(number)
        if ask is not None:
            self._settle(number, partial(ask.answered, answer))

    def _settle(self, number: int, act: Callable[[], None]) -> None:
        """End an ask by an act, once it is its turn."""
        ask = self._asks.pop(number)
        self._bytes -= len(ask.frame)
        if ask.order is None:
            act()
            return
        ask.step.run = act
        steps = self._orders[ask.order]
        while steps and (run := steps[0].run) is not None:
            steps.popleft()
            run()
        if not steps:
            self._orders.pop(ask.order, None)


def isolated_error(*, full: bool = False) -> ChatdError:
    """Return the refusal of what needs the leader, while none is heard or this machine's disk is ``full``."""
    why = "has a full disk" if full else "hears no leader of its cluster"
    return ChatdError(
        "E506",
        f"this machine {why}: it can be read, not written to",
        "wait; clients that know other machines of the cluster go on to one of them",
    )
