"""Judge the text of a message: forbidden words, what cannot be shown, its length."""

from __future__ import annotations

from typing import NamedTuple

from chatd.errors import ChatdError
from chatd.hub.state.context import Context
from chatd.policy.filter import WORD_CHARS
from chatd.policy.long_texts import refuse_json_oversize, refuse_oversize
from chatd.proto.frames import JsonObject, compact
from chatd.proto.text import clean_body, tidy, truncate

SNIPPET = "snippet"


class AcceptedText(NamedTuple):
    """The text for the log, the kind of its message, and notes on what was changed in it."""

    body: str
    kind: str
    notes: list[JsonObject]


def accept(context: Context, text: str, kind: str = "text", *, anyway: bool | None = None) -> AcceptedText:
    """Judge the text of a message. Raises E400, E401, E402.

    By default a text over ``limits.message_chars`` becomes a snippet. ``anyway``: see
    `Context.refuse_words`.
    """
    limits = context.rules.settings.limits
    text = tidy(text)
    whole = limits.long_text == SNIPPET and kind != "action"
    if whole:
        refuse_oversize(text, limits.snippet_bytes)
    shown, notes = _readable(context, text, whole=whole, anyway=anyway)
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
    shown, _ = _readable(context, text, whole=False)
    if len(shown) <= context.rules.settings.limits.message_chars:
        return shown
    return _shortened(context, text, shown)[0]


def _readable(
    context: Context, text: str, *, whole: bool, anyway: bool | None = None
) -> tuple[str, list[JsonObject]]:
    # Cut first, so that filtering and escaping cost O(limit) whatever was sent. The margin lets the filter
    # see the whole of a word that the limit splits.
    body = text if whole else text[: context.rules.settings.limits.message_chars + WORD_CHARS]
    context.refuse_words(body, "message", anyway)
    shown, escaped = clean_body(body)
    note = {"rule": "escaped", "text": "characters that cannot be shown were escaped"}
    return shown, [note] if escaped else []


def _shortened(context: Context, text: str, shown: str) -> tuple[str, JsonObject]:
    """Truncate a text that is too long. Raises E401 where nothing may be lost."""
    limits = context.rules.settings.limits
    limit = limits.message_chars
    if limits.long_text != "truncate":
        length = max(len(text), len(shown))
        raise ChatdError("E401", f"the message has {length} characters; {limit} are allowed")
    body, _ = truncate(shown, limit)
    return body, {"rule": "truncated", "text": f"only {limit} characters are allowed"}
