"""Show found messages: one line each, around the first word that was searched for, with the words marked."""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

from chatctl.model.render import Line, Viewer, render
from chatd.errors import ChatdError
from chatd.proto.events import Message
from chatd.proto.search_query import Phrase, in_word, parse
from chatd.proto.text import visible

HIT = "class:hit"
EXCERPT_CHARS = 160
LEAD_CHARS = 50  # of it, before the first hit


class Word(NamedTuple):
    """A word of a text, without case and accents as the server compares it."""

    text: str
    start: int
    end: int


class Hits:
    """What a query searches for; nothing for filters alone, or for a query that the server refuses."""

    def __init__(self, query: str) -> None:
        try:
            phrases = parse(query, 0).phrases
        except ChatdError:
            phrases = ()
        self._phrases = [(phrase, [word.text for word in _words(phrase.text)]) for phrase in phrases]

    def spans(self, text: str) -> list[tuple[int, int]]:
        """The parts of a text that were searched for, in order, without overlaps."""
        words = _words(text)
        found = sorted(
            (words[at].start, words[at + len(wanted) - 1].end)
            for phrase, wanted in self._phrases
            for at in range(len(words) - len(wanted) + 1)
            if wanted and _matches(phrase, wanted, words[at : at + len(wanted)])
        )
        spans: list[tuple[int, int]] = []
        for start, end in found:
            if spans and start < spans[-1][1]:
                spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
            else:
                spans.append((start, end))
        return spans

    def excerpt(self, body: str, style: str = "", limit: int = EXCERPT_CHARS) -> Line:
        """The line of a message that has the first hit, cut around it, with the hits in the style `HIT`."""
        lines = [" ".join(line.split()) for line in visible(body).split("\n")]
        line = next((line for line in lines if self.spans(line)), next(filter(None, lines), ""))
        spans = self.spans(line)
        lead = min(LEAD_CHARS, limit // 3)
        begin = max(0, spans[0][0] - lead) if spans and len(line) > limit else 0
        end = min(len(line), begin + limit)
        pieces: Line = [(style, "…")] if begin else []
        at = begin
        for start, stop in spans:
            if start < end:
                pieces += [(style, line[at:start]), (HIT, line[start : min(stop, end)])]
                at = min(stop, end)
        pieces += [(style, line[at:end] + ("…" if end < len(line) else ""))]
        return [piece for piece in pieces if piece[1]]


def wider(query: str) -> str:
    """Say how to find more than whole words; "" for a query without a plain word."""
    try:
        phrases = parse(query, 0).phrases
    except ChatdError:
        return ""
    for text, open_start, open_end in phrases:
        if not (open_start or open_end) and all(map(in_word, text)):
            word = visible(text, newlines=False)
            return f"{word}* finds words that begin with it, *{word}* words that contain it"
    return ""


def render_hit(event: Message, hits: Hits, viewer: Viewer) -> Line:
    """A found message as one line."""
    kind = "action" if event.kind == "action" else "text"
    bare = event.model_copy(update={"body": "-", "kind": kind, "edited": None, "reactions": []})
    *head, (style, _) = render(bare, viewer)[0]
    return [*head, *hits.excerpt(event.body, style)]


def _matches(phrase: Phrase, wanted: list[str], words: list[Word]) -> bool:
    last = len(wanted) - 1
    return all(
        _fits(one, word.text, phrase.open_start and n == 0, phrase.open_end and n == last)
        for n, (one, word) in enumerate(zip(wanted, words, strict=True))
    )


def _fits(wanted: str, word: str, open_start: bool, open_end: bool) -> bool:
    if open_start and open_end:
        return wanted in word
    if open_start:
        return word.endswith(wanted)
    return word.startswith(wanted) if open_end else word == wanted


def _words(text: str) -> list[Word]:
    words: list[Word] = []
    start: int | None = None
    for at, char in enumerate(f"{text} "):
        if in_word(char):
            start = at if start is None else start
        elif start is not None:
            words.append(Word("".join(map(_folded, text[start:at])), start, at))
            start = None
    return [word for word in words if word.text]


def _folded(char: str) -> str:
    """A character without case and accents."""
    parts = unicodedata.normalize("NFD", char.casefold())
    return "".join(part for part in parts if not unicodedata.combining(part))
