"""Fold long texts, and decide what is sent as a snippet. Pure."""

from __future__ import annotations

from typing import NamedTuple

from chatd.proto.text import truncate

SNIPPET = "snippet"
# What of a snippet is shown unasked.
FOLD_LINES = 6
# About as much as these lines hold: one long line would otherwise fill a screen.
FOLD_CHARS = 500


class Folded(NamedTuple):
    """The beginning of a text, and how much more there is: "24 more lines", "" for nothing."""

    text: str
    more: str = ""


def fold(text: str) -> Folded:
    """Return the beginning of a text of many lines."""
    *lines, rest = text.split("\n", FOLD_LINES) if text.count("\n") >= FOLD_LINES else (text, "")
    hidden = rest.count("\n") + 1 if len(lines) == FOLD_LINES else 0
    shown, cut = truncate("\n".join(lines), FOLD_CHARS, "\u2026")
    if hidden:
        return Folded(shown, f"{hidden:,} more {'line' if hidden == 1 else 'lines'}")
    return Folded(shown, f"{len(text) - len(shown):,} more characters" if cut else "")


def fold_kind(text: str, kind: str) -> Folded:
    """Return what is shown of a message's text: of a snippet the beginning."""
    return fold(text) if kind == SNIPPET else Folded(text)


def kind_of(text: str) -> str:
    """Return the kind of a pasted text: several lines are a snippet."""
    return SNIPPET if "\n" in text.strip("\n") else "text"
