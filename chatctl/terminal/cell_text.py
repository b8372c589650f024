"""Text within the part of the screen that is drawn anew: every character takes the same room everywhere.

A terminal that makes one picture of several emoji moves the cursor by less than the renderer believes, and
from there on everything on the line stands in the wrong place. So the line being typed shows the parts, each
by itself; the message is sent as it was typed, and shown whole above the line.
"""

from __future__ import annotations

from prompt_toolkit.formatted_text.base import StyleAndTextTuples
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
from prompt_toolkit.layout.utils import explode_text_fragments

from chatd.proto.text import is_selector, visible

_JOINERS = "\u200c\u200d\u20e3"
_FIRST_FLAG, _LAST_FLAG = "\U0001f1e6", "\U0001f1ff"
_FIRST_TONE, _LAST_TONE = "\U0001f3fb", "\U0001f3ff"


def separate(text: str) -> str:
    """The text in characters that no terminal joins; what may not be shown is written out."""
    return text if text.isascii() and text.isprintable() else "".join(map(_apart, text))


def _apart(character: str) -> str:
    if character in _JOINERS or is_selector(character) or _FIRST_TONE <= character <= _LAST_TONE:
        return ""
    if _FIRST_FLAG <= character <= _LAST_FLAG:
        # Flags are pairs of letters, drawn as a picture by some.
        return chr(ord(character) - ord(_FIRST_FLAG) + ord("A"))
    return visible(character)


class Apart(Processor):
    """Shows the line being typed by `separate`; the cursor stays at its character."""

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        """See the base class."""
        shown: StyleAndTextTuples = []
        # Where each character begins on the screen, and the end.
        places = [0]
        for style, text, *_ in explode_text_fragments(transformation_input.fragments):
            apart = _apart(text) if text else ""
            shown.append((style, apart))
            places.append(places[-1] + len(apart))
        if places[-1] == len(places) - 1 and all(len(text) == 1 for _, text, *_ in shown):
            return Transformation(shown)

        def to_display(index: int) -> int:
            return places[min(index, len(places) - 1)]

        def to_source(index: int) -> int:
            return next((i for i, place in enumerate(places) if place >= index), len(places) - 1)

        return Transformation(shown, source_to_display=to_display, display_to_source=to_source)
