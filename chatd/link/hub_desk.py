"""A child's questions to the hub over one link: each answer goes to whoever asked."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable
from typing import Any

from chatd.errors import ChatdError
from chatd.link.wire import LINK_VERSION, LinkBuffer, LinkClosedError, pack, receive_frames
from chatd.proto.frames import JsonObject, decode

# Pause between two attempts to reach the hub.
RECONNECT_SECONDS = 0.05

Answered = Callable[[JsonObject | ChatdError], None]


class HubDesk:
    """One link, which ``open_socket`` connects. While there is none, questions fail with E502.

    The questions must be small and few: the socket's buffer has to hold all of them. ``lost_fix`` advises
    whoever asked a question whose answer was lost with the link.
    """

    def __init__(self, open_socket: Callable[[], socket.socket], lost_fix: str = "") -> None:
        self._open_socket = open_socket
        self._lost_fix = lost_fix
        self._sock: socket.socket | None = None
        self._incoming = LinkBuffer()
        self._waiting: dict[int, Answered] = {}
        self._number = 0
        self._next_connect = 0.0

    def fileno(self) -> int:
        return self._sock.fileno() if self._sock else -1

    def keep_connected(self, selector: selectors.BaseSelector, tick: float) -> float:
        """Connect if there is no link, and register with ``selector``, whose data are functions to call.

        Call it in each iteration; returns for how long the selector may wait, at most ``tick`` seconds.
        """
        now = time.monotonic()
        if self._sock is None and now >= self._next_connect:
            self._next_connect = now + RECONNECT_SECONDS
            if self._connect():
                selector.register(self, selectors.EVENT_READ, lambda: self._receive_from(selector))
        return tick if self._sock is not None else RECONNECT_SECONDS

    def _receive_from(self, selector: selectors.BaseSelector) -> None:
        if not self._receive():
            selector.unregister(self)
            self._disconnect()

    def _connect(self) -> bool:
        """Open the link; return whether that worked."""
        try:
            sock = self._open_socket()
            sock.setblocking(False)
            sock.send(pack(["hello", LINK_VERSION]))
        except OSError:
            return False
        self._sock, self._incoming = sock, LinkBuffer()
        return True

    def ask(self, operation: str, arguments: list[Any], answered: Answered) -> None:
        """Ask the hub; ``answered`` gets the result, or the error that refuses it. E503: outcome unknown."""
        self._number += 1
        frame = pack([operation, self._number, *arguments])
        if self._sock is None or not self._send(self._sock, frame):
            answered(ChatdError("E502", "the server is restarting", "try again in a moment"))
            return
        self._waiting[self._number] = answered

    def _receive(self) -> bool:
        """Pass on the answers that have arrived; return False if the link is lost."""
        if self._sock is None:
            return False
        try:
            for header, payload in receive_frames(self._sock, self._incoming):
                if header[0] == "answer":
                    self._answer(header[1], decode(payload))
        except (LinkClosedError, ValueError, LookupError, ChatdError):
            return False
        return True

    def _disconnect(self) -> None:
        """Close the link; the outcome of what was asked is unknown."""
        if self._sock is not None:
            self._sock.close()
        self._sock = None
        waiting, self._waiting = self._waiting, {}
        for answered in waiting.values():
            answered(ChatdError("E503", fix=self._lost_fix))

    def _answer(self, number: int, message: JsonObject) -> None:
        answered = self._waiting.pop(number, None)
        if answered is None:
            return
        if message["type"] == "ok":
            answered(message["result"])
        else:
            answered(ChatdError(message["code"], message["reason"], message["fix"]))

    @staticmethod
    def _send(sock: socket.socket, frame: bytes) -> bool:
        try:
            return sock.send(frame) == len(frame)
        except OSError:
            return False
