"""What becomes of a text that is longer than a line of the chat, and what is refused unread."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Literal

from chatd.errors import ChatdError

LongText = Literal["snippet", "truncate", "reject"]
# The most that `limits.message_chars` may be: no text up to it is long.
LINE_CHARS_LIMIT = 4000
# The most that `limits.snippet_bytes` may be, in UTF-8. As JSON it must fit a page of history beside the
# message's other fields.
SNIPPET_BYTES = 32 * 1024
# Bytes of a snippet as a JSON string, in which quotes, backslashes and line ends take two.
SNIPPET_JSON_BYTES = 48 * 1024
# Marks in a row in a long text. No language needs more than a few; escaped, each becomes six characters.
MARK_RUN_LIMIT = 30
_PARTS = "send it in parts, or store it elsewhere and send its address"


def refuse_oversize(text: str, limit: int) -> None:
    """Raise E401 for a text of more than ``limit`` bytes in UTF-8."""
    # The first comparison is enough for most texts and costs nothing.
    if len(text) > limit or (4 * len(text) > limit and len(text.encode()) > limit):
        raise ChatdError("E401", f"the text has more than {limit} bytes", _PARTS)


def refuse_json_oversize(json_bytes: int) -> None:
    """Raise E401 for a text that takes too many bytes as JSON, as one of quotes only does."""
    if json_bytes > SNIPPET_JSON_BYTES:
        raise ChatdError("E401", f"the text has {json_bytes} bytes as JSON; {SNIPPET_JSON_BYTES} fit", _PARTS)


def refuse_mark_runs(text: str) -> None:
    """Raise E402 for a text with more than `MARK_RUN_LIMIT` combining marks in a row. Linear."""
    if text.isascii():
        return
    run = 0
    for character in text:
        run = run + 1 if _is_mark(character) else 0
        if run > MARK_RUN_LIMIT:
            raise ChatdError(
                "E402",
                f"the text has more than {MARK_RUN_LIMIT} combining marks in a row",
                "remove the marks, or send the text without them",
            )


@lru_cache(maxsize=4096)
def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M"
