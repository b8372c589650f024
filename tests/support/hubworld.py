"""Drive the hub's state and policy directly, without processes, log or links."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.hub.sessions import Sessions
from chatd.hub.state import authorize
from chatd.hub.state.ask_book import AskBook
from chatd.hub.state.context import OPERATOR, Context, PresenceView, Principal
from chatd.hub.state.model import State
from chatd.hub.state.reactions import NOT_GIVEN
from chatd.hub.state.rooms import ensure_configured
from chatd.hub.state.rules import Rules
from chatd.proto import requests as rq
from chatd.proto.frames import JsonObject, compact
from chatd.proto.requests import parse_request
from chatd.store.entry import Given, StoredMessage

START = 1_700_000_000_000
DEVICE = "laptop"
# The state only decides whether these are permitted and for which rooms; other parts answer them.
_READS = (rq.Ping, rq.Resume, rq.Search, rq.Stats, rq.Audit, rq.Unread)


class World:
    """A state with its rules and a clock; ``log`` collects every event."""

    def __init__(self, settings: Settings | None = None, state: State | None = None) -> None:
        self.state = state or State()
        self.rules = Rules.from_settings(settings or Settings())
        self.presence: PresenceView = Sessions()
        self.asks = AskBook()
        self.now = START
        self.log: list[JsonObject] = []
        self._messages = 0

    def create_configured_rooms(self) -> None:
        """Create the rooms of the settings."""
        context = self.context(OPERATOR)
        ensure_configured(context)
        self.log += context.events

    def context(self, who: Principal) -> Context:
        """Make the context of a request by this principal, now."""
        return Context(self.state, self.rules, who, self.now, self.presence, self.asks)

    def add_user(self, name: str, role: str | None = None, device: str = DEVICE) -> None:
        """Register a user's device as the operator."""
        serial = f"{len(self.log) + 1:x}"
        self.ask(OPERATOR, "user_add", user=name, device=device, serial=serial, role=role)

    def ask_as_operator(self, kind: str, /, **fields: Any) -> JsonObject:
        """Decide a request that the operator makes."""
        return self.ask(OPERATOR, kind, **fields)

    def ask(self, who: Principal | str, kind: str, /, **fields: Any) -> JsonObject:
        """Decide one request as the hub does.

        Raises ChatdError when it is refused; asserts that the state has not changed then.
        """
        principal = Principal(who, DEVICE) if isinstance(who, str) else who
        if kind in ("send", "edit") and "msg_id" not in fields:
            self._messages += 1
            fields["msg_id"] = f"{self._messages:032x}"
        request = parse_request({"type": kind, "id": 1} | fields)
        context = self.context(principal)
        before = self.state.head
        try:
            result = _carry_out(self, context, request)
        except ChatdError:
            assert self.state.head == before, f"{kind} changed the state although it was refused"
            assert not context.events
            assert not context.cuts
            raise
        self.log += context.events
        return result

    def outcome(self, who: Principal | str, kind: str, /, **fields: Any) -> str:
        """Decide a request; return "ok" or the error code."""
        try:
            self.ask(who, kind, **fields)
        except ChatdError as error:
            return error.code
        return "ok"

    def refusal_text(self, who: Principal | str, kind: str, /, **fields: Any) -> str:
        """Decide a request; return the refusal as people read it, or "" if it was permitted."""
        try:
            self.ask(who, kind, **fields)
        except ChatdError as error:
            return str(error)
        return ""


class _Entries:
    """The messages of a world's log. Implements `chatd.hub.state.context.EntryView`."""

    def __init__(self, world: World, asker: str) -> None:
        self._world = world
        self._asker = asker

    def message(self, room: str, seq: int) -> StoredMessage:
        """Return a message as the log has it; an unknown one is the asker's own."""
        found = StoredMessage("message", room, self._asker, self._world.now, b'{"kind":"text"}', ())
        for event in self._world.log:
            body = compact(event)
            if event["seq"] == seq:
                device = f"{event.get('user')}/{event.get('device')}"
                found = StoredMessage(event["type"], event["room"], device, event["at"], body, ())
            elif event["type"] == "edited" and event["target"] == seq:
                found = found._replace(body=body, edits=(*found.edits, event["seq"]))
        return found

    def given(self, seq: int, text: str, user: str) -> Given:
        """No world tells of reactions."""
        return NOT_GIVEN


def _carry_out(world: World, context: Context, request: rq.AnyRequest) -> JsonObject:
    if isinstance(request, rq.History | rq.Messages):
        authorize.permit(context, request)
        context.member(request.room)
        return {"rooms": [request.room]}
    if isinstance(request, _READS):
        authorize.permit(context, request)
        return {"rooms": context.readable()}
    if isinstance(request, rq.Reactions):
        authorize.permit(context, request)
        context.member(request.room)
        return {"reactions": []}
    context.entries = _Entries(world, context.who.device_id)
    return authorize.decide(context, request)


def copier(build: Callable[[], World]) -> Callable[[], World]:
    """Build a world once; return a function that makes a fresh copy of it."""
    original = build()
    snapshot = original.state.snapshot()

    def copy() -> World:
        world = World(original.rules.settings, State.restore(snapshot))
        world.now, world.rules = original.now, original.rules
        return world

    return copy
