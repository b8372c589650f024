"""The check that a text is safe to show on any terminal."""

from __future__ import annotations

import unicodedata

from chatd.proto.text import COMBINING_LIMIT, is_selector

_JOINERS = "\u200c\u200d"
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))


def assert_harmless(text: str, *, newlines: bool = False) -> None:
    """Assert that a text has no control or invisible characters and no piles of marks."""
    if text.isascii() and (text.replace("\n", "") if newlines else text).isprintable():
        return
    run = 0
    for character in text:
        category = unicodedata.category(character)
        hidden = category in _HIDDEN and character not in _JOINERS and not (newlines and character == "\n")
        assert not hidden, f"{character!a} in {text!a}"
        if not is_selector(character) and character not in _JOINERS:
            run = run + 1 if category[0] == "M" else 0
        assert run <= COMBINING_LIMIT, f"more than {COMBINING_LIMIT} marks in {text!a}"
