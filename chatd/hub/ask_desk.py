"""The hub's end of asks: takes them from the enrol process, and sends it each decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatd.errors import ChatdError
from chatd.hub.links import Link
from chatd.hub.state import asks
from chatd.hub.state.ask_book import AskBook, Waiter
from chatd.hub.state.context import Context
from chatd.proto.events import error_frame
from chatd.proto.frames import JsonObject, compact


def answer_question(link: Link, number: int, result: JsonObject | ChatdError) -> None:
    """Send a child the answer to its question."""
    answer: JsonObject = {"type": "ok", "id": number, "result": result}
    if isinstance(result, ChatdError):
        answer = error_frame(number, result)
    link.send(["answer", number], compact(answer))


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
                answer_question(link, waiter.number, error or {})
        self.book.outcomes.clear()
