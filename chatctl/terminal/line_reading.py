"""What the line client asks the server while somebody reads: what is unread, quotes, and read markers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from functools import partial
from typing import Any

from chatctl.model import paging
from chatctl.model.chat_model import ChatModel
from chatctl.model.marker_sender import Marker, MarkerSender
from chatctl.model.paging import RequestFunction
from chatd.errors import ChatdError


class Reading:
    """Requests for ``model``: ``on_thread`` runs one on a thread, ``spawn`` a coroutine in the background."""

    def __init__(
        self,
        model: ChatModel,
        request: RequestFunction,
        on_thread: Callable[[Callable[[], Any]], Awaitable[Any]],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._model = model
        self._request = request
        self._on_thread = on_thread
        self._spawn = spawn
        self.markers = MarkerSender(model)

    async def load_unread(self) -> None:
        """Let the server count what is unread."""
        self._model.set_unread(await self._on_thread(partial(paging.unread, self._request)))

    async def load_quotes(self, room: str, seqs: Iterable[int] = ()) -> None:
        """Fetch messages that others reply to, ``seqs`` among them; if that fails, the quotes are missing."""
        where = self._model.conversation(room)
        for seq in seqs:
            where.want(seq)
        wanted = frozenset(where.wanted)
        if not wanted:
            return
        where.wanted.clear()
        try:
            found = await self._on_thread(partial(paging.quoted, self._request, room, wanted))
        except ChatdError:
            return
        self._model.set_quotes(room, found)

    def send_markers(self) -> None:
        """Send the read markers that are due."""
        if self._model.connection == "connected":
            for marker in self.markers.due(asyncio.get_running_loop().time()):
                self._spawn(self._send(marker))

    async def _send(self, marker: Marker) -> None:
        try:
            await self._on_thread(partial(self._request, "read", room=marker.room, seq=marker.seq))
        except ChatdError as error:
            self.markers.failed(marker, error)
