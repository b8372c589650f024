"""Entries of the event log, and places in it."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One event as the hub appends it.

    ``seq`` is head + 1, gap-free; ``at`` is in ms since 1970 UTC; ``device`` is such as "alice/laptop".
    ``msg_id`` and ``digest`` have 16 bytes each and are None but for messages and edits, and ``msg_id`` for
    refused messages; ``digest`` distinguishes a resent request from a reused msg_id. ``body`` is the event as
    clients see it (a JSON object), or empty after redaction.
    """

    seq: int
    at: int
    kind: str
    room: str | None
    device: str | None
    msg_id: bytes | None
    digest: bytes | None
    body: bytes


class AcceptedMessage(NamedTuple):
    """The facts of a logged message that are needed to answer it again when it is resent."""

    seq: int
    at: int
    digest: bytes | None  # None if the message was redacted, held or refused
    kind: str


class WrittenEntry(NamedTuple):
    """The place of an entry with something that people wrote."""

    seq: int
    at: int
    kind: str


class StoredMessage(NamedTuple):
    """A message with its present text. ``edits``: the seqs of all its edits, whether redacted or not.

    ``gone``: it was redacted, and the text is empty.
    """

    kind: str
    room: str | None
    device: str | None
    at: int
    body: bytes
    edits: tuple[int, ...]
    gone: bool = False


class Given(NamedTuple):
    """One reaction to a message: the number of users who gave it, and whether the asker is one of them.

    ``texts``: those of all reactions to the message.
    """

    users: int
    mine: bool
    texts: frozenset[str]


class Point(NamedTuple):
    """A place in the log: ``chain_hash`` is that of entry ``seq`` (0 = before the first)."""

    seq: int
    chain_hash: bytes
