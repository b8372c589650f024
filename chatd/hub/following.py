"""A node's part in a cluster of several while its hub runs: follow the stream, suspect, claim, lead.

A hub follows until it reads a claim of its own in the stream. A leader that is refused, that is left
undecided or that hears a newer epoch ends with E506; the next hub follows.
"""

from __future__ import annotations

import select
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from chatd.cluster import beats, node_reports
from chatd.cluster.beats import BEAT_SECONDS, Beat, Suspicion, read_beat
from chatd.cluster.copies import PeerCopies
from chatd.cluster.follow_stream import NoKeyError, claim_after, end_of, take_messages
from chatd.cluster.key_exchange import KIND as KEY_KIND
from chatd.cluster.key_exchange import KeyExchange
from chatd.cluster.log_link import LogLink, StreamGoneError
from chatd.cluster.peer_link import PeerLink, PeerMessage
from chatd.cluster.pumped_peers import PumpedPeers, Readable
from chatd.cluster.stream_backend import StreamBackend
from chatd.cluster.stream_formats import StreamFormats
from chatd.cluster.stream_message import NEWEST_FORMAT, OLDEST_FORMAT
from chatd.cluster.stream_place import StreamPlace
from chatd.cluster.tail_keys import TailKeys
from chatd.config.cluster_section import ClusterSection
from chatd.crashpoints import crash_point
from chatd.errors import ChatdError
from chatd.hub.cluster_stats import ClusterStats
from chatd.hub.leadership import Leadership
from chatd.hub.node_reporting import NodeReporting
from chatd.hub.peers.peer_desk import PeerDesk
from chatd.hub.settings_desk import SettingsDesk, SharingHub
from chatd.hub.stats import HubStats
from chatd.logs.logger import get_log
from chatd.store.entry import Entry
from chatd.store.event_log import EventLog

log_server = get_log("server")

# For how long a hub that is behind takes messages before it serves its clients and the supervisor again.
TURN_SECONDS = 1.0
# While so many wait to be judged, the others stay with the tail, which has a bound of its own.
UNREAD_MESSAGES = 64
APPLIED_KIND = "applied"
LEAVE_KIND = "leave"
# A node asks for the lead (`chatd cluster lead`).
LEAD_KIND = "lead"


class FollowingHub(SharingHub, Protocol):
    """The part of the hub that a stream drives."""

    stats: HubStats

    @property
    def writable(self) -> bool: ...

    def apply(self, entries: Sequence[Entry], redact: Mapping[int, int]) -> None: ...
    def take_lead(self) -> None: ...


class ClusterSeat:
    """Owned by the loop. ``backend`` commits what the hub decides while ``leadership`` says that it leads."""

    def __init__(
        self,
        cluster: ClusterSection,
        log: EventLog,
        link: LogLink,
        keys: TailKeys,
        peers: PeerLink,
        place: StreamPlace,
        settings: SettingsDesk,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.peers = PumpedPeers(peers)
        self.settings = settings
        self._formats = StreamFormats(cluster.others)
        self.leadership = Leadership(leads=False, leader=place.leader, written=self._formats.lowest)
        self._node = cluster.node
        self._seconds = cluster.stall_seconds
        self._isolated_seconds = cluster.isolated_seconds
        self._cuts_isolated = cluster.isolated == "cut"
        self._log = log
        self._link = link
        self._keys = keys
        self._clock = clock
        self.stats = ClusterStats(cluster, clock)
        copies = min(cluster.copies, len(cluster.members))
        self._copies = PeerCopies(cluster.others, copies - 1, self._pump, clock)
        self._exchange = KeyExchange(keys, link, self.peers, copies, clock, nodes=len(cluster.members))
        self.backend = StreamBackend(
            log,
            link,
            keys,
            place,
            cluster.stall_seconds,
            exchange=self._exchange,
            applied=self._copies.awaited,
            await_copies=self._copies.wait,
            written_format=lambda: self.leadership.format,
            appended=self.stats.note_append,
        )
        self._reporting = NodeReporting(self.stats, self.peers, log, link, lambda: self.backend.place, clock)
        self._kinds: dict[str, Callable[[PeerMessage], None]] = {
            beats.KIND: self._take_beat,
            node_reports.KIND: self._reporting.take,
            APPLIED_KIND: self._take_applied,
            LEAVE_KIND: self._take_leave,
            LEAD_KIND: self._take_lead,
            KEY_KIND: self._take_key,
        }
        # The node to which this one hands the lead over.
        self.successor = ""
        self._suspicion = Suspicion(cluster.lead_seconds, clock)
        self._tail = link.tail(place.seq)
        # Messages of the stream that are not judged yet.
        self._unread: deque[bytes] = deque()
        # Whether the tail waits because the disk is full.
        self._paused = False
        self._heard = clock()
        # The epoch that was claimed last, and the one whose leader was last noted to be silent.
        self._claimed = 0
        self._silent = -1
        self._claiming: threading.Thread | None = None
        self._next_beat = 0.0

    def serve(self, hub: FollowingHub, desk: PeerDesk) -> None:
        """Drive a hub from now on; ``desk`` takes what the other hubs send."""
        self._hub = hub
        self._desk = desk
        self.leadership.isolated = ""
        desk.take_kinds(self._kinds)
        hub.stats.cluster = self._reporting.shown
        self.settings.serve(hub, self.backend)
        desk.take_settings(self.settings.decide)
        place = self.backend.place
        if place.leader != self._node:
            desk.follow(place.leader, place.epoch)

    def begin(self, selector: selectors.BaseSelector) -> None:
        """Take part in the loop of ``selector``."""
        self._selector = selector
        selector.register(self.peers, selectors.EVENT_READ, self._desk.receive)
        selector.register(self._tail, selectors.EVENT_READ, self._take_stream)
        self._suspicion.hear()

    def tick(self, *, committing: bool) -> None:
        """Do what is due, at least every `BEAT_SECONDS`. Raises E506, E610."""
        self._desk.receive()
        if self.leadership.leads:
            self._beat()
            if not committing:
                self.backend.exchange_keys()
                self.settings.advance(self.backend.place.settings)
        else:
            self._follow()
        self._reporting.advance()
        self._desk.advance()

    def _follow(self) -> None:
        self._pause(paused=not self._hub.writable)
        if self._paused:
            self._desk.isolate(True, full=True, cut=self._cuts_isolated)
            return
        self._take_stream()
        if self.leadership.leads:
            return
        self._exchange.settle(self.backend.place.seq)
        if self._suspicion.holds:
            self._claim()
        isolated = self._clock() - self._heard >= self._isolated_seconds
        self.stats.isolated = isolated
        self._desk.isolate(isolated, cut=self._cuts_isolated)

    def _pause(self, *, paused: bool) -> None:
        """Take nothing of the stream while the disk is full; nor may this node claim the lead then."""
        if paused == self._paused:
            return
        self._paused = paused
        if paused:
            self._selector.unregister(self._tail)
            return
        self._selector.register(self._tail, selectors.EVENT_READ, self._take_stream)
        self._suspicion.hear()

    def close(self) -> None:
        """Close the connections. The others need not wait for a leader that says that it ends."""
        if self.leadership.leads:
            self.peers.send(None, LEAVE_KIND, [self.backend.place.epoch, self.successor])
        else:
            self._tail.close()
        for part in (self.peers, self._link, self._copies):
            part.close()

    # --- the stream ------------------------------------------------------------------------------

    def _take_stream(self) -> None:
        """Judge what has arrived, and apply what counts."""
        if self.leadership.leads:
            return
        try:
            if len(self._unread) < UNREAD_MESSAGES:
                self._unread.extend(self._tail.receive())
        except StreamGoneError:
            raise ChatdError("E506", "the stream was trimmed beyond this node's place") from None
        before = self.backend.place
        until = time.monotonic() + TURN_SECONDS
        while self._unread and time.monotonic() < until and self._log.try_begin():
            try:
                taken = take_messages(self._log, self._keys, self.backend.place, self._unread)
            except NoKeyError as error:
                self._log.leave()  # for as long as it waits for the key, the log can be emptied of remnants
                self._exchange.request(error.number)
                break
            self.backend.place = taken.place
            self.stats.void_messages += taken.void
            if taken.batch is not None:
                crash_point("cluster.follow.committed")
                self._hub.apply(taken.batch.entries, taken.batch.redact)
            if taken.settings is not None:
                self.settings.take(taken.settings, taken.place.settings)
        if self.backend.place != before:
            self._taken(before)

    def _taken(self, before: StreamPlace) -> None:
        place = self.backend.place
        self._suspicion.hear()
        self.leadership.leader = place.leader
        if place.epoch > before.epoch:
            self.stats.note_claim()
            log_server.info("leader", node=place.leader, epoch=place.epoch, stream=place.seq)
            self._desk.follow(place.leader if place.leader != self._node else "", place.epoch)
        if place.leader != self._node:
            self.peers.send(place.leader, APPLIED_KIND, [place.seq, NEWEST_FORMAT])
        elif place.epoch == self._claimed and not self._unread:
            self._lead()

    def _lead(self) -> None:
        """Go on as the leader, in place: everything before this node's claim is applied."""
        self._selector.unregister(self._tail)
        self._tail.close()
        if self._claiming is not None:
            self._claiming.join()
        self.stats.isolated = False
        self._hub.take_lead()
        self._desk.lead(self.backend.place.epoch)
        self._beat()

    # --- the lead --------------------------------------------------------------------------------

    def _claim(self) -> None:
        """Append a claim, on a thread: without a majority that takes seconds."""
        place = self.backend.place
        busy = self._claiming is not None and self._claiming.is_alive()
        self._suspicion.postpone()
        if busy or self._unread or not place.generation or self._keys.find(self._keys.current) is None:
            return
        self._claimed = place.epoch + 1
        claim = self._keys.seal(claim_after(place, self._log, self._node, self._keys))
        if self._silent != place.epoch:
            self._silent = place.epoch
            log_server.warning("leader_silent", node=place.leader, epoch=place.epoch)
        self._claiming = threading.Thread(
            target=self._append_claim, args=(place.seq, claim), name="claim", daemon=True
        )
        self._claiming.start()

    def _append_claim(self, seq: int, claim: bytes) -> None:
        """Whether it is in the stream is read there. The stream refuses that of a node that is behind.

        To ask for its end first would need a leader of all of JetStream, whose election may last longer.
        """
        try:
            self._link.append(seq, claim, self._seconds)
        except (OSError, StreamGoneError):
            pass

    def _beat(self) -> None:
        now = self._clock()
        if now < self._next_beat:
            return
        self._next_beat = now + BEAT_SECONDS
        place = self.backend.place
        beat = Beat(place.epoch, end_of(self._log), place.seq, NEWEST_FORMAT, time.time_ns() // 1_000_000)
        self.peers.send(None, beats.KIND, beat.header())

    # --- the other hubs --------------------------------------------------------------------------

    def await_commit(self, done: Readable) -> None:
        """Hear the other hubs until a commit has run, because it waits for what they have."""
        while not select.select([done], [], [], 0)[0]:
            self._pump(BEAT_SECONDS, done)

    def _pump(self, seconds: float, *until: Readable) -> None:
        """Wait for messages in the midst of a commit: only those that it needs are handled now."""
        for message in self.peers.pump(seconds, (APPLIED_KIND, beats.KIND), until):
            self._kinds[message.kind](message)
        self._beat()

    def _take_key(self, message: PeerMessage) -> None:
        """Take part in replacing the key, unless it could not be written down; the leader asks again."""
        if self._hub.writable:
            self._exchange.take(message)

    def _take_applied(self, message: PeerMessage) -> None:
        match message.header:
            case [int(seq), *more]:
                self._copies.note(message.sender, seq)
                self._note_format(message.sender, more[0] if more else OLDEST_FORMAT)
            case _:
                pass

    def _note_format(self, node: str, newest: object) -> None:
        """Write what all nodes read from now on, once the last of them reads more or less."""
        before = self.leadership.format
        self._formats.note(node, newest)
        self.leadership.format = self._formats.lowest
        if self.leadership.format != before:
            log_server.info("stream_format", format=self.leadership.format, node=node)

    def _take_leave(self, message: PeerMessage) -> None:
        epoch, successor = message.header[:2]
        if epoch != self.backend.place.epoch or message.sender != self.leadership.leader:
            return
        if successor == self._node:
            self._suspicion.begin()
        elif successor:
            self._suspicion.hear()
        else:
            self._suspicion.postpone()

    def _take_lead(self, message: PeerMessage) -> None:
        """Hand the lead over to the sender: this hub ends in order, and the next one follows."""
        if self.leadership.leads and message.header[:1] == [self.backend.place.epoch]:
            self.successor = message.sender
            log_server.info("lead_handed_over", node=message.sender, epoch=self.backend.place.epoch)

    def _take_beat(self, message: PeerMessage) -> None:
        beat = read_beat(message.header)
        place = self.backend.place
        if self.leadership.leads:
            if beat.epoch > place.epoch:
                raise ChatdError("E506", f"the node {message.sender} leads the cluster now")
            return
        if beat.epoch < place.epoch:
            return
        self._suspicion.hear()
        self._heard = self._clock()
        self._compare(beat, message.sender)
        self.peers.send(message.sender, APPLIED_KIND, [place.seq, NEWEST_FORMAT])

    def _compare(self, beat: Beat, leader: str) -> None:
        """End if this log differs from the leader's. Raises E610."""
        end = end_of(self._log)
        if (beat.epoch, beat.end.seq) != (self.backend.place.epoch, end.seq) or beat.end == end:
            return
        raise ChatdError(
            "E610",
            f"entry {end.seq} of this node's log is not that of the node {leader}",
            f"keep data/ as evidence, stop chatd; on {leader}: chatd cluster replace {self._node} NEW=HOST",
        )
