"""Try the filter that is in force."""

from __future__ import annotations

from chatd.errors import ChatdError
from chatd.hub.state.context import Context
from chatd.policy.filter_rules import FilterAction
from chatd.proto.frames import JsonObject, compact
from chatd.proto.held_requests import FilterTest

# Of the line as it would be sent: enough to see what is masked.
SHOWN_CHARS = 500
# What one reply has: the client asks again for the lines after it. One line always fits a frame.
REPLY_BYTES = 32 * 1024


def judge_lines(context: Context, request: FilterTest) -> JsonObject:
    """Judge each line as a message; ``next`` is the index of the first line that did not fit, or None."""
    rules = context.rules
    role = request.role or rules.settings.roles.default
    if role not in rules.roles.names:
        raise ChatdError(
            "E404", f"there is no role {role!r}", f"choose one of: {', '.join(rules.roles.names)}"
        )
    lines: list[JsonObject] = []
    size = 0
    for number, line in enumerate(request.body.split("\n")):
        filtered = rules.filter.judge(line, role, request.place)
        if not filtered.found:
            continue
        blocked = filtered.word(FilterAction.BLOCK) is not None
        found = [{"action": one.action.value, "word": one.word} for one in filtered.found]
        item = {"line": number, "found": found, "text": None if blocked else filtered.text[:SHOWN_CHARS]}
        size += len(compact(item))
        if lines and size > REPLY_BYTES:
            return {"lines": lines, "next": number}
        lines.append(item)
    return {"lines": lines, "next": None}
