"""Fetch the messages that those on the screen reply to."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from chatctl.model import paging
from chatctl.model.chat_model import ChatModel
from chatctl.window.network import Failed, PendingReply
from chatd.errors import ChatdError

Spawn = Callable[[Coroutine[PendingReply, Any, None], Failed], None]


class QuoteFetch:
    """Fetches what the current conversation wants, one request at a time."""

    def __init__(self, model: ChatModel, spawn: Spawn) -> None:
        self._model = model
        self._spawn = spawn
        self._fetching = False

    def want(self) -> None:
        """Fetch what is missing, unless that is under way."""
        if self._model.here.wanted and not self._fetching and self._model.connection == "connected":
            self._fetching = True
            self._spawn(self._fetch(self._model.current), self._failed)

    async def _fetch(self, name: str) -> None:
        where = self._model.conversation(name)
        wanted = frozenset(where.wanted)
        where.wanted.clear()
        request = PendingReply("messages", {"room": name}, lambda ask: paging.quoted(ask, name, wanted))
        self._model.set_quotes(name, await request)
        self._fetching = False
        self.want()

    def _failed(self, _: ChatdError) -> None:
        # The replies only lack their quotes.
        self._fetching = False
