"""Parse search queries into words, phrases and filters. Clients use it to mark what was found."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, NamedTuple, NoReturn

from chatd.errors import ChatdError
from chatd.proto.text import check_name, check_room, conversation_at, visible

MAX_TOKENS = 32  # words and phrases searched for; the rest is ignored

_PIECE = re.compile(r'"([^"]*)"?|([^\s"]+)')
_AGO = re.compile(r"([0-9]{1,6})([mhd])", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
# Those that a message can have.
KINDS = ("text", "action", "snippet")
_UNIT_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DAY_MS = _UNIT_MS["d"]
_FILTERS = {
    "from": "from:NAME",
    "in": "in:#ROOM or in:@NAME",
    "since": "since:2h, since:7d or since:2026-01-31",
    "after": "after:2h, after:7d or after:2026-01-31",
    "before": "before:2h, before:7d or before:2026-01-31",
    "has": "has:snippet, has:action or has:text",
}
# Below this likeness a name is taken for a word; "in" and "has" are too short to be compared.
_LIKENESS = 0.75
_COMPARED = ("from", "since", "after", "before")
_SHOWN_CHARS = 40  # of a mistyped filter


class Phrase(NamedTuple):
    """Words that follow each other.

    ``open_start``: the first is the end of a word. ``open_end``: the last is the beginning of one.
    """

    text: str
    open_start: bool = False
    open_end: bool = False


class SearchQuery(NamedTuple):
    """``phrases`` is empty if there are only filters. ``since`` <= time < ``until``, in ms since 1970."""

    phrases: tuple[Phrase, ...]
    author: str | None = None
    room: str | None = None
    since: int = 0
    until: int | None = None
    kind: str | None = None


def parse(text: str, now: int, me: str = "") -> SearchQuery:
    """Parse words, "phrases", beginnings (swap*), parts (*wap*) and filters.

    All of them must match; filters alone are enough. ``now`` is in ms since 1970. in:@bob is the
    conversation of ``me`` with bob. Raises E411 for an empty query, for a word that looks like a filter
    and is none, for a * within a word, and if the words beside the filters have no letter or digit: they
    cannot be searched for, and the filters alone would find too much.
    """
    # SQLite accepts neither NUL nor lone surrogates.
    text = text.replace("\0", " ").encode("utf-8", "replace").decode()
    filters: dict[str, Any] = {}
    tokens: list[Phrase] = []
    for piece in _PIECE.finditer(text):
        phrase, word = piece.group(1), piece.group(2)
        name = _filter_name(word or "")
        if not name:
            tokens.append(_phrase(word) if phrase is None else Phrase(phrase))
        elif name in filters:
            raise ChatdError("E411", f"{name}: is given twice", "search once for each")
        else:
            filters[name] = _filter_value(name, word, now)
    words = [token for token in tokens if _has_word(token.text)][:MAX_TOKENS]
    if not words and (tokens or not filters):
        raise ChatdError("E411")
    return SearchQuery(
        tuple(words),
        filters.get("from"),
        conversation_at(filters["in"], me) if me and "in" in filters else filters.get("in"),
        max(filters.get("since", 0), filters.get("after", 0)),
        filters.get("before"),
        filters.get("has"),
    )


def _phrase(word: str) -> Phrase:
    """Read the * at both ends of a word. Beside punctuation it says nothing: "(*" is any text."""
    inner = word.strip("*")
    if "*" in inner:
        shown = visible(word[:_SHOWN_CHARS], newlines=False)
        fix = (
            'put * at the beginning or end of a word, or the word in "double quotes" to search for its parts'
        )
        raise ChatdError("E411", f"the * within {shown} is not understood", fix)
    starts, ends = word.startswith("*"), word.endswith("*")
    return Phrase(inner, starts and in_word(inner[:1]), ends and in_word(inner[-1:]))


def _filter_name(word: str) -> str:
    """Return the filter's name in from:NAME; "" for a word. Raises E411 for a mistyped name."""
    typed, colon, value = word.partition(":")
    if not colon or not typed.isalpha():
        return ""
    if typed in _FILTERS:
        return typed
    name = typed.lower()
    if name in _FILTERS:
        _refuse(word, name)
    # A colon inside a word is common in logs; only what has a filter's value can be one.
    if value and (close := get_close_matches(name, _COMPARED, 1, _LIKENESS)):
        _refuse(word, close[0])
    return ""


def _filter_value(name: str, word: str, now: int) -> str | int:
    value = word.partition(":")[2]
    try:
        if name == "from":
            return check_name(value.removeprefix("@"))
        if name == "in":
            return _conversation(value) if value.startswith("@") else _room(value)
    except ChatdError:
        _refuse(word, name)
    if name == "has":
        return value if value in KINDS else _refuse(word, name)
    start = _time(value, now, later=name == "after")
    return _refuse(word, name) if start is None else start


def _room(value: str) -> str:
    return check_room(value if value.startswith("#") else f"#{value}")


def _conversation(value: str) -> str:
    for name in value[1:].split(","):
        check_name(name)
    return value


def _refuse(word: str, name: str) -> NoReturn:
    shown = visible(word[:_SHOWN_CHARS], newlines=False)
    fix = f'write {_FILTERS[name]}, or put it in "double quotes" to search for the words'
    raise ChatdError("E411", f"{shown} is not a filter", fix)


def _time(value: str, now: int, *, later: bool) -> int | None:
    """Return the ms of a time ago or of the begin of a UTC day; ``later``: of the day after it."""
    if ago := _AGO.fullmatch(value):
        return max(0, now - int(ago[1]) * _UNIT_MS[ago[2]])
    if _DATE.fullmatch(value):
        try:
            day = int(datetime.fromisoformat(value).replace(tzinfo=UTC).timestamp()) * 1000
        except ValueError:
            return None
        return max(0, day + _DAY_MS * later)
    return None


def _has_word(token: str) -> bool:
    """Whether the unicode61 tokenizer finds a word in it: letters, digits or private use characters."""
    return any(_category(c) in ("L", "N", "Co") for c in token)


def in_word(char: str) -> bool:
    """Whether the unicode61 tokenizer takes a character for a part of a word; marks are parts of letters."""
    return char != "" and _category(char) in ("L", "N", "M", "Co")


def _category(char: str) -> str:
    category = unicodedata.category(char)
    return category if category == "Co" else category[0]
