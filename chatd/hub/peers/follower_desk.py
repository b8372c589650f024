"""What a hub that follows does instead of deciding: it asks the leader, and passes on the answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from chatd.errors import ChatdError
from chatd.hub.ask_desk import answer_question
from chatd.hub.links import Link
from chatd.hub.parsing import Parsed
from chatd.hub.peers.forwarding import Forwarding
from chatd.hub.reads import Asker
from chatd.hub.state.context import Principal
from chatd.hub.state.user_standing import Shown
from chatd.logs.logger import get_log
from chatd.proto.frames import JsonObject, decode, split
from chatd.proto.requests import RequestKind

log = get_log("server")


class Following(Protocol):
    """The part of the hub that goes on once something is answered."""

    def decide(self, asker: Asker, parsed: Parsed) -> None: ...
    def ask(self, link: Link, operation: str, arguments: list[Any]) -> None: ...
    def note_act(self, act: str, by: JsonObject, fields: JsonObject) -> None: ...
    def refuse(self, asker: Asker, error: ChatdError) -> None: ...
    def is_open(self, asker: Asker) -> bool: ...
    def end_resending(self) -> None: ...


# The number of a link, and of its session.
Opening = tuple[int, int]
# Gets the answer of the leader: what it says, or the error that refuses it.
Decided = Callable[[JsonObject | ChatdError], None]


class FollowerDesk:
    """The hub's way to the leader. Owned by its loop."""

    def __init__(self, forwarding: Forwarding, hub: Following) -> None:
        self._forwarding = forwarding
        self._hub = hub
        # Whether nobody may log in here at the moment.
        self.turns_away = False
        self._opening: set[Opening] = set()
        # Whether a message was refused because the leader could not write.
        self._owes_order = False

    def request(self, asker: Asker, parsed: Parsed) -> None:
        """Have a request answered: by the leader, or here once the session's earlier ones are answered."""
        request = parsed.request
        order = asker.session or asker.link
        if isinstance(request, Exception) or not request.spec.decides:
            self._forwarding.after(order, partial(self._decide_here, asker, parsed))
            return
        who, address = asker.who, asker.session.address if asker.session else ""
        answered = partial(self._answer, asker, is_message=request.spec.kind is RequestKind.SEND)
        repeatable = request.spec.repeatable
        try:
            self._forwarding.ask(
                ["request", *who, address],
                parsed.payload,
                answered,
                partial(self._decide_here, asker, parsed),
                repeatable=repeatable,
                order=order,
            )
        except ChatdError as error:
            self._forwarding.after(order, partial(answered, error))

    def admission(
        self,
        opening: Opening,
        who: tuple[str, str],
        serial: str,
        shown: Shown | None,
        decided: Decided,
        here: Callable[[], None],
    ) -> None:
        """Have the leader note a login; ``decided`` opens the session, or ``here`` if this hub leads then."""
        self._opening.add(opening)

        def unless_closed(act: Callable[[], None]) -> None:
            if opening in self._opening:
                self._opening.discard(opening)
                act()

        self._ask(
            ["admit", *who, serial, *(shown or ())],
            lambda result: unless_closed(partial(decided, result)),
            partial(unless_closed, here),
        )

    def closed(self, opening: Opening) -> None:
        """Forget a session that waits for its admission."""
        self._opening.discard(opening)

    def link_lost(self, link: int) -> None:
        """Forget the sessions of a link that wait for their admission."""
        self._opening = {opening for opening in self._opening if opening[0] != link}

    def question(self, link: Link, operation: str, arguments: list[Any]) -> None:
        """Have a child's question answered."""
        number, *asked = arguments
        here = partial(self._hub.ask, link, operation, arguments)
        self._ask(["question", link.name, operation, asked], partial(answer_question, link, number), here)

    def act(self, act: str, by: JsonObject, fields: JsonObject) -> None:
        """Have an act of an operator's command recorded."""
        here = partial(self._hub.note_act, act, by, fields)
        self._ask(["act", act, by, fields], partial(_tell_lost, act), here)

    def settings(self, who: Principal, body: bytes, decided: Decided, here: Callable[[], None]) -> None:
        """Have the leader share settings; ``body``: see `chatd.cluster.stream_message.pack_settings`."""
        # Not again of another leader: another reload may have come in between.
        self._ask(["settings", *who], decided, here, body, repeatable=False)

    def hook_key(self, adopt: Callable[[bytes], None]) -> None:
        """Ask for the leader's key of signing hooks."""

        def told(result: JsonObject | ChatdError) -> None:
            if not isinstance(result, ChatdError):
                adopt(bytes.fromhex(result["key"]))

        self._ask(["hook_key"], told, lambda: None)

    def _ask(
        self,
        header: list[Any],
        decided: Decided,
        here: Callable[[], None],
        payload: bytes = b"",
        *,
        repeatable: bool = True,
    ) -> None:
        def answered(answer: bytes | ChatdError) -> None:
            decided(_result_of(answer))

        try:
            self._forwarding.ask(header, payload, answered, here, repeatable=repeatable)
        except ChatdError as error:
            decided(error)

    def _decide_here(self, asker: Asker, parsed: Parsed) -> None:
        if self._hub.is_open(asker):
            self._hub.decide(asker, parsed)

    def _answer(self, asker: Asker, answer: bytes | ChatdError, *, is_message: bool) -> None:
        if not self._hub.is_open(asker):
            return
        if is_message:
            self._keep_order(asker, answer)
        if isinstance(answer, ChatdError):
            self._hub.refuse(asker, answer)
        else:
            asker.reply(answer)

    def _keep_order(self, asker: Asker, answer: bytes | ChatdError) -> None:
        """Note a message that could not be written; later ones must not overtake it."""
        code = answer.code if isinstance(answer, ChatdError) else _code_of(answer)
        if code in ("E503", "E504", "E506") and asker.session is not None:
            asker.session.must_resend = self._owes_order = True
        elif self._owes_order and code == "":
            self._owes_order = False
            self._hub.end_resending()


def _tell_lost(act: str, result: JsonObject | ChatdError) -> None:
    if isinstance(result, ChatdError):
        log.warning("act_not_recorded", act=act, code=result.code, why=result.reason)


def _result_of(answer: bytes | ChatdError) -> JsonObject | ChatdError:
    if isinstance(answer, ChatdError):
        return answer
    message = decode(answer)
    if message["type"] == "error":
        return ChatdError(message["code"], message["reason"], message["fix"])
    result: JsonObject = message["result"]
    return result


def _code_of(reply: bytes) -> str:
    """Return the code of a reply that refuses, "" of any other."""
    (payload,) = split(reply)
    return str(decode(payload).get("code", ""))
