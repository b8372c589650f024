"""What enrol and the gateway ask the hub: one answer for each question."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chatd.errors import ChatdError
from chatd.hub.ask_desk import AskDesk, answer_question
from chatd.hub.hook_posts import HookPosts
from chatd.hub.links import Link
from chatd.hub.state import invites, renewals
from chatd.hub.state.context import OPERATOR, Context, Principal
from chatd.link.wire import ENROL_NAME, GATEWAY_NAME
from chatd.proto.frames import JsonObject

Answer = Callable[[Link, list[Any]], None]
# The questions that only the leader of a cluster answers: they add to the log, or concern what only it knows.
DECIDED = frozenset(("check", "redeem", "check_renewal", "renew", "ask", "hooks", "post"))


class ChildQuestions:
    """Answers the children that have other business than sessions.

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
        # Name of a link -> its questions.
        self._questions: dict[str, dict[str, Answer]] = {
            ENROL_NAME: {
                "hello": lambda link, arguments: link.hello(*arguments),
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

    def of(self, name: str, operation: str) -> Answer | None:
        """Return what answers an operation of the link with this name; None if that is no question."""
        return self._questions.get(name, {}).get(operation)

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
