"""Write emoji by their names where no font of the screen has them: `:rocket:` says more than an empty box.

Tk 8.6 draws the parts of a joined emoji, such as a family, one beside the other, and does not tell which
letters it can draw.
"""

from __future__ import annotations

import re
import tkinter as tk
import unicodedata
from collections.abc import Callable

from chatctl.window.theme import Theme

_LETTER = "[\U0001f1e6-\U0001f1ff]"
_BASE = "[\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff]"
_STYLE = "[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]*"
# Flags are two letters; all others are joined by U+200D (UTS #51).
_EMOJI = re.compile(f"{_LETTER}{{2}}|{_BASE}{_STYLE}(?:\u200d{_BASE}{_STYLE})*")
_INVISIBLE = re.compile("[\u200d\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]")
# In no font: a character that never will be one.
_MISSING = "\U0001ffff"


def named(text: str, drawable: Callable[[str], bool]) -> str:
    """Replace the emoji of which a part cannot be drawn."""

    def replaced(match: re.Match[str]) -> str:
        parts = _INVISIBLE.sub("", match[0])
        return match[0] if not parts or all(map(drawable, parts)) else _name(parts)

    return text if text.isascii() else _EMOJI.sub(replaced, text)


def _name(parts: str) -> str:
    names = [unicodedata.name(part, "emoji").lower() for part in parts]
    if all(name.startswith("regional indicator") for name in names):
        return f":{''.join(name[-1] for name in names).upper()}:"
    return f":{'+'.join(name.replace(' ', '-') for name in names)}:"


class EmojiNames:
    """Tells for one window which characters its font draws; remembers the answers."""

    def __init__(self, root: tk.Misc, theme: Theme) -> None:
        self._root, self._font = root, theme.body
        self._known: dict[str, bool] = {}

    def shown(self, text: str) -> str:
        """Return a text as it can be drawn."""
        return named(text, self._drawable)

    def _drawable(self, character: str) -> bool:
        known = self._known.get(character)
        if known is None:
            # What is missing is drawn by the first font, as a box of one width.
            box, width = self._font.measure(_MISSING), self._font.measure(character)
            fonts = [self._family(text) for text in (_MISSING, character)]
            known = self._known[character] = box != width or fonts[0] != fonts[1]
        return known

    def _family(self, character: str) -> str:
        return str(
            self._root.tk.call("font", "actual", self._font, "-displayof", ".", "-family", "--", character)
        )
