"""Take part in the cluster's stream before the hub serves: lead it alone, or follow it with others."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from chatd.child.supervised import Supervised
from chatd.cluster.follow_stream import NoKeyError, catch_up, found_stream, lead_stream, may_found
from chatd.cluster.key_exchange import KIND as KEY_KIND
from chatd.cluster.key_exchange import KeyExchange
from chatd.cluster.log_link import GONE_SECONDS, RESEED, LogLink, StreamGoneError
from chatd.cluster.nats_address import read_address
from chatd.cluster.peer_link import PeerLink
from chatd.cluster.stream_backend import StreamBackend
from chatd.cluster.stream_place import StreamPlace, stored_place, stored_settings
from chatd.cluster.tail_keys import TailKeys
from chatd.errors import ChatdError
from chatd.hub.following import ClusterSeat
from chatd.hub.settings_desk import SettingsDesk
from chatd.logs.logger import get_log
from chatd.store.event_log import EventLog
from chatd.store.reserve import take_reserve

if TYPE_CHECKING:
    from chatd.cluster.jetstream import JetStreamLink

log = get_log("server")

RETRY_SECONDS: Final = 0.05
# For so long a log that was in a stream waits for it; then it follows from where it is, and can be read.
AWAIT_SECONDS: Final = 1.0
Result = TypeVar("Result")


def lead(child: Supervised, events: EventLog, progress: Callable[[], None]) -> StreamBackend:
    """Return the backend that commits to the stream; wait until it answers or the supervisor says drain.

    Raises E506 when drained, E621 if the stream does not continue the log, E622 without nats-py.
    """
    cluster = child.settings.cluster
    link = _link(child)
    keys = TailKeys(events)

    def attempt() -> StreamBackend:
        place = lead_stream(events, link, keys, cluster.node, cluster.stall_seconds, progress)
        exchange = KeyExchange(keys, link)
        return StreamBackend(events, link, keys, place, cluster.stall_seconds, exchange=exchange)

    return _repeat(child, progress, attempt)


def follow(child: Supervised, events: EventLog, progress: Callable[[], None]) -> ClusterSeat:
    """Return the part of a node with others, once the log has what the stream has; see `lead`.

    A stream that does not answer keeps only a log out that has never been in it: others can be read. So does
    a full disk, which leaves no space to catch up in.
    """
    from chatd.cluster.nats_peers import NatsPeers

    cluster = child.settings.cluster
    link = _link(child)
    keys = TailKeys(events)
    peers = NatsPeers(partial(read_address, child.home), cluster.node, cluster.others)
    has_space = partial(take_reserve, child.home / "data")
    start = _FollowedStart(
        events, link, keys, peers, cluster.node, cluster.stall_seconds, progress, has_space
    )
    place = _repeat(child, progress, start.attempt)
    settings = SettingsDesk(child.settings, stored_settings(events), place.settings, child.send)
    return ClusterSeat(cluster, events, link, keys, peers, place, settings)


class _FollowedStart:
    """Attempts to bring a log to the stream's end."""

    def __init__(
        self,
        events: EventLog,
        link: LogLink,
        keys: TailKeys,
        peers: PeerLink,
        node: str,
        seconds: float,
        progress: Callable[[], None],
        has_space: Callable[[], bool],
    ) -> None:
        self._events = events
        self._link = link
        self._keys = keys
        self._peers = peers
        self._node = node
        self._seconds = seconds
        self._progress = progress
        self._has_space = has_space
        self._exchange = KeyExchange(keys, link, peers)
        self._began = time.monotonic()

    def attempt(self) -> StreamPlace:
        """Return the place in the stream. Raises E506 to be called again, E621 if the log does not fit."""
        place = stored_place(self._events)
        if _has_begun(place) and not self._has_space():
            return place
        for message in self._peers.receive():
            if message.kind == KEY_KIND:
                self._exchange.take(message)
        self._exchange.settle(place.seq)
        try:
            if may_found(self._events, self._node):
                return found_stream(self._events, self._link, self._keys, self._node, self._seconds)
            return catch_up(self._events, self._link, self._keys, self._progress)
        except NoKeyError as error:
            self._exchange.request(error.number)
            raise ChatdError("E506", error.reason) from error
        except OSError as error:
            place = stored_place(self._events)
            if _has_begun(place) and self._waited(AWAIT_SECONDS):
                return place
            raise ChatdError("E506", str(error)) from error
        except StreamGoneError:
            if self._waited(GONE_SECONDS) and stored_place(self._events).generation:
                raise ChatdError("E621", "the cluster's stream is gone", RESEED) from None
            raise ChatdError("E506", "there is no stream yet") from None

    def _waited(self, seconds: float) -> bool:
        return time.monotonic() - self._began >= seconds


def _has_begun(place: StreamPlace) -> bool:
    """Whether a log is in a stream. One that is to begin the stream anew is not."""
    return bool(place.generation) and place.seq >= 0


def _link(child: Supervised) -> JetStreamLink:
    try:
        from chatd.cluster.jetstream import JetStreamLink  # an optional dependency
    except ImportError as error:
        raise ChatdError("E622", f"there is no {error.name}") from None
    return JetStreamLink(partial(read_address, child.home), child.settings.cluster.replicas)


def _repeat(child: Supervised, progress: Callable[[], None], attempt: Callable[[], Result]) -> Result:
    """Attempt something until the stream answers or the supervisor says drain."""
    kept: list[dict[str, object]] = []
    told = False
    try:
        while True:
            try:
                return attempt()
            except ChatdError as error:
                if error.code != "E506" or any(message["type"] == "drain" for message in kept):
                    raise
                if not told:
                    log.warning("stream_awaited", why=error.reason)
                    told = True
            progress()
            select.select([child], [], [], RETRY_SECONDS)
            kept += child.receive()
    finally:
        child.keep(kept)
