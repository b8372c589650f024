"""Take the lead of the cluster's stream before the hub serves."""

from __future__ import annotations

import select
from collections.abc import Callable
from functools import partial

from chatd.child.supervised import Supervised
from chatd.cluster.follow_stream import lead_stream
from chatd.cluster.key_exchange import KeyExchange
from chatd.cluster.nats_address import read_address
from chatd.cluster.stream_backend import StreamBackend
from chatd.cluster.tail_keys import TailKeys
from chatd.errors import ChatdError
from chatd.logs.logger import get_log
from chatd.store.event_log import EventLog

log = get_log("server")

RETRY_SECONDS = 0.05


def lead(child: Supervised, events: EventLog, progress: Callable[[], None]) -> StreamBackend:
    """Return the backend that commits to the stream; wait until it answers or the supervisor says drain.

    Raises E506 when drained, E621 if the stream does not continue the log, E622 without nats-py.
    """
    try:
        from chatd.cluster.jetstream import JetStreamLink  # an optional dependency
    except ImportError as error:
        raise ChatdError("E622", f"there is no {error.name}") from None
    cluster = child.settings.cluster
    link = JetStreamLink(partial(read_address, child.home), cluster.replicas)
    keys = TailKeys(events)
    kept: list[dict[str, object]] = []
    told = False
    try:
        while True:
            try:
                place = lead_stream(events, link, keys, cluster.node, cluster.stall_seconds)
                exchange = KeyExchange(keys, link)
                return StreamBackend(events, link, keys, place, cluster.stall_seconds, exchange=exchange)
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
