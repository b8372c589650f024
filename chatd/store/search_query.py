"""What people type into /search, and what FTS5 is given.

FTS5's input is a query language of its own, in which a stray quote or "NEAR" is an error or worse.
Nothing typed reaches it except as a quoted string.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from typing import NamedTuple

from chatd.errors import ChatdError

MAX_TOKENS = 32  # words and phrases looked at; more only costs time

_PIECE = re.compile(r'"([^"]*)"?|([^\s"]+)')
_AGO = re.compile(r"([0-9]{1,6})([mhd])", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_UNIT_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}


class Wanted(NamedTuple):
    """A parsed search: ``match`` for FTS5, empty when filters are all there is; ``since`` in ms since
    the epoch (0 = always).
    """

    match: str
    author: str | None
    room: str | None
    since: int


def parse(text: str, now: int) -> Wanted:
    """Words, "phrases", from:NAME, in:#room, since:2026-01-01 or since:30m / 2h / 7d before ``now`` (ms).

    All must match, and filters alone are enough. A filter that makes no sense is taken for a word. Raises
    E411 when there is neither, and when what stands beside the filters has no letter or digit: everything
    would be found for what cannot be looked for.
    """
    # Neither a NUL nor a lone surrogate gets through SQLite.
    text = text.replace("\0", " ").encode("utf-8", "replace").decode()
    author, room, since = None, None, 0
    filtered = False  # since:99999d comes out as 0 and is a filter all the same
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
        filtered = True
    words = [token for token in tokens if _has_word(token)][:MAX_TOKENS]
    if not words and (tokens or not filtered):
        raise ChatdError("E411")
    return Wanted(" ".join(f'"{word}"' for word in words), author, room, since)


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
    """Whether the tokenizer unicode61 finds anything in it: letters, digits, private use."""
    return any(c in "LN" or c == "Co" for c in map(_category, token))


def _category(char: str) -> str:
    category = unicodedata.category(char)
    return category if category == "Co" else category[0]
