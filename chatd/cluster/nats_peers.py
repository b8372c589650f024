"""Messages between hubs over core NATS, which keeps nothing and repeats nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from typing import Any, Final

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from chatd.cluster.nats_address import NatsAddress
from chatd.cluster.nats_thread import NatsThread
from chatd.cluster.peer_link import QUEUE_BYTES, PeerMessage, PeerQueue, pack_message, unpack_message

# One subject for each node, so that all messages of one sender to one node have one order.
PEER_SUBJECT: Final = "chatd.peer."
RETRY_SECONDS: Final = 0.2
# A lost connection is seen when the next message is sent, or after this time.
IDLE_SECONDS: Final = 1.0


class NatsPeers:
    """A `PeerLink`. ``others`` names the other nodes; what comes from anybody else is ignored."""

    def __init__(self, address: Callable[[], NatsAddress], node: str, others: Iterable[str]) -> None:
        self._node = node
        self._others = frozenset(others)
        self._outgoing = PeerQueue()
        self._arrived = PeerQueue()
        self._connected = self._closing = False
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._nats = NatsThread(address)
        self._queued = asyncio.Event()
        self._serving = self._nats.begin(self._serve())

    def fileno(self) -> int:
        return self._wake

    def send(self, to: str | None, kind: str, header: list[Any], payload: bytes = b"") -> None:
        """See `PeerLink`. Without a connection the message is lost: it would be wrong when there is one."""
        if not self._connected:
            return
        data = pack_message(PeerMessage(self._node, kind, header, payload))
        queued = [self._outgoing.append(name, data) for name in (self._others if to is None else (to,))]
        if any(queued):
            self._nats.loop.call_soon_threadsafe(self._queued.set)

    def receive(self) -> list[PeerMessage]:
        try:
            os.eventfd_read(self._wake)
        except BlockingIOError:
            return []
        messages: list[PeerMessage] = []
        for _, data in self._arrived.take():
            try:
                message = unpack_message(data)
            except ValueError:
                continue
            if message.sender in self._others:
                messages.append(message)
        return messages

    def close(self) -> None:
        """Send what waits, and end the thread."""
        self._closing = True
        self._nats.loop.call_soon_threadsafe(self._queued.set)
        self._serving.result()
        self._nats.close()
        os.close(self._wake)

    async def _serve(self) -> None:
        while not self._closing:
            try:
                client = await self._nats.connected()
                await client.subscribe(
                    PEER_SUBJECT + self._node, cb=self._take, pending_bytes_limit=QUEUE_BYTES
                )
                self._connected = True
                await self._pump(client)
            except (nats.errors.Error, OSError, TimeoutError):
                pass
            finally:
                self._connected = False
            self._outgoing.take()
            await asyncio.sleep(RETRY_SECONDS)

    async def _pump(self, client: Client) -> None:
        """Send what is queued until the connection is lost."""
        while client.is_connected:
            self._queued.clear()
            for name, data in self._outgoing.take():
                await client.publish(PEER_SUBJECT + name, data)
            if self._closing:
                return
            try:
                await asyncio.wait_for(self._queued.wait(), IDLE_SECONDS)
            except TimeoutError:
                pass

    async def _take(self, message: Msg) -> None:
        if self._arrived.append(self._node, message.data):
            os.eventfd_write(self._wake, 1)
