"""The place of a node in the stream, and the rules by which each reader judges its messages, all alike.

JetStream may store what a deposed leader sent, or a message twice. Its expected sequence number is an early
refusal only; these rules are what keeps the logs of all nodes equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import apsw

from chatd.cluster.stream_message import MessageKind, StreamHeader
from chatd.errors import ChatdError
from chatd.store.database import LOCKED_FIX, meta_values
from chatd.store.entry import Point
from chatd.store.event_log import EventLog


class StreamPlace(NamedTuple):
    """The place of a node: the last message that it has judged, and what holds after it.

    ``seq`` is JetStream's number of that message. ``generation`` 0 means that the log has never been in a
    stream. ``leader`` is the node of the last claim.
    """

    seq: int = 0
    generation: int = 0
    epoch: int = 0
    leader: str = ""


def counts(place: StreamPlace, log: Point, header: StreamHeader) -> bool:
    """Whether the next message of the stream counts, for a node whose log ends at ``log``."""
    return _RULES[header.kind](place, log, header)


def after(place: StreamPlace, header: StreamHeader) -> StreamPlace:
    """Return the place after a message that counts."""
    seq = place.seq + 1
    if header.kind is MessageKind.BATCH:
        return place._replace(seq=seq)
    return StreamPlace(seq, header.generation, header.epoch, header.node)


def void(place: StreamPlace) -> StreamPlace:
    """Return the place after a message that does not count."""
    return place._replace(seq=place.seq + 1)


def _begins(place: StreamPlace, log: Point, header: StreamHeader) -> bool:
    return header.generation > place.generation and header.previous == log


def _claims(place: StreamPlace, log: Point, header: StreamHeader) -> bool:
    return header.generation == place.generation and header.epoch > place.epoch and header.previous == log


def _continues(place: StreamPlace, log: Point, header: StreamHeader) -> bool:
    return (
        header.generation == place.generation
        and header.epoch == place.epoch
        and header.node == place.leader
        and header.previous == log
        and header.entries > 0
    )


_RULES: Final[Mapping[MessageKind, Callable[[StreamPlace, Point, StreamHeader], bool]]] = {
    MessageKind.GENESIS: _begins,
    MessageKind.CLAIM: _claims,
    MessageKind.BATCH: _continues,
}


# The names of the place in the log's meta table.
_PREFIX: Final = "stream_"
KEY_PREFIX: Final = "tail_key:"
# The numbers of the key that seals, and of the last one that seals something redacted.
USED_KEY: Final = "tail_key_used"
REDACTED_KEY: Final = "tail_key_redacted"
_NAMES: Final = tuple(_PREFIX + name for name in StreamPlace._fields)


def place_values(place: StreamPlace) -> dict[str, int | str]:
    """Return the place as values of the log's meta table."""
    return dict(zip(_NAMES, place, strict=True))


def stored_place(log: EventLog | apsw.Connection) -> StreamPlace:
    """Return the place that was noted last; generation 0 if the log never was in a stream.

    Raises E504, E610; of a connection apsw.Error.
    """
    values = log.values(_PREFIX) if isinstance(log, EventLog) else meta_values(log, _PREFIX)
    return StreamPlace(*(values[name] for name in _NAMES)) if values else StreamPlace()


def forget_stream(log: EventLog) -> None:
    """Make the log one that never was in a stream. Raises E504."""
    names = [*log.values(_PREFIX), *log.values(KEY_PREFIX), USED_KEY, REDACTED_KEY]
    if not log.set_values(dict.fromkeys(names)):
        raise locked()


def note_place(log: EventLog, place: StreamPlace) -> None:
    """Note the place durably. Raises E504."""
    if not log.set_values(place_values(place)):
        raise locked()


def locked() -> ChatdError:
    """Return the error for a log that another program has locked."""
    return ChatdError("E504", "another program has locked the log", LOCKED_FIX)
