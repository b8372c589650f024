"""Log what the word filter let through."""

from __future__ import annotations

from chatd.hub.state.context import Context
from chatd.logs.logger import get_log
from chatd.logs.repeats import Repeats
from chatd.policy.filter_rules import FilterAction

log_audit = get_log("audit")
log_security = get_log("security")

_EVENTS = {
    FilterAction.WARN: "filter_warned",
    FilterAction.REDACT: "filter_masked",
    FilterAction.HOLD: "filter_held",
}


def log_filtered(context: Context, seq: int, repeats: Repeats) -> None:
    """Log the forbidden words of a message that was sent; ``repeats`` bounds what anybody can cause."""
    who = context.who
    if context.overridden:
        log_audit.info(
            "filter_overridden", user=who.user, device=who.device, seq=seq, word=context.overridden
        )
    for action, word, _ in context.filtered:
        if action in _EVENTS and (context.held or action is not FilterAction.HOLD):
            details: dict[str, object] = {"device": who.device, "seq": seq}
            repeats.note(log_security.info, _EVENTS[action], who.device, details, user=who.user, word=word)
