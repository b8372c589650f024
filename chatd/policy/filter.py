"""The list of forbidden words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal

Mode = Literal["words", "substring"]


class WordFilter:
    """Finds configured words whatever their case, width, accents or invisible characters.

    ``words`` matches whole words, ``substring`` also inside others. One alternation of escaped words:
    time is linear in the text.
    """

    def __init__(self, words: Sequence[str], mode: Mode = "words") -> None:
        self._rules = {normalise(word): word for word in words if normalise(word).strip()}
        # The longest first, so that the rule that is told is the most specific one.
        pattern = "|".join(re.escape(word) for word in sorted(self._rules, key=len, reverse=True))
        if mode == "words":
            # Not \b: a word may begin or end with something that is not a letter ("c++").
            pattern = rf"(?<!\w)(?:{pattern})(?!\w)"
        self._pattern = re.compile(pattern) if self._rules else None

    def find(self, text: str) -> str | None:
        """The configured word that is in the text, None if there is none."""
        if self._pattern is None:
            return None
        match = self._pattern.search(normalise(text))
        return self._rules[match.group()] if match else None


def normalise(text: str) -> str:
    """Compatibility forms, case, accents and invisible characters taken away."""
    if text.isascii():
        return text.casefold()
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return "".join(c for c in decomposed if unicodedata.category(c) not in _DROPPED)


# Combining marks and format characters (zero-width joiners and spaces, soft hyphens, bidi controls).
_DROPPED = frozenset(("Mn", "Me", "Cf"))
