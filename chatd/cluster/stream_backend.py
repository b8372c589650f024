"""Commit batches to the stream, then to the event log: SQLite never holds what the stream does not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from chatd.cluster.key_exchange import KeyExchange
from chatd.cluster.log_link import LogLink, Outcome, StreamGoneError
from chatd.cluster.stream_message import NEWEST_FORMAT, MessageKind, StreamHeader, pack_batch
from chatd.cluster.stream_place import StreamPlace, after, note_settings, place_values
from chatd.cluster.tail_keys import EVENTS_PER_KEY, SECONDS_PER_KEY, TailKeys
from chatd.crashpoints import crash_point
from chatd.errors import ChatdError
from chatd.store.chain import SALT_BYTES, draw_salts, hash_entry
from chatd.store.entry import Entry, Point
from chatd.store.event_log import EventLog

# Bytes of entries in one message. A larger batch, of long snippets, becomes several.
PART_BYTES: Final = 768 * 1024
# What an entry takes beside its body, at most.
_ENTRY_BYTES: Final = 1024


class _Part(NamedTuple):
    """A message for the stream, and the place after it."""

    message: bytes
    place: StreamPlace


class StreamBackend:
    """A `chatd.hub.backend.Backend` whose batches are in the stream as well. ``place``: the stream's end.

    ``stall_seconds``: for how long an undecided append is tried before the hub ends. ``exchange`` shares new
    keys with the other nodes; ``applied`` returns those that live, with what they have read of the stream.
    ``await_copies`` waits until enough of them have it up to a message; it raises E506 after so many seconds.
    ``written_format`` returns the format that all nodes read.
    ``appended`` is told how many seconds each append took.
    """

    def __init__(
        self,
        log: EventLog,
        link: LogLink,
        keys: TailKeys,
        place: StreamPlace,
        stall_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        exchange: KeyExchange | None = None,
        applied: Callable[[], Mapping[str, int]] = dict,
        await_copies: Callable[[int, float], None] = lambda _seq, _seconds: None,
        written_format: Callable[[], int] = lambda: NEWEST_FORMAT,
        appended: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        self.place = place
        self._log = log
        self._link = link
        self._keys = keys
        self._stall_seconds = stall_seconds
        self._clock = clock
        self._exchange = exchange or KeyExchange(keys, link, clock=clock)
        self._applied = applied
        self._await_copies = await_copies
        self._written_format = written_format
        self._appended = appended
        self._parts: list[_Part] = []
        self._key_events = 0
        self._key_since = clock()

    @property
    def head(self) -> int:
        return self._log.head

    def try_begin(self) -> bool:
        return self._log.try_begin()

    def insert(self, entries: Sequence[Entry], redact: Mapping[int, int]) -> None:
        """See `EventLog.insert`; the stream's messages are made here, too."""
        salts = draw_salts(len(entries))
        point = Point(self._log.head, self._log.chain_hash)
        self._log.insert(entries, redact, salts)
        self._parts = list(self._make_parts(point, entries, salts, redact))
        if redact:
            self._keys.note_redacted()
        self._key_events += len(entries)

    def commit(self) -> None:
        """Append to the stream, then write the log. After ChatdError E504 or E506 the hub must end.

        The next start finds out whether the stream has the batch, and takes it from there.
        """
        for part in self._parts:
            crash_point("cluster.append.before")
            began = time.perf_counter()
            append_message(self._link, self.place, part.message, self._stall_seconds)
            self._appended(time.perf_counter() - began)
            crash_point("cluster.append.stored")
            self.place = part.place
        self._log.note_values(place_values(self.place))
        self._log.commit()
        self._await_copies(self.place.seq, self._stall_seconds)

    def share(self, body: bytes) -> None:
        """Append settings that all nodes share, and note them; see `stream_message.pack_settings`.

        Between commits only, once `try_begin` has returned True. Raises as `commit` does.
        """
        end = Point(self._log.head, self._log.chain_hash)
        header = self._header(MessageKind.SETTINGS, end, self.place.settings + 1)
        append_message(self._link, self.place, self._keys.seal(header, body), self._stall_seconds)
        crash_point("cluster.settings.stored")
        self.place = after(self.place, header)
        note_settings(self._log, self.place, body)
        self._await_copies(self.place.seq, self._stall_seconds)

    def finish(self) -> None:
        """See `EventLog.finish`; then replace a key that is old, or that seals something redacted."""
        self._log.finish()
        old = self._key_events >= EVENTS_PER_KEY or self._clock() - self._key_since >= SECONDS_PER_KEY
        if self._keys.is_spent or old:
            self._exchange.replace(self.place.epoch)
        self.exchange_keys()

    def exchange_keys(self) -> None:
        """Go on replacing the key, between commits. It waits while another program has locked the log."""
        if self._exchange.advance(self.place.seq, self._applied()):
            self._key_events, self._key_since = 0, self._clock()

    def _header(self, kind: MessageKind, previous: Point, entries: int) -> StreamHeader:
        """Return the header of a message of this leader; see `StreamHeader`."""
        _, generation, epoch, leader, _ = self.place
        key, written = self._keys.current, self._written_format()
        return StreamHeader(kind, generation, epoch, leader, previous, entries, key, written)

    def _make_parts(
        self, point: Point, entries: Sequence[Entry], salts: bytes, redact: Mapping[int, int]
    ) -> Iterator[_Part]:
        place = self.place
        for start, end in _cuts(entries):
            part, part_salts = entries[start:end], salts[start * SALT_BYTES : end * SALT_BYTES]
            orders = {seq: by for seq, by in redact.items() if part[0].seq <= by <= part[-1].seq}
            header = self._header(MessageKind.BATCH, point, len(part))
            message = self._keys.seal(header, pack_batch(part, part_salts, orders))
            place = after(place, header)
            yield _Part(message, place)
            if end < len(entries):
                point = point_after(point, part, part_salts)


def _cuts(entries: Sequence[Entry]) -> Iterator[tuple[int, int]]:
    """Yield the begin and end of each part."""
    start = size = 0
    for index, entry in enumerate(entries):
        weight = len(entry.body) + _ENTRY_BYTES
        if size + weight > PART_BYTES and index > start:
            yield start, index
            start, size = index, 0
        size += weight
    yield start, len(entries)


def point_after(point: Point, entries: Sequence[Entry], salts: bytes) -> Point:
    """Return the end of a log after more entries."""
    chain = point.chain_hash
    for index, entry in enumerate(entries):
        _, chain = hash_entry(chain, entry, salts[index * SALT_BYTES : (index + 1) * SALT_BYTES])
    return Point(entries[-1].seq, chain)


def append_message(link: LogLink, place: StreamPlace, message: bytes, seconds: float) -> None:
    """Store a message after ``place``. Raises E506 if another has that place, or if nobody can tell."""
    try:
        outcome = link.append(place.seq, message, seconds)
    except (OSError, StreamGoneError) as error:
        raise ChatdError("E506", f"the cluster's stream does not answer: {error}") from error
    if outcome is Outcome.RIVAL:
        raise ChatdError("E506", "another node leads the cluster now")
    if outcome is Outcome.UNKNOWN:
        raise ChatdError("E506", f"the cluster's stream has not answered for {seconds:g} seconds")
