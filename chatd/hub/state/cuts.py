"""The cuts that follow from events: every node that applies one ends the sessions that it has."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from chatd.errors import ChatdError
from chatd.hub.state.entities import Sanction
from chatd.hub.state.state_tables import StateTables
from chatd.proto.durations import two_units
from chatd.proto.frames import JsonObject


class Cut(NamedTuple):
    """Sessions to end now: all of ``user``'s, or those of one ``device``.

    ``notice``: fields added to the user's "offline" presence event. With it that event is sent even if no
    session ends.
    """

    user: str
    device: str | None
    error: ChatdError
    notice: JsonObject | None = None


def cut_of(state: StateTables, event: JsonObject) -> Cut | None:
    """Return the cut that follows from an event, which the state has applied; None for most events."""
    make = _CUTS.get(event["type"])
    return None if make is None else make(state, event)


def ended_error(user: str) -> ChatdError:
    """Return the refusal of a guest whose time has ended."""
    return ChatdError("E219", f"the time of {user} as a guest has ended")


def sanction_text(user: str, word: str, sanction: Sanction, now: int) -> str:
    """Return a sentence such as "bob is banned for 2h: spam"."""
    reason = f": {sanction.reason}" if sanction.reason else ""
    return f"{user} is {word} {until_text(sanction, now)}{reason}"


def until_text(sanction: Sanction, now: int) -> str:
    """Return how much longer a sanction lasts: "for 2h", later "for another 1h 12m"."""
    if sanction.until is None:
        return "until an admin ends it"
    return ("for " if now <= sanction.at else "for another ") + duration_text(now, sanction.until)


def duration_text(now: int, until: int) -> str:
    """Return the time between two times in ms in its two largest units, such as "1h 12m"."""
    return two_units(-((now - until) // 1000))


def _banned(state: StateTables, event: JsonObject) -> Cut:
    return _sanctioned(event, "E207", "banned", state.bans[event["user"]])


def _kicked(state: StateTables, event: JsonObject) -> Cut:
    return _sanctioned(event, "E208", "kicked", state.kicks[event["user"]])


def _sanctioned(event: JsonObject, code: str, word: str, sanction: Sanction) -> Cut:
    user = event["user"]
    identity: JsonObject = {name: event[name] for name in ("by_uid", "by_login") if name in event}
    notice = {"cause": word, "by": event["by"], **identity, "reason": sanction.reason}
    return Cut(user, None, ChatdError(code, sanction_text(user, word, sanction, event["at"])), notice)


def _revoked(_: StateTables, event: JsonObject) -> Cut:
    user, device = event["user"], event["device"]
    return Cut(user, device, ChatdError("E206", f"the device {user}/{device} was revoked{_because(event)}"))


def _removed(_: StateTables, event: JsonObject) -> Cut:
    user = event["user"]
    return Cut(user, None, ChatdError("E206", f"the user {user} was removed{_because(event)}"))


def _because(event: JsonObject) -> str:
    return f": {event['reason']}" if event["reason"] else ""


def _ended(_: StateTables, event: JsonObject) -> Cut:
    return Cut(event["user"], None, ended_error(event["user"]))


_CUTS: dict[str, Callable[[StateTables, JsonObject], Cut]] = {
    "banned": _banned,
    "kicked": _kicked,
    "device_revoked": _revoked,
    "user_removed": _removed,
    "guest_ended": _ended,
}
