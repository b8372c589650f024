"""The stream in NATS JetStream.

Only the core of nats-py is used: its pull subscriptions may not come back after a restart of the server
(nats.py issue 504). The only header of a publish is the expected last sequence number: a wrong expected
message id ends an R3 stream for good in nats-server 2.14 and 2.15.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable
from typing import Any, Final

import nats.errors

from chatd.cluster.jetstream_tail import JetStreamTail
from chatd.cluster.log_link import Outcome, StreamBounds, StreamGoneError, StreamState
from chatd.cluster.nats_address import NatsAddress
from chatd.cluster.nats_thread import ASK_SECONDS, NatsThread, ask
from chatd.cluster.stream_state import NO_QUORUM, NO_STREAM, STREAM, read_stream_state

SUBJECT: Final = "chatd.log"
# A batch has at most 768 KiB of entries; sealing adds less than a KiB.
MESSAGE_BYTES_LIMIT: Final = 1024 * 1024
RETRY_SECONDS: Final = 0.05
# How old `JetStreamLink.state` may be.
STATE_SECONDS: Final = 5.0
UNSETTLED_SECONDS: Final = 1.0  # while no majority takes writes
_EXPECTED: Final = "Nats-Expected-Last-Sequence"
_WRONG_LAST_SEQUENCE: Final = 10071
_NO_MESSAGE: Final = 10037
_MALFORMED: Final = (ValueError, LookupError, TypeError)


class JetStreamLink:
    """A `LogLink`. ``address`` is asked for each connection: it changes with each start of the server."""

    def __init__(self, address: Callable[[], NatsAddress], replicas: int = 1) -> None:
        self._address = address
        self._nats = NatsThread(address)
        self._replicas = replicas
        self._state: StreamState | None = None
        self._watching = False

    def append(self, after: int, data: bytes, seconds: float) -> Outcome:
        """See `LogLink`. Sends the same bytes with the same expectation until the answer is certain."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                outcome = self._nats.run(self._append_once(after, data))
            except OSError:
                outcome = Outcome.UNKNOWN
            if outcome is not Outcome.UNKNOWN or time.monotonic() >= deadline:
                return outcome
            time.sleep(RETRY_SECONDS)

    def read(self, seq: int) -> bytes | None:
        return self._nats.run(self._read(seq))

    def bounds(self) -> StreamBounds:
        state = self._nats.run(self._api(f"STREAM.INFO.{STREAM}"))["state"]
        first, last = int(state["first_seq"]), int(state["last_seq"])
        return StreamBounds(max(first, 1) if state["messages"] else last + 1, last)

    def state(self) -> StreamState | None:
        """See `LogLink`. The first call begins to ask."""
        if not self._watching:
            self._watching = True
            self._nats.begin(self._watch())
        return self._state

    def tail(self, after: int) -> JetStreamTail:
        return JetStreamTail(self._address, STREAM, after)

    def create(self) -> None:
        try:
            self._nats.run(self._api(f"STREAM.DELETE.{STREAM}"))
        except StreamGoneError:
            pass
        self._nats.run(self._api(f"STREAM.CREATE.{STREAM}", stream_config(self._replicas)))

    def trim(self, upto: int) -> None:
        self._nats.run(self._api(f"STREAM.PURGE.{STREAM}", {"seq": upto + 1}))

    def close(self) -> None:
        """Close the connection and end the thread."""
        self._nats.close()

    async def _watch(self) -> None:
        while True:
            try:
                self._state = read_stream_state(await self._api(f"STREAM.INFO.{STREAM}"))
            except (nats.errors.Error, OSError, TimeoutError, StreamGoneError, *_MALFORMED):
                self._state = NO_QUORUM
            await asyncio.sleep(STATE_SECONDS if self._state.quorum else UNSETTLED_SECONDS)

    async def _append_once(self, after: int, data: bytes) -> Outcome:
        client = await self._nats.connected()
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
        client = await self._nats.connected()
        answer: dict[str, Any] = json.loads(await ask(client, f"$JS.API.{name}", question))
        error = answer.get("error")
        if error is None or error.get("err_code") == _NO_MESSAGE:
            return answer
        if error.get("err_code") == NO_STREAM:
            raise StreamGoneError
        raise OSError(f"NATS refuses: {error.get('description')}")


def stream_config(replicas: int) -> dict[str, object]:
    """Return the settings with which the stream is made."""
    return {
        "name": STREAM,
        "subjects": [SUBJECT],
        "retention": "limits",
        "storage": "file",
        "discard": "new",
        "num_replicas": replicas,
        "max_msg_size": MESSAGE_BYTES_LIMIT,
        # Any server answers a direct read, also one that is behind: only the tail reads so (JetStreamTail).
        "allow_direct": True,
        "deny_delete": True,
        # Nanoseconds; the least: what is stored twice is told apart by its place.
        "duplicate_window": 100_000_000,
    }
