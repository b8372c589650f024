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


def ended_error(user: str, why: str = "") -> ChatdError:
    """Return the refusal of a guest whose time has ended."""
    return ChatdError("E219", f"the time of {user} as a guest has ended{_because(why)}")


def revoked_error(user: str, device: str, why: str) -> ChatdError:
    """Return the refusal of a revoked device."""
    return ChatdError("E206", f"the device {user}/{device} was revoked{_because(why)}")


def removed_error(user: str, why: str) -> ChatdError:
    """Return the refusal of a removed user, whom neither another device nor an admin's invite brings back."""
    fix = f"ask the operator of the server, who alone can undo it: chatd user add {user} --device NEW"
    return ChatdError("E206", f"the user {user} was removed{_because(why)}", fix)


def sanction_error(code: str, user: str, word: str, sanction: Sanction, now: int) -> ChatdError:
    """Return the refusal of a banned or kicked user. Nobody waits for what does not end by itself."""
    return ChatdError(code, sanction_text(user, word, sanction, now), sanction_fix(sanction))


def sanction_fix(sanction: Sanction) -> str:
    """Return the advice for a sanction without an end; "" lets the code's own stand."""
    return "ask an admin" if sanction.until is None else ""


def sanction_text(user: str, word: str, sanction: Sanction, now: int) -> str:
    """Return a sentence such as "bob is banned for 2h: spam"."""
    return f"{user} is {word} {until_text(sanction, now)}{_because(sanction.reason)}"


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
    return Cut(user, None, sanction_error(code, user, word, sanction, event["at"]), notice)


def _revoked(_: StateTables, event: JsonObject) -> Cut:
    user, device = event["user"], event["device"]
    return Cut(user, device, revoked_error(user, device, event["reason"]))


def _removed(_: StateTables, event: JsonObject) -> Cut:
    return Cut(event["user"], None, removed_error(event["user"], event["reason"]))


def _because(why: str) -> str:
    return f": {why}" if why else ""


def _ended(_: StateTables, event: JsonObject) -> Cut:
    return Cut(event["user"], None, ended_error(event["user"], event["reason"]))


_CUTS: dict[str, Callable[[StateTables, JsonObject], Cut]] = {
    "banned": _banned,
    "kicked": _kicked,
    "device_revoked": _revoked,
    "user_removed": _removed,
    "guest_ended": _ended,
}
