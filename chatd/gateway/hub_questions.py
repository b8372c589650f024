"""The gateway's questions to the hub, over the link that its sessions use."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import Future
from typing import Any

from chatd.errors import ChatdError
from chatd.proto.frames import JsonObject, decode
from chatd.worker.hub_link import HubLink

# The hub answers in a millisecond; a restart of it takes less than half a second.
WAIT_SECONDS = 3.0


class HubQuestions:
    """`ask` is for any thread; the worker's loop calls `answered` and `lost`."""

    def __init__(self, link: HubLink) -> None:
        self._link = link
        self._numbers = itertools.count(1)
        # Protects the numbers and what waits for them.
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[JsonObject]] = {}

    def ask(self, operation: str, *arguments: Any) -> JsonObject:
        """Return the hub's answer, or raise the error that refuses the question.

        Raises E502 while there is no hub, E503 if the answer was lost with it, E611 if none comes.
        """
        future: Future[JsonObject] = Future()
        with self._lock:
            number = next(self._numbers)
            self._waiting[number] = future
        try:
            if not self._link.ask([operation, number, *arguments]):
                raise ChatdError("E502", "the server is restarting", "try again in a moment")
            return future.result(WAIT_SECONDS)
        except TimeoutError:
            raise ChatdError("E611", "the hub does not answer") from None
        finally:
            with self._lock:
                self._waiting.pop(number, None)

    def answered(self, number: int, payload: bytes) -> None:
        """Pass an answer on to the thread that waits for it."""
        with self._lock:
            future = self._waiting.pop(number, None)
        if future is None:
            return  # it has given up
        message = decode(payload)
        if message["type"] == "ok":
            future.set_result(message["result"])
        else:
            future.set_exception(ChatdError(message["code"], message["reason"], message["fix"]))

    def lost(self) -> None:
        """Tell every thread that waits that the link is lost, and the outcome unknown."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            future.set_exception(ChatdError("E503"))
