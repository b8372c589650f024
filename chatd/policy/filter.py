"""The list of forbidden words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Literal

Mode = Literal["words", "substring"]


class WordFilter:
    """Finds configured words whatever their case, width, accents, spacing or hidden characters.

    ``words`` matches whole words (letters, digits and underscores around a word make it another one),
    ``substring`` also inside others. Letters of another script that look alike are not taken for one
    another. The time is linear in the text and does not grow with the list.
    """

    def __init__(self, words: Sequence[str], mode: Mode = "words") -> None:
        self._rules = {normalise(word): word for word in words if normalise(word)}
        trie = _trie(self._rules)
        pattern = _whole_words(trie) if mode == "words" else _pattern(trie)
        self._search = re.compile(pattern, re.DOTALL).search if self._rules else None

    def find(self, text: str) -> str | None:
        """The configured word that is in the text, None if there is none."""
        if self._search is None:
            return None
        folded = _fold(text)
        match = self._search(_close_up(folded, ""))
        if match is None and _HIDDEN in folded:
            # A hidden character may also part a word from its neighbour: the sanitiser writes it out,
            # and "drop\x00it" is then read as "drop".
            match = self._search(_close_up(folded, " "))
        return self._rules[match.group()] if match else None


def normalise(text: str) -> str:
    """Compatibility forms, case, accents and hidden characters taken away, white space made one space."""
    return _close_up(_fold(text), "")


# Stands for every hidden character while a text is folded.
_HIDDEN = "\0"
_CONTROLS = re.compile(r"[\x01-\x08\x0e-\x1b\x7f]")
# Letters and symbols that show nothing (Hangul fillers, Braille blank).
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")


def _close_up(folded: str, hidden: str) -> str:
    return " ".join(folded.replace(_HIDDEN, hidden).split())


def _fold(text: str) -> str:
    if text.isascii():
        return text.casefold() if text.isprintable() else _CONTROLS.sub(_HIDDEN, text).casefold()
    text = unicodedata.normalize("NFKC", text).casefold()
    return "".join(map(_bare, unicodedata.normalize("NFKD", text)))


@lru_cache(maxsize=4096)
def _bare(character: str) -> str:
    """A character of a folded text without what is put on it or cannot be seen."""
    category = unicodedata.category(character)
    if category in ("Mn", "Me"):
        return ""
    hidden = character in _BLANK or (category[0] == "C" and not character.isspace())
    return _HIDDEN if hidden else character


Trie = dict[str, Any]


def _trie(words: Iterable[str]) -> Trie:
    root: Trie = {}
    for word in words:
        node = root
        for character in word:
            node = node.setdefault(character, {})
        node[""] = {}
    return root


def _whole_words(root: Trie) -> str:
    """The same for whole words only.

    Not \\b: a word may begin or end with something that is not a letter ("c++"). What stands before a
    word is looked at after its first character, so that the search passes over all others at once.
    """
    branches = [rf"{re.escape(c)}(?<!\w.){_pattern(below)}" for c, below in root.items()]
    return rf"(?:{'|'.join(branches)})(?!\w)"


def _pattern(node: Trie) -> str:
    """A regular expression for the words of a trie, longest first.

    A flat alternation would try every word at every position: 0.3 s for 10,000 words and 16 KiB.
    """
    prefix = ""
    while len(node) == 1 and "" not in node:
        ((character, node),) = node.items()
        prefix += re.escape(character)
    branches = [re.escape(c) + _pattern(below) for c, below in node.items() if c]
    if not branches:
        return prefix
    return f"{prefix}(?:{'|'.join(branches)}){'?' if '' in node else ''}"
