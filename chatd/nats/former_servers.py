"""Remove NATS servers that are no members any more from those that keep the streams.

NATS counts them in its majorities until somebody does. It is done when all members are there, so that each
replica that is taken from a former server has a place to go. Then the stream gets as many replicas as so many
members need.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final

import nats.errors

from chatd.cluster.nats_address import NatsAddress
from chatd.cluster.nats_thread import NatsThread, ask
from chatd.logs.logger import get_log
from chatd.nats.nats_config import SYSTEM_USER
from chatd.nats.stream_replicas import fit_replicas

EVERY_SECONDS: Final = 5.0

log = get_log("server")


class FormerServers:
    """Looks for former servers from time to time; any node may remove one.

    ``members`` may change while it runs: one that is about to leave still holds its part of the stream.
    ``stream`` is the connection to ask about the stream.
    """

    def __init__(
        self, node: str, members: frozenset[str], address: Callable[[], NatsAddress], stream: NatsThread
    ) -> None:
        self.members = members
        self._node = node
        self._stream = stream
        self._next = 0.0
        self._looking: Future[None] | None = None
        self._nats = NatsThread(lambda: address()._replace(user=SYSTEM_USER))

    def tick(self) -> None:
        """Look now if it is time to. Only the server that leads those of the streams answers."""
        if time.monotonic() < self._next or not (self._looking is None or self._looking.done()):
            return
        self._next = time.monotonic() + EVERY_SECONDS
        self._looking = self._nats.begin(self._look())

    async def _look(self) -> None:
        with suppress(nats.errors.Error, OSError, TimeoutError, ValueError, LookupError):
            await self.remove()

    async def remove(self) -> None:
        """Remove those that are gone, if all members are there. Raises OSError and what nats-py raises."""
        members = self.members
        leader, replicas = await self._group()
        there = {leader, *(one["name"] for one in replicas if not one.get("offline"))}
        if not leader or not members <= there:
            return
        for one in replicas:
            # Of one that has not been seen since the last start, NATS only knows the number of its name.
            if one["name"] not in members and one.get("offline"):
                await self._ask("$JS.API.SERVER.REMOVE", {"peer": "", "peer_id": one["peer"]})
                log.info("nats_server_removed", node=one["name"])
        # One of them is enough to do it.
        if there == members and self._node == min(members):
            await asyncio.wrap_future(self._stream.begin(fit_replicas(self._stream, members)))

    async def _group(self) -> tuple[str, list[dict[str, Any]]]:
        """Return the server that leads those of the streams, and the others."""
        answer = await self._ask("$SYS.REQ.SERVER.PING.JSZ", {"leader_only": True})
        group = answer.get("data", {}).get("meta_cluster", {})
        return str(group.get("leader") or ""), list(group.get("replicas") or [])

    async def _ask(self, subject: str, question: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(await ask(await self._nats.connected(), subject, question))
        return answer
