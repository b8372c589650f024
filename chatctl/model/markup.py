"""Find code, bold words and links in a message's text, for the clients to style. Pure.

The marks stay in the text, so what is read, copied and piped is what was sent. A link has no text but its
address, so that its target is always visible. Each pass over the text is linear.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

from chatd.proto.text import continues

# The looks of a span; the themes and the window's text tags have the same names.
CODE, CODE_BLOCK, LINK, STRONG = "code", "codeblock", "link", "strong"
_LINE_END = "end"

# Hosts are ASCII: a letter of another script that looks the same would hide the target. No user name before
# the host either ("https://bank.example@evil.example"). Possessive, so that no failure is tried again.
_HOST = r"[A-Za-z0-9][A-Za-z0-9-]*+(?:\.[A-Za-z0-9-]++)*+(?::[0-9]{1,5}+)?+"
_PATH = r"[/?#][\w/%.~?&=#+,;@$:!'()-]*+"
_MARK = re.compile(
    rf"(?P<{CODE_BLOCK}>```.+?```)"
    rf"|(?P<{CODE}>(?<!`)`[^`\n]++`(?!`))"
    rf"|(?P<{LINK}>(?<!\w)https?://{_HOST}(?:{_PATH}|(?!:?[\w@])))"
    rf"|(?P<{STRONG}>(?<!\*)\*\*(?!\*))"
    rf"|(?P<{_LINE_END}>\n)",
    re.DOTALL,
)
# At the end of an address, these belong to the sentence.
_SENTENCE = ".,;:!?'"
# Not \w: scripts without spaces have letters on both sides of the marks. 2**3**4 and f(**a) stay as they are.
_WORD = re.compile("[A-Za-z0-9_]")


class Span(NamedTuple):
    """A part of a text, and its looks in the order in which they apply."""

    text: str
    looks: tuple[str, ...] = ()


def spans(text: str) -> list[Span]:
    """Divide a text into spans; together they are the text."""
    found: list[Span] = []
    at, opened = 0, -1  # opened: the place in `found` of the mark that begins bold words
    for look, begin, end in _marks(text):
        if look == STRONG and not _closes(text, begin, opened) and not _opens(text, end, begin, opened):
            continue
        found.append(Span(text[at:begin]))
        found.append(Span(text[begin:end], () if look in (STRONG, _LINE_END) else (look,)))
        at = end
        if "\n" in found[-1].text:
            opened = -1
        elif look == STRONG and opened < 0:
            opened = len(found) - 1
        elif look == STRONG:
            found[opened:] = [Span(one.text, (STRONG, *one.looks)) for one in found[opened:]]
            opened = -1
    found.append(Span(text[at:]))
    return _merged(found) or [Span("")]


def _marks(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield what may be marked, with the look, in order."""
    for match in _MARK.finditer(text):
        look, (begin, end) = match.lastgroup or "", match.span()
        if look == LINK:
            end = begin + len(_address(match[0]))
        # A mark of a letter, or a part of an emoji, stays with what it is drawn on.
        if look == _LINE_END or not any(
            0 < place < len(text) and continues(text, place) for place in (begin, end)
        ):
            yield look, begin, end


def _address(text: str) -> str:
    """Return an address without the punctuation after it: a ")" belongs to it if its "(" does."""
    end, excess = len(text), text.count(")") - text.count("(")
    while text[end - 1] in _SENTENCE or (text[end - 1] == ")" and excess > 0):
        excess -= text[end - 1] == ")"
        end -= 1
    return text[:end]


def _opens(text: str, end: int, begin: int, opened: int) -> bool:
    outside, inside = text[max(0, begin - 1) : begin], text[end : end + 1]
    return opened < 0 and not _WORD.match(outside) and inside.strip() != ""


def _closes(text: str, begin: int, opened: int) -> bool:
    outside, inside = text[begin + 2 : begin + 3], text[max(0, begin - 1) : begin]
    return opened >= 0 and not _WORD.match(outside) and inside.strip() != ""


def _merged(found: list[Span]) -> list[Span]:
    groups = groupby((one for one in found if one.text), key=lambda one: one.looks)
    return [Span("".join(one.text for one in group), looks) for looks, group in groups]
