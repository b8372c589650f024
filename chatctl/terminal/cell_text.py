"""Makes every character of the prompt and the input equally wide on every terminal.

A terminal that draws several emoji as one picture moves its cursor less far than prompt_toolkit expects,
and everything after it on the line is misplaced. So the input line shows the parts of such emoji one by
one. The message is sent as typed, and printed whole.
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
    """The text in characters that no terminal joins; unsafe ones are escaped."""
    return text if text.isascii() and text.isprintable() else "".join(map(_separated, text))


def _separated(character: str) -> str:
    if character in _JOINERS or is_selector(character) or _FIRST_TONE <= character <= _LAST_TONE:
        return ""
    if _FIRST_FLAG <= character <= _LAST_FLAG:
        # Some terminals draw a pair of these letters as a flag.
        return chr(ord(character) - ord(_FIRST_FLAG) + ord("A"))
    return visible(character)


class SeparateCharacters(Processor):
    """Shows the input by `separate`; the cursor stays at its character."""

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        """Separate the characters and map the cursor positions."""
        shown: StyleAndTextTuples = []
        # The column of each character, and of the end.
        starts = [0]
        for style, text, *_ in explode_text_fragments(transformation_input.fragments):
            separated = _separated(text) if text else ""
            shown.append((style, separated))
            starts.append(starts[-1] + len(separated))
        if starts[-1] == len(starts) - 1 and all(len(text) == 1 for _, text, *_ in shown):
            return Transformation(shown)

        def to_display(index: int) -> int:
            return starts[min(index, len(starts) - 1)]

        def to_source(index: int) -> int:
            return next((i for i, start in enumerate(starts) if start >= index), len(starts) - 1)

        return Transformation(shown, source_to_display=to_display, display_to_source=to_source)
