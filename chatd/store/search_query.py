"""Parse search queries into quoted strings for FTS5 and filters.

FTS5 has a query language in which a stray quote or "NEAR" is an error or changes the meaning. User input
reaches it only as quoted strings.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from typing import NamedTuple

from chatd.errors import ChatdError

MAX_TOKENS = 32  # words and phrases searched for; the rest is ignored

_PIECE = re.compile(r'"([^"]*)"?|([^\s"]+)')
_AGO = re.compile(r"([0-9]{1,6})([mhd])", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_UNIT_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}


class SearchQuery(NamedTuple):
    """``match`` is for FTS5, empty if there are only filters; ``since`` is in ms since 1970, 0 = always."""

    match: str
    author: str | None
    room: str | None
    since: int


def parse(text: str, now: int) -> SearchQuery:
    """Parse words, "phrases", from:NAME, in:#room, since:2026-01-01 and since:30m (also 2h, 7d).

    ``now`` is in ms since 1970. All of them must match; filters alone are enough. An invalid filter counts as
    a word. Raises E411 for an empty query, and if the words beside the filters have no letter or digit: they
    cannot be searched for, and the filters alone would find too much.
    """
    # SQLite accepts neither NUL nor lone surrogates.
    text = text.replace("\0", " ").encode("utf-8", "replace").decode()
    author, room, since = None, None, 0
    has_filter = False  # not derived from the values: since:99999d gives 0, too
    tokens: list[str] = []
    for piece in _PIECE.finditer(text):
        phrase, word = piece.group(1), piece.group(2)
        name, colon, value = (word or "").partition(":")
        if colon and name == "from" and value:
            author = value.removeprefix("@")
        elif colon and name == "in" and value:
            room = value
        elif colon and name == "since" and (start := _since(value, now)) is not None:
            since = start
        else:
            tokens.append(word if phrase is None else phrase)
            continue
        has_filter = True
    words = [token for token in tokens if _has_word(token)][:MAX_TOKENS]
    if not words and (tokens or not has_filter):
        raise ChatdError("E411")
    return SearchQuery(" ".join(f'"{word}"' for word in words), author, room, since)


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
