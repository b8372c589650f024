"""A hub's state without its processes: users, rooms and requests decided by the real policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.hub.sessions import Sessions
from chatd.hub.state import authorize
from chatd.hub.state.context import OPERATOR, Context, PresenceView, Principal
from chatd.hub.state.model import State
from chatd.hub.state.rooms import ensure_configured
from chatd.hub.state.rules import Rules
from chatd.proto import requests as rq
from chatd.proto.frames import JsonObject
from chatd.proto.requests import parse_request

START = 1_700_000_000_000
DEVICE = "laptop"
# Answered by the backend after the decision whether they are permitted, and from which rooms.
_READS = (rq.Ping, rq.Resume, rq.Search, rq.Stats)


class World:
    """State, rules and a clock. Keeps the log of what happened in ``log``."""

    def __init__(self, settings: Settings | None = None, state: State | None = None) -> None:
        self.state = state or State()
        self.rules = Rules.from_settings(settings or Settings())
        self.presence: PresenceView = Sessions()
        self.now = START
        self.log: list[JsonObject] = []
        self._messages = 0

    def settle(self) -> None:
        """Create the rooms of the settings."""
        context = self.context(OPERATOR)
        ensure_configured(context)
        self.log += context.events

    def context(self, who: Principal) -> Context:
        """A turn of this principal, now."""
        return Context(self.state, self.rules, who, self.now, self.presence)

    def user(self, name: str, role: str | None = None, device: str = DEVICE) -> None:
        """Register a user's device on the box."""
        serial = f"{len(self.log) + 1:x}"
        self.ask(OPERATOR, "user_add", user=name, device=device, serial=serial, role=role)

    def box(self, kind: str, /, **fields: Any) -> JsonObject:
        """A request made on the box."""
        return self.ask(OPERATOR, kind, **fields)

    def ask(self, who: Principal | str, kind: str, /, **fields: Any) -> JsonObject:
        """Decide one request as the hub does. Raises what refuses it; then nothing has happened."""
        principal = Principal(who, DEVICE) if isinstance(who, str) else who
        if kind == "send" and "msg_id" not in fields:
            self._messages += 1
            fields["msg_id"] = f"{self._messages:032x}"
        request = parse_request({"type": kind, "id": 1} | fields)
        context = self.context(principal)
        before = self.state.head
        try:
            result = _carry_out(context, request)
        except ChatdError:
            assert self.state.head == before, f"{kind} was refused after it had happened"
            assert not context.events
            assert not context.cuts
            raise
        self.log += context.events
        return result

    def outcome(self, who: Principal | str, kind: str, /, **fields: Any) -> str:
        """ "ok" or the code of the refusal."""
        try:
            self.ask(who, kind, **fields)
        except ChatdError as error:
            return error.code
        return "ok"

    def words(self, who: Principal | str, kind: str, /, **fields: Any) -> str:
        """The refusal as people read it, "" for none."""
        try:
            self.ask(who, kind, **fields)
        except ChatdError as error:
            return str(error)
        return ""


def _carry_out(context: Context, request: rq.AnyRequest) -> JsonObject:
    if isinstance(request, rq.History):
        authorize.permit(context, request)
        context.member(request.room)
        return {"rooms": [request.room]}
    if isinstance(request, _READS):
        authorize.permit(context, request)
        return {"rooms": context.readable()}
    if isinstance(request, rq.Redact):
        context.target = ("message", request.room)
    return authorize.decide(context, request)


def copies(build: Callable[[], World]) -> Callable[[], World]:
    """A function that gives a fresh copy of the world that ``build`` makes once."""
    original = build()
    snapshot = original.state.snapshot()

    def copy() -> World:
        world = World(original.rules.settings, State.restore(snapshot))
        world.now, world.rules = original.now, original.rules
        return world

    return copy
