"""Judge the text of a message: forbidden words, what cannot be shown, its length."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from chatd.errors import ChatdError
from chatd.hub.state.context import Context
from chatd.policy.filter import MASK, WORD_CHARS
from chatd.policy.filter_rules import EVERYWHERE, FilterAction
from chatd.policy.long_texts import refuse_json_oversize, refuse_oversize
from chatd.proto.frames import JsonObject, compact
from chatd.proto.text import clean_body, tidy, truncate

SNIPPET = "snippet"


_ESCAPED: JsonObject = {"rule": "escaped", "text": "characters that cannot be shown were escaped"}
# What the writer is told of a word that did not keep the message from being sent.
_NOTES: dict[FilterAction, Callable[[str], JsonObject]] = {
    FilterAction.WARN: lambda word: {"rule": "warned", "text": f"{word!r} is a word to avoid here"},
    FilterAction.REDACT: lambda word: {"rule": "masked", "text": f"{word!r} was replaced by {MASK}"},
}


class AcceptedText(NamedTuple):
    """The text for the log, the kind of its message, and notes on what was changed in it."""

    body: str
    kind: str
    notes: list[JsonObject]


def accept(
    context: Context, room: str, text: str, kind: str = "text", *, anyway: bool | None = None
) -> AcceptedText:
    """Judge the text of a message to ``room``. Raises E400, E401, E402.

    By default a text over ``limits.message_chars`` becomes a snippet. ``anyway``: see
    `Context.filter_message`.
    """
    limits = context.rules.settings.limits
    text = tidy(text)
    whole = limits.long_text == SNIPPET and kind != "action"
    if whole:
        refuse_oversize(text, limits.snippet_bytes)
    filtered = context.filter_message(_bounded(context, text, whole=whole), room, anyway=anyway)
    shown, escaped = clean_body(filtered.text)
    notes = [_NOTES[one.action](one.word) for one in filtered.found if one.action in _NOTES]
    notes += [_ESCAPED] if escaped else []
    if len(shown) <= limits.message_chars:
        return AcceptedText(shown, kind, notes)
    if whole:
        # Escaping may have made it longer.
        refuse_oversize(shown, limits.snippet_bytes)
        refuse_json_oversize(len(compact(shown)))
        return AcceptedText(shown, SNIPPET, notes)
    body, note = _shortened(context, text, shown)
    return AcceptedText(body, kind, [*notes, note])


def accept_line(context: Context, text: str) -> str:
    """Judge a text that is always one line of the chat, such as an announcement. Raises E400, E401, E402."""
    text = tidy(text)
    body = _bounded(context, text, whole=False)
    context.refuse_words(body, "message", EVERYWHERE)
    shown, _ = clean_body(body)
    if len(shown) <= context.rules.settings.limits.message_chars:
        return shown
    return _shortened(context, text, shown)[0]


def _bounded(context: Context, text: str, *, whole: bool) -> str:
    """Cut first, so that filtering and escaping cost O(limit) whatever was sent.

    The margin lets the filter see the whole of a word that the limit splits.
    """
    return text if whole else text[: context.rules.settings.limits.message_chars + WORD_CHARS]


def _shortened(context: Context, text: str, shown: str) -> tuple[str, JsonObject]:
    """Truncate a text that is too long. Raises E401 where nothing may be lost."""
    limits = context.rules.settings.limits
    limit = limits.message_chars
    if limits.long_text != "truncate":
        length = max(len(text), len(shown))
        raise ChatdError("E401", f"the message has {length} characters; {limit} are allowed")
    body, _ = truncate(shown, limit)
    return body, {"rule": "truncated", "text": f"only {limit} characters are allowed"}
