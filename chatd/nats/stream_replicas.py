"""Keep as many replicas of the stream as its members need: five are too many for four servers."""

from __future__ import annotations

import json
from collections.abc import Set
from typing import Any

from chatd.cluster.nats_thread import NatsThread, ask
from chatd.cluster.stream_state import STREAM, read_stream_state
from chatd.config.cluster_section import stream_replicas
from chatd.logs.logger import get_log

log = get_log("server")


async def fit_replicas(link: NatsThread, members: Set[str]) -> None:
    """Give up replicas that are too many, once none is on a server that is no member, and none is behind.

    NATS chooses which servers keep theirs. Raises OSError, ValueError, LookupError, and what nats-py raises.
    """
    client = await link.connected()
    answer: dict[str, Any] = json.loads(await ask(client, f"$JS.API.STREAM.INFO.{STREAM}"))
    config = answer.get("config") or {}
    wanted = stream_replicas(len(members))
    if config.get("num_replicas", 0) <= wanted:
        return
    replicas = read_stream_state(answer).replicas
    if not all(replicas.values()) or not set(replicas) <= members:
        return
    update = config | {"num_replicas": wanted}
    answer = json.loads(await ask(client, f"$JS.API.STREAM.UPDATE.{STREAM}", update))
    if "error" in answer:
        log.warning("stream_replicas_kept", why=str(answer["error"].get("description")))
        return
    log.info("stream_replicas_changed", replicas=wanted)
