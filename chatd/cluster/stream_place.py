"""The place of a node in the stream, and the rules by which each reader judges its messages, all alike.

JetStream may store what a deposed leader sent, or a message twice. Its expected sequence number is an early
refusal only; these rules are what keeps the logs of all nodes equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import apsw

from chatd.cluster.stream_message import (
    MessageKind,
    StreamHeader,
    StreamSettings,
    UnreadableError,
    unpack_settings,
)
from chatd.errors import ChatdError
from chatd.store.database import LOCKED_FIX, damaged, meta_values
from chatd.store.entry import Point
from chatd.store.event_log import EventLog


class StreamPlace(NamedTuple):
    """The place of a node: the last message that it has judged, and what holds after it.

    ``seq`` is JetStream's number of that message. ``generation`` 0 means that the log has never been in a
    stream. ``leader`` is the node of the last claim, ``settings`` the number of the last shared settings.
    """

    seq: int = 0
    generation: int = 0
    epoch: int = 0
    leader: str = ""
    settings: int = 0


def counts(place: StreamPlace, log: Point, header: StreamHeader) -> bool:
    """Whether the next message of the stream counts, for a node whose log ends at ``log``."""
    return _RULES[header.kind](place, log, header)


def after(place: StreamPlace, header: StreamHeader) -> StreamPlace:
    """Return the place after a message that counts."""
    seq = place.seq + 1
    if header.kind is MessageKind.BATCH:
        return place._replace(seq=seq)
    if header.kind is MessageKind.SETTINGS:
        return place._replace(seq=seq, settings=header.entries)
    return StreamPlace(seq, header.generation, header.epoch, header.node, place.settings)


def void(place: StreamPlace) -> StreamPlace:
    """Return the place after a message that does not count."""
    return place._replace(seq=place.seq + 1)


def _begins(place: StreamPlace, log: Point, header: StreamHeader) -> bool:
    return header.generation > place.generation and header.previous == log


def _claims(place: StreamPlace, log: Point, header: StreamHeader) -> bool:
    return header.generation == place.generation and header.epoch > place.epoch and header.previous == log


def _continues(place: StreamPlace, log: Point, header: StreamHeader) -> bool:
    return _is_of_leader(place, log, header) and header.entries > 0


def _shares(place: StreamPlace, log: Point, header: StreamHeader) -> bool:
    # They do not change the hash by which a batch that is stored twice is known; their number does.
    return _is_of_leader(place, log, header) and header.entries > place.settings


def _is_of_leader(place: StreamPlace, log: Point, header: StreamHeader) -> bool:
    return (
        header.generation == place.generation
        and header.epoch == place.epoch
        and header.node == place.leader
        and header.previous == log
    )


_RULES: Final[Mapping[MessageKind, Callable[[StreamPlace, Point, StreamHeader], bool]]] = {
    MessageKind.GENESIS: _begins,
    MessageKind.CLAIM: _claims,
    MessageKind.BATCH: _continues,
    MessageKind.SETTINGS: _shares,
}


# The names of the place in the log's meta table.
_PREFIX: Final = "stream_"
KEY_PREFIX: Final = "tail_key:"
# The numbers of the key that seals, and of the last one that seals something redacted.
USED_KEY: Final = "tail_key_used"
REDACTED_KEY: Final = "tail_key_redacted"
# The body of the last message with settings (`stream_message.unpack_settings`).
SHARED_SETTINGS: Final = "shared_settings"


def place_values(place: StreamPlace) -> dict[str, int | str]:
    """Return the place as values of the log's meta table."""
    return {_PREFIX + name: value for name, value in place._asdict().items()}


def stored_place(log: EventLog | apsw.Connection) -> StreamPlace:
    """Return the place that was noted last; generation 0 if the log never was in a stream.

    Raises E504, E610; of a connection apsw.Error.
    """
    values = log.values(_PREFIX) if isinstance(log, EventLog) else meta_values(log, _PREFIX)
    noted = {name: values[_PREFIX + name] for name in StreamPlace._fields if _PREFIX + name in values}
    return StreamPlace(**noted)


def stored_settings(log: EventLog | apsw.Connection) -> StreamSettings | None:
    """Return the shared settings that were noted last; None if there were none in the stream.

    Raises E504, E610; of a connection apsw.Error.
    """
    values = log.values(SHARED_SETTINGS) if isinstance(log, EventLog) else meta_values(log, SHARED_SETTINGS)
    body = values.get(SHARED_SETTINGS)
    if not isinstance(body, bytes):
        return None
    try:
        return unpack_settings(body)
    except UnreadableError:
        raise damaged(f"{SHARED_SETTINGS} of the log's meta table cannot be read") from None


def forget_stream(log: EventLog) -> None:
    """Make the log one that never was in a stream. Raises E504."""
    names = [*log.values(_PREFIX), *log.values(KEY_PREFIX), USED_KEY, REDACTED_KEY, SHARED_SETTINGS]
    if not log.set_values(dict.fromkeys(names)):
        raise locked()


def note_place(log: EventLog, place: StreamPlace) -> None:
    """Note the place durably. Raises E504."""
    if not log.set_values(place_values(place)):
        raise locked()


def note_settings(log: EventLog, place: StreamPlace, body: bytes) -> None:
    """Note shared settings and the place after them, durably. Raises E504."""
    if not log.set_values({**place_values(place), SHARED_SETTINGS: body}):
        raise locked()


def locked() -> ChatdError:
    """Return the error for a log that another program has locked."""
    return ChatdError("E504", "another program has locked the log", LOCKED_FIX)
