"""Parse search queries into words, phrases and filters."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, NamedTuple, NoReturn

from chatd.errors import ChatdError
from chatd.proto.text import check_name, check_room, dm_members, visible

MAX_TOKENS = 32  # words and phrases searched for; the rest is ignored

_PIECE = re.compile(r'"([^"]*)"?|([^\s"]+)')
_AGO = re.compile(r"([0-9]{1,6})([mhd])", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_UNIT_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
_FILTERS = {"from": "from:NAME", "in": "in:#ROOM", "since": "since:2h, since:7d or since:2026-01-31"}
# Below this likeness a name is taken for a word; "in" is too short to be compared.
_LIKENESS = 0.75
_SHOWN_CHARS = 40  # of a mistyped filter


class SearchQuery(NamedTuple):
    """``phrases`` is empty if there are only filters; ``since`` is in ms since 1970, 0 = always."""

    phrases: tuple[str, ...]
    author: str | None
    room: str | None
    since: int


def parse(text: str, now: int) -> SearchQuery:
    """Parse words, "phrases", from:NAME, in:#room, since:2026-01-01 and since:30m (also 2h, 7d).

    ``now`` is in ms since 1970. All of them must match; filters alone are enough. Raises E411 for an empty
    query, for a word that looks like a filter and is none, and if the words beside the filters have no letter
    or digit: they cannot be searched for, and the filters alone would find too much.
    """
    # SQLite accepts neither NUL nor lone surrogates.
    text = text.replace("\0", " ").encode("utf-8", "replace").decode()
    filters: dict[str, Any] = {}
    tokens: list[str] = []
    for piece in _PIECE.finditer(text):
        phrase, word = piece.group(1), piece.group(2)
        name = _filter_name(word or "")
        if not name:
            tokens.append(word if phrase is None else phrase)
        elif name in filters:
            raise ChatdError("E411", f"{name}: is given twice", "search once for each")
        else:
            filters[name] = _filter_value(name, word, now)
    words = [token for token in tokens if _has_word(token)][:MAX_TOKENS]
    if not words and (tokens or not filters):
        raise ChatdError("E411")
    return SearchQuery(tuple(words), filters.get("from"), filters.get("in"), filters.get("since", 0))


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
    if value and (close := get_close_matches(name, ("from", "since"), 1, _LIKENESS)):
        _refuse(word, close[0])
    return ""


def _filter_value(name: str, word: str, now: int) -> str | int:
    value = word.partition(":")[2]
    try:
        if name == "from":
            return check_name(value.removeprefix("@"))
        if name == "in":
            return value if dm_members(value) else check_room(value)
    except ChatdError:
        _refuse(word, name)
    start = _since(value, now)
    return _refuse(word, name) if start is None else start


def _refuse(word: str, name: str) -> NoReturn:
    shown = visible(word[:_SHOWN_CHARS], newlines=False)
    fix = f'write {_FILTERS[name]}, or put it in "double quotes" to search for the words'
    raise ChatdError("E411", f"{shown} is not a filter", fix)


def _since(value: str, now: int) -> int | None:
    if ago := _AGO.fullmatch(value):
        return max(0, now - int(ago[1]) * _UNIT_MS[ago[2]])
    if _DATE.fullmatch(value):
        try:
            return max(0, int(datetime.fromisoformat(value).replace(tzinfo=UTC).timestamp()) * 1000)
        except ValueError:
            return None
    return None


def _has_word(token: str) -> bool:
    """Whether the unicode61 tokenizer finds a word in it: letters, digits or private use characters."""
    return any(c in "LN" or c == "Co" for c in map(_category, token))


def _category(char: str) -> str:
    category = unicodedata.category(char)
    return category if category == "Co" else category[0]
