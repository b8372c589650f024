"""Answer refused requests: counted, some in audit.log, with advice that fits the asker."""

from __future__ import annotations

from collections.abc import Callable

from chatd.errors import ChatdError
from chatd.hub.reads import Asker
from chatd.hub.state.context import Context, Principal
from chatd.hub.stats import HubStats
from chatd.logs.logger import get_log
from chatd.logs.repeats import Repeats
from chatd.proto.advice import fitting
from chatd.proto.events import error_frame
from chatd.proto.frames import encode

log_audit = get_log("audit")

# Refusals that audit.log keeps.
_AUDIT_CODES = frozenset(("E300", "E301", "E302", "E303", "E304", "E305", "E400", "E408"))


class Refusals:
    """Answers for the hub. ``context`` returns a context for an asker at the present time."""

    def __init__(self, stats: HubStats, repeats: Repeats, context: Callable[[Principal], Context]) -> None:
        self._stats = stats
        self._repeats = repeats
        self._context = context

    def answer(self, asker: Asker, error: ChatdError) -> None:
        """Tell the asker that a request is refused, and why."""
        self._stats.counters["filtered" if error.code == "E400" else "refused"] += 1
        self._stats.refusals[error.code] += 1
        who = asker.who
        if not who.operator:
            if error.code in _AUDIT_CODES:
                self._note(who, error)
            context = self._context(who)
            fix = fitting(error.fix, context.rules.roles.permissions(context.role))
            error = ChatdError(error.code, error.reason, fix)
        asker.reply(encode(error_frame(asker.request_id, error)))

    def _note(self, who: Principal, error: ChatdError) -> None:
        self._repeats.note(
            log_audit.warning,
            "refused",
            who.device,
            {"device": who.device},
            user=who.user,
            code=error.code,
            why=error.reason,
        )
