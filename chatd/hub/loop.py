"""The ordering loop: receive what has arrived, decide it, commit once, then send replies and events.

Requests that arrive during a commit form the next batch. A commit of a larger batch runs on a thread
while the loop decides the next one; `CommitPolicy` tells when to wait for more.
"""

from __future__ import annotations

import select
import selectors
import time
from collections.abc import Iterable
from typing import Protocol

from chatd.child.busyness import Busyness
from chatd.child.memory import MemoryReturn
from chatd.child.supervised import Supervised
from chatd.cluster.beats import BEAT_SECONDS
from chatd.config.schema import Settings
from chatd.crashpoints import crash_point
from chatd.errors import ChatdError
from chatd.hub.batch import Recorder
from chatd.hub.commit_policy import OVERLAP_EVENTS, CommitPolicy, CommitThread, window_seconds
from chatd.hub.doors import Doors
from chatd.hub.links import Link, UnknownOperationError
from chatd.hub.query_threads import QueryThreads
from chatd.hub.settings_desk import SettingsDesk
from chatd.hub.stats import HubStats
from chatd.link.wire import MALFORMED, Header, LinkClosedError
from chatd.logs.logger import get_log
from chatd.logs.repeats import Repeats
from chatd.proto.frames import JsonObject
from chatd.store.database import DATABASE_NAME, LOCKED_FIX
from chatd.store.lock_holder import lock_holder

log = get_log("server")
log_audit = get_log("audit")
log_errors = get_log("errors")

# The loop answers the heartbeat, so one iteration must take less than a second.
TICK_SECONDS = 1.0
# Commands of the operator at a time.
OPERATORS_LIMIT = 64
# Events decided during a commit. Beyond it the loop waits for the disk and leaves requests to their senders.
DECIDED_LIMIT = 256
# Stop reading from a link while this many bytes wait for it; at BACKLOG_BYTES it is cut.
BACKLOG_HIGH = 1024 * 1024
# How often to try again while another program has locked the log.
LOCK_RETRY_SECONDS = 0.1


class ClusterPart(Protocol):
    """The hub's part in a cluster of several nodes: see `chatd.hub.following.ClusterSeat`."""

    def begin(self, selector: selectors.BaseSelector) -> None: ...

    successor: str
    settings: SettingsDesk

    def tick(self, *, committing: bool) -> None: ...
    def await_commit(self, done: CommitThread) -> None: ...


class LinkHandler(Protocol):
    """The part of the hub that the loop calls."""

    writable: bool
    stats: HubStats
    repeats: Repeats
    memory: MemoryReturn

    def take(self, link: Link, frames: Iterable[tuple[Header, bytes]]) -> None: ...
    def link_lost(self, link: Link) -> None: ...
    def before_commit(self) -> None: ...
    def idle_seconds(self, most: float) -> float: ...
    def save_snapshot(self) -> None: ...
    def reload(self, settings: Settings, by: JsonObject | None = None) -> None: ...
    def note_act(self, act: str, by: JsonObject, fields: JsonObject) -> None: ...


class HubLoop:
    """Serves ``links`` until the supervisor says drain."""

    def __init__(
        self,
        hub: LinkHandler,
        links: dict[int, Link],
        recorder: Recorder,
        queries: QueryThreads,
        doors: Doors,
        child: Supervised,
        following: ClusterPart | None = None,
    ) -> None:
        self._hub = hub
        self._links = links
        self._recorder = recorder
        self._doors = doors
        self._child = child
        self._selector = selectors.DefaultSelector()
        self._running = True
        self._reported_writable = True
        self._locked_by = ""
        # Link -> selector events, where they differ from EVENT_READ.
        self._watched: dict[Link, int] = {}
        self._busyness = Busyness()
        self._policy = CommitPolicy(0.0)
        self._commits = CommitThread()
        self._committing_events = 0
        self._commit_began = 0.0
        self._selector.register(doors.workers, selectors.EVENT_READ, self._accept_worker)
        self._selector.register(doors.operators, selectors.EVENT_READ, self._accept_operator)
        self._selector.register(queries, selectors.EVENT_READ, queries.deliver)
        self._selector.register(child, selectors.EVENT_READ, self._supervisor)
        self._selector.register(self._commits, selectors.EVENT_READ, self._end_commit)
        self._tick = TICK_SECONDS if following is None else BEAT_SECONDS
        self._following = following
        if following is not None:
            following.begin(self._selector)

    def run(self) -> None:
        """Return after a drain. Raises ChatdError E504 when the log cannot be written."""
        try:
            self._wait_for_lock()
            self._recorder.commit()
            crash_point("hub.open.before_ready")
            self._child.ready()
            self._report()
            while self._running:
                self._iterate(self._hub.idle_seconds(self._tick))
            self._iterate(0)
            self._commit_rest()
            self._hub.repeats.flush(now=True)
            crash_point("hub.drain.before_snapshot")
            self._hub.save_snapshot()
        finally:
            # Always: the log must not be closed during a commit.
            self._commits.close()

    def _commit_rest(self) -> None:
        """Commit and send the rest after the last receive, and wait for it."""
        if self._commits.busy:
            self._end_commit()
        self._commit()
        if self._commits.busy:
            self._end_commit()

    def _iterate(self, timeout: float) -> None:
        decided = self._recorder.uncommitted
        if decided and not self._commits.busy:
            self._gather(decided)
            timeout = min(timeout, self._policy.wait_seconds(decided))
        for key, mask in self._selector.select(timeout):
            if isinstance(key.data, Link):
                self._attend(key.data, mask)
            else:
                key.data()
        if self._following is not None:
            # Before the commit, which releases the answers.
            self._following.tick(committing=self._commits.busy)
            if self._following.successor:
                self._running = False
        self._policy.arrived(self._recorder.uncommitted - decided)
        if self._busyness.measure():
            self._follow_load()
        if self._commits.busy and (self._recorder.uncommitted >= DECIDED_LIMIT or self._commits.overdue):
            self._end_commit()  # waits for the disk
        if not self._commits.busy and not self._policy.wait_seconds(self._recorder.uncommitted):
            self._commit()
        if self._hub.writable != self._reported_writable:
            self._report()
        self._hub.repeats.flush()
        self._hub.memory.run()

    def _attend(self, link: Link, mask: int) -> None:
        if mask & selectors.EVENT_READ:
            self._receive(link)
        if mask & selectors.EVENT_WRITE and link.number in self._links:
            self._write(link)

    def _gather(self, decided: int) -> None:
        """Leave the links unread while a batch of ``decided`` events may grow."""
        while pause := self._policy.sleep_seconds(decided):
            time.sleep(pause)
            self._policy.look(sum(link.unread for link in self._links.values()))

    def _follow_load(self) -> None:
        share = max(self._busyness.share, self._hub.stats.workers.busiest_share)
        self._policy.seconds = window_seconds(share, self._child.settings.workers.gather_ms / 1e3)

    def _report(self) -> None:
        """Tell the supervisor whether the log can be written (`chatd status`, `chatd check`)."""
        self._reported_writable = self._hub.writable
        self._child.report({"writable": self._reported_writable, "locked_by": self._locked_by})

    def _wait_for_lock(self) -> None:
        """Wait while another program has locked the log; meanwhile only the supervisor is answered.

        Requests stay unread, so that what waits is bounded. Raises E504 if the hub is to end.
        """
        while not self._recorder.try_begin():
            if not self._locked_by:
                self._locked_by = lock_holder(self._child.home / "data" / DATABASE_NAME)
                what = f"{self._locked_by} has locked {DATABASE_NAME}; everybody waits"
                log.error("log_locked", code="E504", what=what, fix=LOCKED_FIX)
                self._report()
            if not self._running:
                raise ChatdError("E504", f"{self._locked_by} has locked {DATABASE_NAME}", LOCKED_FIX)
            select.select([self._child], [], [], LOCK_RETRY_SECONDS)
            self._supervisor()
        if self._locked_by:
            self._locked_by = ""
            log.info("log_unlocked", what="everything is written again")
            self._report()

    def _commit(self) -> None:
        self._hub.before_commit()
        self._wait_for_lock()
        self._commit_began = time.perf_counter()
        events = self._recorder.uncommitted
        if events >= OVERLAP_EVENTS and self._recorder.can_overlap:
            self._committing_events = events
            self._commits.begin(self._recorder.begin_commit())
            return
        self._recorder.commit()
        if events:
            self._note_commit()
        self._send_released(events)

    def _end_commit(self) -> None:
        if self._following is not None:
            self._following.await_commit(self._commits)
        self._commits.end()
        self._recorder.end_commit()
        self._note_commit()
        self._send_released(self._committing_events)

    def _note_commit(self) -> None:
        self._hub.stats.commits.note(time.perf_counter() - self._commit_began)

    def _send_released(self, events: int) -> None:
        """Write the released frames to every link after a commit of ``events``."""
        self._policy.committed(events)
        for link in list(self._links.values()):
            self._write(link)
            crash_point("hub.flush.one_link")
        crash_point("hub.flush.all_links")

    def _accept_worker(self) -> None:
        accepted = self._doors.next_worker()
        if accepted is None:
            return
        sock, peer = accepted
        name = self._doors.worker_name(peer)
        if not name:
            # The supervisor announces a worker before that can connect: the message has arrived.
            self._supervisor()
            name = self._doors.worker_name(peer)
        if not name:
            self._doors.refuse_worker(sock, peer)
            return
        # A worker has one link: a second one means that it has given up the first.
        for link in [link for link in self._links.values() if link.name == name]:
            self._drop(link)
        self._add(Link(sock, name))

    def _accept_operator(self) -> None:
        link = self._doors.next_operator()
        if link is None:
            return
        if sum(link.operator is not None for link in self._links.values()) >= OPERATORS_LIMIT:
            link.close()
            return
        self._add(link)

    def _add(self, link: Link) -> None:
        self._links[link.number] = link
        self._selector.register(link, selectors.EVENT_READ, link)

    def _receive(self, link: Link) -> None:
        try:
            self._hub.take(link, link.receive())
        except LinkClosedError:
            self._drop(link)
        except UnknownOperationError as error:
            log_audit.warning("operation_refused", worker=link.name, what=str(error))
            self._drop(link)
        except MALFORMED:
            log_errors.exception("link_protocol", worker=link.name)
            self._drop(link)

    def _write(self, link: Link) -> None:
        try:
            left = link.write()
        except LinkClosedError:
            self._drop(link)
            return
        # A worker that does not take its replies may not ask for more.
        events = selectors.EVENT_READ if link.backlog < BACKLOG_HIGH else 0
        if left:
            events |= selectors.EVENT_WRITE
        if events != self._watched.get(link, selectors.EVENT_READ):
            self._watched[link] = events
            self._selector.modify(link, events, link)

    def _drop(self, link: Link) -> None:
        if link.number in self._links:
            if not link.operator:
                log.info("link_lost", worker=link.name)
            self._selector.unregister(link)
            self._watched.pop(link, None)
            self._hub.link_lost(link)
            link.close()

    def _supervisor(self) -> None:
        for message in self._child.receive():
            if message["type"] == "drain":
                self._running = False
            elif message["type"] == "reload":
                self._follow_load()
                settings = self._child.settings
                if self._following is not None:
                    settings = self._following.settings.receive(settings)
                self._hub.reload(settings, _object(message, "by"))
            elif message["type"] == "share" and self._following is not None:
                self._following.settings.propose(message)
            elif message["type"] == "act":
                self._hub.note_act(str(message["act"]), _object(message, "by"), _object(message, "fields"))
            elif message["type"] == "processes":
                self._hub.stats.processes = message


def _object(message: dict[str, object], name: str) -> JsonObject:
    value = message.get(name)
    return value if isinstance(value, dict) else {}
