"""The messages of a JetStream stream as they are stored: an ephemeral push consumer.

It acknowledges nothing, and is made anew at a gap or after a silence: the servers forget consumers when they
restart, and whatever a consumer does not bring, the next one does.

A consumer is on one server. To make another after the loss of that one takes a leader of all of JetStream,
whose election may last longer than that of the stream's. Meanwhile messages are read one by one.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from chatd.cluster.log_link import GONE_SECONDS, RESEED, StreamGoneError
from chatd.cluster.nats_address import NatsAddress
from chatd.cluster.nats_thread import NatsThread, ask
from chatd.cluster.stream_state import NO_STREAM
from chatd.logs.logger import get_log

HEARTBEAT_SECONDS: Final = 0.5
SILENCE_SECONDS: Final = 1.6
RETRY_SECONDS: Final = 0.1
DIRECT_SECONDS: Final = 0.3
# Bytes that wait for the loop. Beyond it messages are left to the next consumer.
WAITING_BYTES: Final = 16 * 1024 * 1024
_NANOSECONDS: Final = 1_000_000_000

log_errors = get_log("errors")


class JetStreamTail:
    """A `Tail`. ``address``: see `JetStreamLink`."""

    def __init__(self, address: Callable[[], NatsAddress], stream: str, after: int) -> None:
        self._stream = stream
        self._next = after + 1
        self._arrived: deque[bytes] = deque()
        self._waiting = 0
        self._trimmed = self._broken = self._closing = False
        self._heard = 0.0
        # Since when the servers say that there is no such stream.
        self._gone_since: float | None = None
        self._told_gone = False
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._nats = NatsThread(address)
        self._serving = self._nats.begin(self._serve())

    def fileno(self) -> int:
        return self._wake

    def receive(self) -> list[bytes]:
        try:
            os.eventfd_read(self._wake)
        except BlockingIOError:
            # It is told once, perhaps with the last messages before the gap.
            if not self._trimmed:
                return []
        found = [self._arrived.popleft() for _ in range(len(self._arrived))]
        self._waiting -= sum(map(len, found))
        if self._trimmed and not found:
            raise StreamGoneError
        return found

    def close(self) -> None:
        """End the consumer and the thread."""
        self._closing = True
        self._serving.result()
        self._nats.close()
        os.close(self._wake)

    async def _serve(self) -> None:
        while not self._closing and not self._trimmed:
            try:
                if self._waiting <= WAITING_BYTES // 2:
                    await self._consume(await self._nats.connected())
            except (nats.errors.Error, OSError, TimeoutError, ValueError, LookupError):
                pass
            await asyncio.sleep(RETRY_SECONDS)

    async def _consume(self, client: Client) -> None:
        """Take messages until some are missing or the server is silent."""
        inbox = client.new_inbox()
        self._broken, self._heard = False, self._now()
        subscription = await client.subscribe(inbox, cb=self._take, pending_bytes_limit=WAITING_BYTES)
        try:
            config = _consumer_config(inbox, self._next)
            question = {"stream_name": self._stream, "config": config}
            creating = asyncio.ensure_future(ask(client, f"$JS.API.CONSUMER.CREATE.{self._stream}", question))
            while not creating.done():
                await asyncio.wait({creating}, timeout=RETRY_SECONDS)
                if not creating.done():
                    await self._read_directly(client)
            answer = creating.result()
            error = json.loads(answer).get("error")
            self._note_gone(error is not None and error.get("err_code") == NO_STREAM)
            if error is not None:
                return
            while client.is_connected and not self._broken and not self._closing:
                if self._now() - self._heard > SILENCE_SECONDS:
                    return
                await asyncio.sleep(RETRY_SECONDS)
        finally:
            # Without it the servers forget the consumer after a while.
            if client.is_connected:
                await subscription.unsubscribe()

    async def _read_directly(self, client: Client) -> None:
        """Take what any server has stored. One that is behind answers that there is no more."""
        while not self._closing and self._waiting < WAITING_BYTES:
            question = json.dumps({"seq": self._next}).encode()
            try:
                reply = await client.request(
                    f"$JS.API.DIRECT.GET.{self._stream}", question, timeout=DIRECT_SECONDS
                )
            except (nats.errors.Error, TimeoutError):
                return
            seq = int((reply.headers or {}).get("Nats-Sequence", 0))
            if seq != self._next:
                return
            self._add(reply.data)

    def _note_gone(self, gone: bool) -> None:
        """Tell once that there is no stream any more: the log that follows it can be read meanwhile."""
        if not gone:
            self._gone_since = None
            return
        self._gone_since = self._gone_since or self._now()
        if self._now() - self._gone_since >= GONE_SECONDS and not self._told_gone:
            self._told_gone = True
            what = "the cluster's stream is gone: nothing can be written"
            log_errors.error("stream_gone", code="E621", what=what, fix=f"on all nodes {RESEED}")

    async def _take(self, message: Msg) -> None:
        self._heard = self._now()
        headers = message.headers or {}
        if not message.data and headers.get("Status") == "100":
            # An idle heartbeat, or a question whether the receiver keeps up.
            answer_to = message.reply or headers.get("Nats-Consumer-Stalled")
            if answer_to:
                await message._client.publish(answer_to)
            last = int(headers.get("Nats-Last-Stream", 0))
            self._broken |= last >= self._next
            return
        seq = message.metadata.sequence.stream
        if self._broken or seq < self._next:
            return
        if seq > self._next:
            await self._lack(message._client)
        elif self._waiting + len(message.data) > WAITING_BYTES:
            self._broken = True
        else:
            self._add(message.data)

    def _add(self, data: bytes) -> None:
        self._next += 1
        self._waiting += len(data)
        self._arrived.append(data)
        os.eventfd_write(self._wake, 1)

    async def _lack(self, client: Client) -> None:
        """Begin anew after a gap, unless it is one of the stream itself."""
        self._broken = True
        state = json.loads(await ask(client, f"$JS.API.STREAM.INFO.{self._stream}"))["state"]
        if int(state["first_seq"]) > self._next:
            self._trimmed = True
            os.eventfd_write(self._wake, 1)

    def _now(self) -> float:
        return self._nats.loop.time()


def _consumer_config(inbox: str, first: int) -> dict[str, Any]:
    return {
        "deliver_subject": inbox,
        "deliver_policy": "by_start_sequence",
        "opt_start_seq": first,
        "ack_policy": "none",
        "max_deliver": 1,
        "flow_control": True,
        "idle_heartbeat": int(HEARTBEAT_SECONDS * _NANOSECONDS),
        "mem_storage": True,
        "num_replicas": 1,
        "inactive_threshold": int(10 * SILENCE_SECONDS * _NANOSECONDS),
    }
