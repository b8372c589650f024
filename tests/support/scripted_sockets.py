"""WebSockets of a page whose server is a function in the test: what no real server would answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from playwright.sync_api import WebSocketRoute

from chatd.proto.frames import decode, encode, split

Frame = dict[str, Any]
# Bytes are sent as they are, texts as a text message, and "close" closes.
Answer = Frame | bytes | str


class ScriptedSocket:
    """Answers each message of the page; ``received`` has the frames and texts."""

    def __init__(self, greeting: Iterable[Answer], answer: Callable[[Frame], Iterable[Answer]]) -> None:
        self.received: list[Frame] = []
        self.opened = 0
        self._greeting, self._answer = list(greeting), answer

    def serve(self, route: WebSocketRoute) -> None:
        """Take one connection."""
        self.opened += 1
        route.on_message(lambda message: self._take(route, message))
        self._send(route, self._greeting)

    def _take(self, route: WebSocketRoute, message: str | bytes) -> None:
        frames = [json.loads(message)] if isinstance(message, str) else map(decode, split(message))
        for frame in frames:
            self.received.append(frame)
            self._send(route, self._answer(frame))

    def _send(self, route: WebSocketRoute, answers: Iterable[Answer]) -> None:
        for answer in answers:
            if answer == "close":
                route.close()
            else:
                route.send(encode(answer) if isinstance(answer, dict) else answer)
