"""A connection to a NATS server, on a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final, TypeVar

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from chatd.cluster.nats_address import NatsAddress
from chatd.cluster.nats_connection import connect

# One question to a server on this machine takes a millisecond; one that waits for a majority some more.
ASK_SECONDS: Final = 1.0
FIRST_LIMIT: Final = 60

Result = TypeVar("Result")


class NatsThread:
    """Connects when needed. ``address`` is asked each time: it changes with each start of the server."""

    def __init__(self, address: Callable[[], NatsAddress]) -> None:
        self.loop = asyncio.new_event_loop()
        self._address = address
        self._client: Client | None = None
        # The number of the server that is tried first. Of several outside, each home and thread has another.
        self._first = secrets.randbelow(FIRST_LIMIT)
        self._connecting = asyncio.Lock()
        self._thread = threading.Thread(target=self.loop.run_forever, name="nats", daemon=True)
        self._thread.start()

    def begin(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Begin to run a coroutine on the thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine on the thread. Raises OSError for whatever the server or its absence causes."""
        try:
            return self.begin(work).result()
        except (nats.errors.Error, TimeoutError) as error:
            raise OSError(f"NATS does not answer: {str(error) or type(error).__name__}") from error

    async def connected(self) -> Client:
        """Return the connection; make a new one if it is lost."""
        async with self._connecting:  # else two at once would make two, and forget one
            if self._client is not None and self._client.is_connected:
                return self._client
            return await self._connect()

    async def _connect(self) -> Client:
        if self._client is not None:
            self._first += 1  # that one is lost
        await self._disconnect()
        self._client = client = await connect(self._address(), self._first)
        return client

    def close(self) -> None:
        """Close the connection and end the thread."""
        for work in (self._disconnect(), _cancel_tasks()):
            try:
                self.run(work)
            except OSError:
                pass
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None and not client.is_closed:
            await client.close()


async def ask(client: Client, subject: str, question: object = None, seconds: float = ASK_SECONDS) -> bytes:
    """Return the answer to a question, which is sent as JSON; None sends nothing. Raises nats-py's errors."""
    reply = await client.request(subject, _json(question), timeout=seconds)
    return reply.data


async def ask_all(
    client: Client, subject: str, question: object, take: Callable[[bytes], bool], seconds: float
) -> None:
    """Give ``take`` the answers to a question, until it returns True or so many seconds are over."""
    enough = asyncio.Event()

    async def taken(message: Msg) -> None:
        if take(message.data):
            enough.set()

    reply = client.new_inbox()
    inbox = await client.subscribe(reply, cb=taken)
    await client.publish(subject, _json(question), reply=reply)
    try:
        await asyncio.wait_for(enough.wait(), seconds)
    except TimeoutError:
        pass
    await inbox.unsubscribe()


async def _cancel_tasks() -> None:
    """End what still runs on the loop: nats-py leaves tasks of subscriptions when a connection is lost."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _json(question: object) -> bytes:
    return b"" if question is None else json.dumps(question).encode()
