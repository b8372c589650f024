"""The ordering loop: take all that has arrived, decide, commit once, then tell everybody.

Whatever arrives while one commit runs is the next batch, and is decided meanwhile if the batch is not tiny;
see `Gathering` for when that waits for more.
"""

from __future__ import annotations

import selectors
import socket
import time

from chatd.child.supervised import Supervised
from chatd.crashpoints import crash_point
from chatd.hub.commit_policy import Gathering
from chatd.hub.committing import OVERLAP_EVENTS, Committer
from chatd.hub.hub import Hub
from chatd.hub.links import Link
from chatd.hub.reading import ReadThread
from chatd.link.wire import LinkClosedError
from chatd.logs.logger import get_log

log = get_log("server")
log_errors = get_log("errors")

# The heartbeat is answered from this loop, so it must turn at least once a second.
TICK_SECONDS = 1.0
# Links there may be: workers (at most 64) and operator commands.
LINKS_LIMIT = 256
# Events that are decided while the disk has the batch before; what else has come is left to its senders.
DECIDED_LIMIT = 256
# Bytes waiting for a link from which nothing more is read from it; it is cut at BACKLOG_BYTES.
BACKLOG_HIGH = 1024 * 1024


class HubServer:
    """Serves links until the supervisor says drain."""

    def __init__(self, hub: Hub, reader: ReadThread, listener: socket.socket, child: Supervised) -> None:
        self._hub = hub
        self._reader = reader
        self._listener = listener
        self._child = child
        self._selector = selectors.DefaultSelector()
        self._running = True
        self._reported = True
        # What the selector looks for, where that is not only readability.
        self._watched: dict[Link, int] = {}
        self._gathering = Gathering(hub.rules.settings.workers.gather_ms / 1e3)
        self._committer = Committer()
        self._in_commit = 0  # events
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, self._accept)
        self._selector.register(reader, selectors.EVENT_READ, reader.deliver)
        self._selector.register(child, selectors.EVENT_READ, self._supervisor)
        self._selector.register(self._committer, selectors.EVENT_READ, self._end_commit)

    def run(self) -> None:
        """Returns after a drain. Raises ChatdError E504 when the log cannot be written."""
        try:
            self._hub.commit()
            crash_point("hub.open.before_ready")
            self._child.ready()
            self._report()
            while self._running:
                self._turn(TICK_SECONDS)
            self._turn(0)
            self._settle()
            crash_point("hub.drain.before_snapshot")
            self._hub.upkeep.snapshot()
        finally:
            # Not without it: the log must not be closed under a commit.
            self._committer.close()

    def _settle(self) -> None:
        """Nothing is received any more: commit and tell what is left, and let nothing be under way."""
        if self._committer.busy:
            self._end_commit()
        self._commit()
        if self._committer.busy:
            self._end_commit()

    def _turn(self, timeout: float) -> None:
        if self._hub.uncommitted and not self._committer.busy:
            # A sleep of nothing would still be a system call, in each turn of a busy hub.
            if rest := self._gathering.rest(self._hub.uncommitted):
                time.sleep(rest)
            timeout = min(timeout, self._gathering.wait(self._hub.uncommitted))
        for key, mask in self._selector.select(timeout):
            if isinstance(key.data, Link):
                if mask & selectors.EVENT_READ:
                    self._receive(key.data)
                if mask & selectors.EVENT_WRITE and key.data.number in self._hub.links:
                    self._write(key.data)
            else:
                key.data()
        if self._committer.busy and (self._hub.uncommitted >= DECIDED_LIMIT or self._committer.slow):
            self._end_commit()  # waits
        if not self._committer.busy and not self._gathering.wait(self._hub.uncommitted):
            self._commit()
        if self._hub.writable != self._reported:
            self._report()

    def _report(self) -> None:
        """For `chatd status` and `chatd check`."""
        self._reported = self._hub.writable
        self._child.report({"writable": self._reported})

    def _commit(self) -> None:
        self._hub.upkeep.before_commit()
        events = self._hub.uncommitted
        if events >= OVERLAP_EVENTS and self._hub.can_overlap:
            self._in_commit = events
            self._committer.begin(self._hub.begin_commit())
            return
        self._hub.commit()
        self._tell(events)

    def _end_commit(self) -> None:
        self._committer.end()
        self._hub.end_commit()
        self._tell(self._in_commit)

    def _tell(self, events: int) -> None:
        """Those events are committed: write to everybody what waited for it."""
        self._gathering.committed(events)
        for link in list(self._hub.links.values()):
            self._write(link)
            crash_point("hub.flush.one_link")
        crash_point("hub.flush.all_links")

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:  # taken back by the peer, or no descriptor left: the next turn tries again
            return
        if len(self._hub.links) >= LINKS_LIMIT:
            sock.close()
            return
        link = Link(sock)
        self._hub.links[link.number] = link
        self._selector.register(link, selectors.EVENT_READ, link)

    def _receive(self, link: Link) -> None:
        try:
            self._hub.take(link, link.receive())
        except LinkClosedError:
            self._drop(link)
        except (KeyError, ValueError, TypeError):
            log_errors.exception("link_protocol", worker=link.name)
            self._drop(link)

    def _write(self, link: Link) -> None:
        try:
            left = link.write()
        except LinkClosedError:
            self._drop(link)
            return
        # Who does not take answers is not asked for more questions.
        events = selectors.EVENT_READ if link.backlog < BACKLOG_HIGH else 0
        if left:
            events |= selectors.EVENT_WRITE
        if events != self._watched.get(link, selectors.EVENT_READ):
            self._watched[link] = events
            self._selector.modify(link, events, link)

    def _drop(self, link: Link) -> None:
        if link.number in self._hub.links:
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
                self._gathering.seconds = self._child.settings.workers.gather_ms / 1e3
                self._hub.reload(self._child.settings)
            elif message["type"] == "processes":
                self._hub.processes = message
