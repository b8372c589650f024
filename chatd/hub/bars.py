"""Moderation on a full disk: record it in a reserve; without one, keep people out in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from chatd.errors import ChatdError
from chatd.hub.state import authorize
from chatd.hub.state.context import Context
from chatd.hub.state.cuts import Cut
from chatd.logs.logger import get_log
from chatd.proto import requests as rq
from chatd.proto.frames import JsonObject

log_audit = get_log("audit")

# User, and the device; None stands for all devices.
_Who = tuple[str, str | None]


class _Bar(NamedTuple):
    error: ChatdError
    until: int | None  # ms since 1970


class Bars:
    """Decides events. On a full disk ``spend`` frees space for those of moderation, or returns False.

    A ban, kick or revocation that cannot be recorded cuts the sessions all the same, and this hub refuses
    further logins. Bounded by the users and devices.
    """

    def __init__(self, spend: Callable[[], bool], cut: Callable[[Cut], None]) -> None:
        self._spend = spend
        self._cut = cut
        self._bars: dict[_Who, _Bar] = {}

    def decide(self, context: Context, request: rq.Request) -> JsonObject:
        """Carry out a request as `authorize.decide` does; raises E504 for what cannot be recorded."""
        context.spend = self._spend if request.spec.urgent else None
        try:
            result = authorize.decide(context, request)
        except ChatdError:
            # Every other check was passed before the event that was refused.
            if context.reserve_used_up and (who := _target(request)) is not None:
                raise self._keep_out(context, who, request) from None
            raise
        if context.events and isinstance(request, rq.Ban | rq.Unban | rq.Kick | rq.Revoke):
            # The log has a newer decision.
            self._bars.pop((request.user, request.device if isinstance(request, rq.Revoke) else None), None)
        return result

    def refuse(self, context: Context) -> None:
        """Refuse the login of a user or device that is kept out. Raises E206, E207 or E208."""
        for device in (None, context.who.device):
            bar = self._bars.get((context.who.user, device))
            if bar is not None and (bar.until is None or context.now < bar.until):
                raise bar.error

    def _keep_out(self, context: Context, who: _Who, request: rq.Request) -> ChatdError:
        user, device = who
        code, done, seconds = _sanction(context, request)
        name = f"{user}/{device}" if device else user
        error = ChatdError(code, f"{name} is {done}, which is not recorded yet: the server's disk is full")
        self._bars[who] = _Bar(error, context.now + seconds * 1000 if seconds else None)
        by = context.who.user
        log_audit.warning(
            "kept_out", user=user, device=device, by=by, **context.who.identity, why=error.reason
        )
        self._cut(Cut(user, device, error, None if device else {"cause": done, "by": by, "reason": ""}))
        return ChatdError(
            "E504",
            f"not recorded, because the disk is full: the sessions of {name} were cut and logins are refused,"
            " but only until the hub restarts",
            "free disk space on the server, then repeat this",
        )


def _target(request: rq.Request) -> _Who | None:
    """Return whom a request keeps out."""
    if isinstance(request, rq.Revoke):
        return request.user, request.device
    if isinstance(request, rq.Ban) or (isinstance(request, rq.Kick) and request.room is None):
        return request.user, None
    return None


def _sanction(context: Context, request: rq.Request) -> tuple[str, str, int | None]:
    """The code for those kept out, the word for it, and its seconds; None lasts until the hub ends."""
    if isinstance(request, rq.Ban):
        return "E207", "banned", request.seconds
    if isinstance(request, rq.Kick):
        return "E208", "kicked", context.rules.settings.limits.kick_seconds
    return "E206", "revoked", None
