"""The hub's end of asks: takes them from the enrol process, and sends it each decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatd.hub.links import Link
from chatd.hub.state import asks
from chatd.hub.state.ask_book import AskBook, Waiter
from chatd.hub.state.context import Context
from chatd.proto.events import error_frame
from chatd.proto.frames import JsonObject, compact


class AskDesk:
    """The asks of one hub, and the links to answer."""

    def __init__(self, links: Mapping[int, Link]) -> None:
        self.book = AskBook()
        self._links = links

    def take(self, context: Context, link: Link, number: int, *asked: Any) -> None:
        """Take an ask; its answer comes with the decision."""
        asks.take(context, Waiter(link.number, number), *asked)
        self.settle()

    def expire(self, now: int) -> None:
        """End the asks whose time is over."""
        if self.book.by_key:
            self.book.expire(now)
            self.settle()

    def settle(self) -> None:
        """Send the decisions made since the last call; they leave with the batch that holds their events."""
        for waiter, error in self.book.outcomes:
            link = self._links.get(waiter.link)
            if link is not None:
                ok: JsonObject = {"type": "ok", "id": waiter.number, "result": {}}
                answer = ok if error is None else error_frame(waiter.number, error)
                link.send(["answer", waiter.number], compact(answer))
        self.book.outcomes.clear()
