"""The stream in NATS JetStream.

Only the core of nats-py is used: its pull subscriptions may not come back after a restart of the server
(nats.py issue 504). The only header of a publish is the expected last sequence number: a wrong expected
message id ends an R3 stream for good in nats-server 2.14 and 2.15.
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

import nats
import nats.errors
from nats.aio.client import Client

from chatd.cluster.log_link import Outcome, StreamBounds, StreamGoneError
from chatd.cluster.nats_address import NatsAddress

STREAM: Final = "CHATD"
SUBJECT: Final = "chatd.log"
# A batch has at most 768 KiB of entries; sealing adds less than a KiB.
MESSAGE_BYTES_LIMIT: Final = 1024 * 1024
# One question to a server on this machine takes a millisecond; one that waits for a majority some more.
ASK_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 0.05
_EXPECTED: Final = "Nats-Expected-Last-Sequence"
_WRONG_LAST_SEQUENCE: Final = 10071
_NO_STREAM: Final = 10059
_NO_MESSAGE: Final = 10037

Result = TypeVar("Result")


class JetStreamLink:
    """A `LogLink`. ``address`` is asked for each connection: it changes with each start of the server."""

    def __init__(self, address: Callable[[], NatsAddress], replicas: int = 1) -> None:
        self._address = address
        self._replicas = replicas
        self._client: Client | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="nats", daemon=True)
        self._thread.start()

    def append(self, after: int, data: bytes, seconds: float) -> Outcome:
        """See `LogLink`. Sends the same bytes with the same expectation until the answer is certain."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                outcome = self._run(self._append_once(after, data))
            except OSError:
                outcome = Outcome.UNKNOWN
            if outcome is not Outcome.UNKNOWN or time.monotonic() >= deadline:
                return outcome
            time.sleep(RETRY_SECONDS)

    def read(self, seq: int) -> bytes | None:
        return self._run(self._read(seq))

    def bounds(self) -> StreamBounds:
        state = self._run(self._api(f"STREAM.INFO.{STREAM}"))["state"]
        first, last = int(state["first_seq"]), int(state["last_seq"])
        return StreamBounds(max(first, 1) if state["messages"] else last + 1, last)

    def create(self) -> None:
        try:
            self._run(self._api(f"STREAM.DELETE.{STREAM}"))
        except StreamGoneError:
            pass
        self._run(self._api(f"STREAM.CREATE.{STREAM}", _stream_config(self._replicas)))

    def trim(self, upto: int) -> None:
        self._run(self._api(f"STREAM.PURGE.{STREAM}", {"seq": upto + 1}))

    def close(self) -> None:
        """Close the connection and end the thread."""
        try:
            self._run(self._disconnect())
        except OSError:
            pass
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine on the thread. Raises OSError for whatever the server or its absence causes."""
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()
        except (nats.errors.Error, TimeoutError) as error:
            raise OSError(f"NATS does not answer: {str(error) or type(error).__name__}") from error

    async def _connected(self) -> Client:
        client = self._client
        if client is not None and client.is_connected:
            return client
        await self._disconnect()
        address = self._address()
        # Without reconnection of its own: a publish after one may wait for nothing (nats.py issue 354).
        connecting = nats.connect(
            address.url,
            user=address.user,
            password=address.password,
            allow_reconnect=False,
            error_cb=_ignore,
            max_outstanding_pings=2,
            ping_interval=2,
        )
        # It would try for two minutes.
        self._client = client = await asyncio.wait_for(connecting, ASK_SECONDS)
        return client

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None and not client.is_closed:
            await client.close()

    async def _append_once(self, after: int, data: bytes) -> Outcome:
        client = await self._connected()
        reply = await client.request(SUBJECT, data, timeout=ASK_SECONDS, headers={_EXPECTED: str(after)})
        answer = json.loads(reply.data)
        if "error" not in answer:
            if int(answer["seq"]) == after + 1:
                return Outcome.IN
        elif answer["error"].get("err_code") != _WRONG_LAST_SEQUENCE:
            return Outcome.UNKNOWN
        # This also counts messages that are still on their way, perhaps our own: only reading tells.
        stored = await self._read(after + 1)
        if stored is None:
            return Outcome.UNKNOWN
        return Outcome.IN if stored == data else Outcome.RIVAL

    async def _read(self, seq: int) -> bytes | None:
        try:
            answer = await self._api(f"STREAM.MSG.GET.{STREAM}", {"seq": seq})
        except StreamGoneError:
            return None
        message = answer.get("message")
        return base64.b64decode(message.get("data", "")) if message else None

    async def _api(self, name: str, question: object = None) -> dict[str, Any]:
        client = await self._connected()
        data = b"" if question is None else json.dumps(question).encode()
        reply = await client.request(f"$JS.API.{name}", data, timeout=ASK_SECONDS)
        answer: dict[str, Any] = json.loads(reply.data)
        error = answer.get("error")
        if error is None or error.get("err_code") == _NO_MESSAGE:
            return answer
        if error.get("err_code") == _NO_STREAM:
            raise StreamGoneError
        raise OSError(f"NATS refuses: {error.get('description')}")


def _stream_config(replicas: int) -> dict[str, object]:
    return {
        "name": STREAM,
        "subjects": [SUBJECT],
        "retention": "limits",
        "storage": "file",
        "discard": "new",
        "num_replicas": replicas,
        "max_msg_size": MESSAGE_BYTES_LIMIT,
        "allow_direct": False,  # a direct read may be answered by a server that is behind
        "deny_delete": True,
        # Nanoseconds; the least: what is stored twice is told apart by its place.
        "duplicate_window": 100_000_000,
    }


async def _ignore(_: Exception) -> None:
    return
