"""What goes into the event log and what comes out."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One event as the hub appends it.

    ``seq`` is head + 1, gap-free; ``at`` milliseconds since the epoch; ``device`` such as
    "alice/laptop"; ``msg_id`` and ``digest`` 16 bytes each, or None for what no client sent.
    ``digest`` tells a resent request from a reused msg_id. ``body`` is the event as clients see it
    (a JSON object); it alone can be erased later, and is then empty here.
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
    """What the log remembers of a request it has accepted before."""

    seq: int
    at: int
    digest: bytes | None  # None when the message has been erased


class Point(NamedTuple):
    """A place in the chain: ``chain`` is the link after entry ``seq`` (0 = before the first)."""

    seq: int
    chain_hash: bytes
