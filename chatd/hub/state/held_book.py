"""The messages that wait for a moderator: what the state holds of them. Their texts are in the log only."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from chatd.proto.frames import JsonObject

# Moderators read each of them; more than that nobody would get to. With the longest texts 32 MiB of the log.
HELD_LIMIT = 1_000
# Of one user, so that nobody fills the queue for the others.
HELD_PER_USER = 20


@dataclass(frozen=True, slots=True)
class HeldMessage:
    """One message; ``seq`` is that of its `message_held`."""

    seq: int
    at: int
    user: str
    device: str
    room: str
    msg_id: str
    # Of the content, "" after a restart: only the log keeps it, so that no snapshot tells of a removed text.
    digest: str = field(default="", compare=False)

    @property
    def key(self) -> tuple[str, str]:
        """Return what tells that a client sends it again: see `chatd.hub.batch.MessageKey`."""
        return f"{self.user}/{self.device}", self.msg_id


@dataclass(slots=True)
class HeldBook:
    """All held messages by their seq, the oldest first."""

    by_seq: dict[int, HeldMessage] = field(default_factory=dict)
    # The last one that its writer took back, and when; moderators are told.
    withdrawn: HeldMessage | None = field(default=None, compare=False)
    withdrawn_at: int = field(default=0, compare=False)
    _seqs: dict[tuple[str, str], int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._seqs = {one.key: one.seq for one in self.by_seq.values()}

    def find(self, key: tuple[str, str]) -> HeldMessage | None:
        """Return the held message under this key."""
        seq = self._seqs.get(key)
        return None if seq is None else self.by_seq[seq]

    def count_of(self, user: str) -> int:
        """Return how many messages of a user wait."""
        return sum(one.user == user for one in self.by_seq.values())

    def add(self, event: JsonObject) -> None:
        """Apply a `message_held` event."""
        one = HeldMessage(
            event["seq"],
            event["at"],
            event["user"],
            event["device"],
            event["room"],
            event["msg_id"],
            event.get("digest", ""),
        )
        self.by_seq[one.seq] = one
        self._seqs[one.key] = one.seq

    def remove(self, event: JsonObject) -> None:
        """Apply the decision about a message; a replay may have passed over the message itself."""
        one = self.by_seq.pop(event["target"], None)
        if one is None:
            return
        self._seqs.pop(one.key, None)
        if event["by"] == one.user and event["type"] == "message_refused":
            self.withdrawn, self.withdrawn_at = one, event["at"]

    def plain(self) -> list[JsonObject]:
        """Return the held messages as JSON, for `held_of`."""
        return [{k: v for k, v in asdict(one).items() if k != "digest"} for one in self.by_seq.values()]


def held_of(plain: list[JsonObject]) -> HeldBook:
    """Return the held messages from what `HeldBook.plain` returned."""
    return HeldBook({one["seq"]: HeldMessage(**one) for one in plain})
