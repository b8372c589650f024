"""What enrol and the gateway ask the hub: one answer for each question."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chatd.errors import ChatdError
from chatd.hub.ask_desk import AskDesk, answer_question
from chatd.hub.hook_posts import HookPosts
from chatd.hub.links import Link, UnknownOperationError
from chatd.hub.state import invites, renewals
from chatd.hub.state.context import OPERATOR, Context, Principal
from chatd.link.wire import ENROL_NAME, GATEWAY_NAME, Header
from chatd.proto.frames import JsonObject

Answer = Callable[[Link, list[Any]], None]


class ChildQuestions:
    """Answers the children that are no workers.

    ``record`` records a context's events, ``end_if_half_done`` is told of defects, and ``metrics`` returns
    what the gateway publishes. ``asks`` answers an ask once it is decided, ``hooks`` what
    the gateway asks about hooks.
    """

    def __init__(
        self,
        context: Callable[[Principal], Context],
        record: Callable[[Context], None],
        end_if_half_done: Callable[[Exception], None],
        metrics: Callable[[], JsonObject],
        asks: AskDesk,
        hooks: HookPosts,
    ) -> None:
        self._context = context
        self._record = record
        self._end_if_half_done = end_if_half_done
        self._metrics = metrics
        self._asks = asks
        self._hooks = hooks
        # Name of a link -> its operations, besides "hello".
        self.operations: dict[str, dict[str, Answer]] = {
            ENROL_NAME: {
                "check": self._check_invite,
                "redeem": self._redeem_invite,
                "check_renewal": self._check_renewal,
                "renew": self._renew,
                "ask": self._take_ask,
            },
            GATEWAY_NAME: {
                "metrics": self._publish,
                "hooks": self._hooks_of_room,
                "post": self._post,
            },
        }

    def take(self, link: Link, header: Header) -> None:
        """Answer a question. Raises UnknownOperationError, and others for bad arguments."""
        if header[0] == "hello":
            link.hello(*header[1:])
            return
        answer = self.operations[link.name].get(header[0])
        if answer is None:
            raise UnknownOperationError(str(header[0])[:40])
        answer(link, header[1:])

    def _publish(self, link: Link, arguments: list[Any]) -> None:
        (number,) = arguments
        answer_question(link, number, self._metrics())

    def _check_invite(self, link: Link, arguments: list[Any]) -> None:
        self._decide(link, arguments, invites.check)

    def _redeem_invite(self, link: Link, arguments: list[Any]) -> None:
        self._decide(link, arguments, invites.redeem)

    def _check_renewal(self, link: Link, arguments: list[Any]) -> None:
        self._decide(link, arguments, renewals.check)

    def _renew(self, link: Link, arguments: list[Any]) -> None:
        self._decide(link, arguments, renewals.renew)

    def _take_ask(self, link: Link, arguments: list[Any]) -> None:
        self._asks.take(self._context(OPERATOR), link, *arguments)

    def _hooks_of_room(self, link: Link, arguments: list[Any]) -> None:
        self._decide(link, arguments, self._hooks.of_room)

    def _post(self, link: Link, arguments: list[Any]) -> None:
        self._decide(link, arguments, self._hooks.post)

    def _decide(self, link: Link, arguments: list[Any], decide: Callable[..., JsonObject]) -> None:
        number, *asked = arguments
        context = self._context(OPERATOR)
        try:
            result: JsonObject | ChatdError = decide(context, *asked)
        except ChatdError as error:
            result = error
        except Exception as error:
            self._end_if_half_done(error)
            raise
        self._record(context)
        answer_question(link, number, result)
