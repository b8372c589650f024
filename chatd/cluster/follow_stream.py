"""Bring a node's log to the end of the stream, and take the lead: what a hub does before it serves."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from chatd.cluster.log_link import RESEED, LogLink, StreamGoneError
from chatd.cluster.stream_backend import append_message, point_after
from chatd.cluster.stream_message import (
    MessageKind,
    NewerFormatError,
    StreamBatch,
    StreamHeader,
    StreamSettings,
    UnreadableError,
    open_message,
    read_header,
    unpack_batch,
    unpack_settings,
)
from chatd.cluster.stream_place import (
    StreamPlace,
    after,
    counts,
    locked,
    note_place,
    note_settings,
    place_values,
    stored_place,
    void,
)
from chatd.cluster.tail_keys import TailKeys
from chatd.crashpoints import crash_point
from chatd.errors import ChatdError
from chatd.logs.logger import get_log
from chatd.store.entry import Entry, Point
from chatd.store.event_log import EventLog

log_server = get_log("server")

# Events in one transaction of a node that is behind: each costs a write to the disk. And the messages that
# are read for it.
TAKEN_EVENTS: Final = 1000
READ_MESSAGES: Final = 256
READ_BYTES: Final = 8 * 1024 * 1024
# The place of a log whose next start makes the stream anew.
_RESEED_SEQ: Final = -1


class NoKeyError(ChatdError):
    """This node has no key for the next message; another node may give it."""

    def __init__(self, number: int, seq: int) -> None:
        super().__init__("E621", f"this node has no key for message {seq} of the stream", RESEED)
        self.number = number


class BehindError(ChatdError):
    """The stream does not go on from this log; among several nodes another one has what is missing."""

    def __init__(self, reason: str) -> None:
        super().__init__("E621", reason, RESEED)


class TakenMessages(NamedTuple):
    """The place after some messages, and what they have put into the log: a batch or settings.

    ``void``: how many of them do not count.
    """

    place: StreamPlace
    batch: StreamBatch | None = None
    settings: StreamSettings | None = None
    void: int = 0


def lead_stream(
    log: EventLog,
    link: LogLink,
    keys: TailKeys,
    node: str,
    seconds: float,
    progress: Callable[[], None] = lambda: None,
) -> StreamPlace:
    """Take over what the stream has more than the log, then claim the lead; return the place.

    Makes the stream of a log that never was in one. Raises E504; E506 while the stream does not answer;
    E621 if it does not continue this log.
    """
    if not keys.current and not keys.replace():
        raise locked()
    try:
        place = _begin(log, link, keys, node, seconds) or catch_up(log, link, keys, progress)
    except OSError as error:
        raise ChatdError("E506", str(error)) from error
    except StreamGoneError:
        raise ChatdError("E621", "the cluster's stream is gone", RESEED) from None
    claim = claim_after(place, log, node, keys)
    append_message(link, place, keys.seal(claim), seconds)
    place = after(place, claim)
    note_place(log, place)
    log_server.info("leading", epoch=place.epoch, generation=place.generation, stream=place.seq)
    return place


def claim_after(place: StreamPlace, log: EventLog, node: str, keys: TailKeys) -> StreamHeader:
    """Return the claim of a node that has read the stream up to ``place``."""
    return StreamHeader(
        MessageKind.CLAIM, place.generation, place.epoch + 1, node, end_of(log), 0, keys.current
    )


def catch_up(
    log: EventLog, link: LogLink, keys: TailKeys, progress: Callable[[], None] = lambda: None
) -> StreamPlace:
    """Judge every message after the log's place, append what counts to the log; return the new place.

    ``progress`` is called after each: a node that was away for long reads for minutes. Raises E504, E618,
    E621, OSError, StreamGoneError.
    """
    place, bounds = stored_place(log), link.bounds()
    place = place._replace(seq=max(0, place.seq))  # a copy of a log that has yet to begin the stream
    if bounds.last < place.seq or bounds.first > place.seq + 1:
        reason = f"the stream has messages {bounds.first} to {bounds.last}; this node has read {place.seq}"
        raise BehindError(reason)
    while place.seq < bounds.last:
        waiting, size, seq = deque[bytes](), 0, place.seq
        while seq < bounds.last and len(waiting) < READ_MESSAGES and size < READ_BYTES:
            seq += 1
            if (data := link.read(seq)) is None:
                raise BehindError(f"message {seq} is missing from the stream")
            waiting.append(data)
            size += len(data)
            progress()
        while waiting:
            place = take_messages(log, keys, place, waiting).place
            crash_point("cluster.follow.taken")
            progress()
    if not place.generation:
        raise ChatdError("E621", "the stream belongs to another log", RESEED)
    return place


def request_reseed(log: EventLog, node: str) -> None:
    """Let the next start make the stream anew from this log, which is that of ``node``."""
    note_place(log, stored_place(log)._replace(seq=_RESEED_SEQ, leader=node))


def _begin(log: EventLog, link: LogLink, keys: TailKeys, node: str, seconds: float) -> StreamPlace | None:
    """Make the stream, or its next generation, if there is none or that was requested; return the place."""
    place = stored_place(log)
    if place.seq != _RESEED_SEQ and (place.generation or not _is_empty(link)):
        return None
    return found_stream(log, link, keys, node, seconds)


def may_found(log: EventLog, node: str) -> bool:
    """Return whether this node may begin the stream of several nodes with its log. Raises E504.

    Other nodes may have copied the log with what it has of the stream.
    """
    place = stored_place(log)
    return place.seq == _RESEED_SEQ and place.leader == node


def found_stream(log: EventLog, link: LogLink, keys: TailKeys, node: str, seconds: float) -> StreamPlace:
    """Make the stream, or its next generation, from this log; return the place. Raises E504, E506."""
    place = stored_place(log)
    if not keys.current and not keys.replace():
        raise locked()
    link.create()
    crash_point("cluster.stream.created")
    empty = StreamPlace(0, place.generation)
    genesis = StreamHeader(MessageKind.GENESIS, place.generation + 1, 0, node, end_of(log), 0, keys.current)
    append_message(link, empty, keys.seal(genesis), seconds)
    crash_point("cluster.stream.begun")
    place = after(empty, genesis)
    note_place(log, place)
    return place


def _is_empty(link: LogLink) -> bool:
    try:
        return link.bounds().last == 0
    except StreamGoneError:
        return True


def take_messages(log: EventLog, keys: TailKeys, place: StreamPlace, waiting: deque[bytes]) -> TakenMessages:
    """Judge messages, and put what counts into the log in one transaction: up to `TAKEN_EVENTS`, or settings.

    Removes them from ``waiting``. Raises E504, E618 if the next one is of a newer format, E621.
    """
    begin, end = place, end_of(log)
    entries: list[Entry] = []
    salts: list[bytes] = []
    redact: dict[int, int] = {}
    voids = 0
    while waiting and len(entries) < TAKEN_EVENTS:
        try:
            header, body = _judge(keys, place, end, waiting[0])
        except (NoKeyError, NewerFormatError):
            if place == begin:
                raise
            break
        if isinstance(body, StreamSettings) and entries:
            break  # they hold from their place on
        data = waiting.popleft()
        place = after(place, header) if header is not None else void(place)
        voids += header is None
        if isinstance(body, StreamSettings):
            note_settings(log, place, _body(keys, data))
            return TakenMessages(place, settings=body, void=voids)
        if body is not None:
            end = point_after(end, body.entries, body.salts)
            entries += body.entries
            salts.append(body.salts)
            redact |= body.redact
    if not entries:
        note_place(log, place)
        return TakenMessages(place, void=voids)
    taken = StreamBatch(entries, b"".join(salts), redact)
    log.insert(entries, redact, taken.salts)
    if redact:
        keys.note_redacted()
    log.note_values(place_values(place))
    log.commit()
    log.finish()
    return TakenMessages(place, taken, void=voids)


def _judge(
    keys: TailKeys, place: StreamPlace, end: Point, data: bytes
) -> tuple[StreamHeader | None, StreamBatch | StreamSettings | None]:
    """Return a message's header, None if it is void, and what it brings a node whose log ends at ``end``."""
    try:
        header = read_header(data)
        if not counts(place, end, header):
            raise UnreadableError(f"{header.kind.name.lower()} of {header.node}, epoch {header.epoch}")
        if keys.find(header.key_id) is None:
            if header.key_id < keys.current:
                # Destroyed here for a redaction, while a node that had not heard of that took the lead with
                # it. No former key is taken again (`KeyExchange`): the log of another node has what it seals.
                raise BehindError(f"this node has destroyed the key of message {place.seq + 1} of the stream")
            raise NoKeyError(header.key_id, place.seq + 1)
        body = _read_body(header, _body(keys, data))
    except UnreadableError as error:
        log_server.warning("message_void", stream=place.seq + 1, why=str(error))
        return None, None
    keys.use(header.key_id)
    return header, body


def _body(keys: TailKeys, data: bytes) -> bytes:
    """Return the body of a message whose key is there. Raises UnreadableError."""
    return open_message(data, keys.find(read_header(data).key_id) or b"")


def _read_body(header: StreamHeader, body: bytes) -> StreamBatch | StreamSettings | None:
    if header.kind is MessageKind.BATCH:
        return unpack_batch(header, body)
    return unpack_settings(body) if header.kind is MessageKind.SETTINGS else None


def end_of(log: EventLog) -> Point:
    """Return the point at which a log ends."""
    return Point(log.head, log.chain_hash)
