"""Who asks to be let in: strangers with a key, until an admin decides or their time is over.

Not part of the log: anybody who reaches the port could write there. The enrol process reports them, and
tells a new hub again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from chatd.errors import ChatdError
from chatd.proto.ask_frames import ASK_SECONDS, ASKS_LIMIT


class Waiter(NamedTuple):
    """The question of the enrol process that waits for a decision: its link and number."""

    link: int
    number: int


@dataclass(slots=True)
class Ask:
    """One asker. ``at``: since when, in ms since 1970. ``device`` is "" if the asker leaves it open."""

    user: str
    device: str
    address: str
    words: str
    at: int
    waiter: Waiter


class NewestAsk(NamedTuple):
    """How many wait, and who of them came last; see `Ask`."""

    waiting: int
    at: int
    user: str
    address: str


@dataclass(slots=True)
class AskBook:
    """The asks by the hash of their key. ``outcomes``: decisions to send; None says approved.

    ``at_leader``: what the hub has heard that leads the cluster in its place.
    """

    by_key: dict[str, Ask] = field(default_factory=dict)
    at_leader: NewestAsk | None = None
    outcomes: list[tuple[Waiter, ChatdError | None]] = field(default_factory=list)

    def newest(self) -> NewestAsk | None:
        """Return what people who may decide are told; None if nobody waits."""
        if not self.by_key:
            return self.at_leader
        ask = next(reversed(self.by_key.values()))
        return NewestAsk(len(self.by_key), ask.at, ask.user, ask.address)

    def add(self, key: str, ask: Ask) -> None:
        """Note an asker; the same key again takes over what waits. Raises E218 if there are too many."""
        before = self.by_key.pop(key, None)
        if before is not None:
            self.outcomes.append((before.waiter, ChatdError("E105", "this key asks on another connection")))
        elif len(self.by_key) >= ASKS_LIMIT:
            raise ChatdError("E218", "too many ask at the moment")
        self.by_key[key] = ask

    def decide(self, key: str, error: ChatdError | None) -> None:
        """End an ask: approved, or refused with an error."""
        self.outcomes.append((self.by_key.pop(key).waiter, error))

    def expire(self, now: int) -> None:
        """End the asks whose time is over."""
        for key in [key for key, ask in self.by_key.items() if now >= ask.at + ASK_SECONDS * 1000]:
            self.decide(key, ChatdError("E222"))

    def lost(self, link: int) -> None:
        """Forget the asks of a link; the enrol process tells them again."""
        self.by_key = {key: ask for key, ask in self.by_key.items() if ask.waiter.link != link}
