"""Names and texts: what may be called how, and how hostile text is made harmless.

Names are ASCII on purpose: that ends NFC/NFKC twins, confusable letters and bidi tricks in the one
place where they would let somebody pass for somebody else.
"""

from __future__ import annotations

import re
import unicodedata

from chatd.errors import ChatdError

NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,30}[a-z0-9])?")
# Words that mean somebody or something else in the product.
RESERVED = frozenset(("all", "box", "chatd", "everyone", "here", "nobody", "operator", "server", "system"))
# Marks on one letter; more is an attack on the lines above and below ("zalgo").
COMBINING_LIMIT = 8
TRUNCATION_MARK = "... [truncated]"
_TAB = "    "


def check_name(text: str, what: str = "name") -> str:
    """The name itself if it is valid. Raises E403 saying what is wrong with it."""
    if not NAME.fullmatch(text):
        raise ChatdError("E403", f"{visible(text[:40], newlines=False)!r} is not a valid {what}")
    if text in RESERVED:
        raise ChatdError("E403", f"the {what} {text!r} is reserved", "choose another name")
    return text


def check_room(text: str) -> str:
    """The room's name itself if it is "#" and a valid name. Raises E403."""
    if not text.startswith("#"):
        raise ChatdError("E403", "the name of a room starts with #", f"write #{NAME.pattern}")
    if not NAME.fullmatch(text[1:]):
        raise ChatdError("E403", f"{visible(text[:40], newlines=False)!r} is not a valid room name")
    return text


def dm_room(one: str, other: str) -> str:
    """The conversation of two users: "@alice,bob", the same for both."""
    first, second = sorted((one, other))
    return f"@{first},{second}"


def dm_members(room: str) -> tuple[str, str] | None:
    """The two users of a conversation, None for anything that is not one."""
    first, comma, second = room[1:].partition(",")
    if room[:1] != "@" or not comma:
        return None
    return (first, second) if NAME.fullmatch(first) and NAME.fullmatch(second) else None


def visible(text: str, *, newlines: bool = True) -> str:
    r"""The text with everything that is not plainly shown written out, as \x1b or \u202e.

    An allow-list: printable characters stay, newlines (unless ``newlines`` is false), tabs become
    spaces; controls, bidi controls, tags, invisible and unassigned characters are escaped. Applying
    it twice changes nothing more.
    """
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\t", _TAB)
    shown: list[str] = []
    marks = 0
    for index, character in enumerate(text):
        if character == "\n" and newlines:
            marks = 0
            shown.append(character)
            continue
        marks = (
            marks + 1 if unicodedata.combining(character) or unicodedata.category(character) == "Me" else 0
        )
        hidden = marks > COMBINING_LIMIT or not _is_shown(text, index, character)
        shown.append(_escape(character) if hidden else character)
    return "".join(shown)


# Characters that are assigned and not controls, and still show nothing: Hangul and Khmer fillers,
# the combining grapheme joiner, Braille blank, Mongolian free variation selectors.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f\u2800\u3164\uffa0")
_JOINERS = frozenset("\u200c\u200d")
_REFUSED_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))


def _is_shown(text: str, index: int, character: str) -> bool:
    if character in _BLANK:
        return False
    if character in _JOINERS:
        return _joins(text, index)
    if "\ufe00" <= character <= "\ufe0f":
        # A variation selector means something only after a visible character.
        return index > 0 and not text[index - 1].isspace() and text[index - 1] not in _JOINERS
    return unicodedata.category(character) not in _REFUSED_CATEGORIES


def _joins(text: str, index: int) -> bool:
    """ZWJ and ZWNJ between two non-ASCII characters: emoji sequences, Arabic, Indic scripts."""
    if not 0 < index < len(text) - 1:
        return False
    before, after = text[index - 1], text[index + 1]
    return all(ord(c) > 0x7F and c not in _JOINERS and _plain(c) for c in (before, after))


def _plain(character: str) -> bool:
    selector = "\ufe00" <= character <= "\ufe0f"
    return selector or (
        unicodedata.category(character) not in _REFUSED_CATEGORIES and character not in _BLANK
    )


def _escape(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def clean_body(text: str) -> tuple[str, bool]:
    """A message's text as it may be shown and whether that changed it. Raises E402 for nothing to show."""
    shown = visible(text.strip("\n"))
    if not shown.strip():
        raise ChatdError("E402")
    # Tabs and CRLF are laid out anew without anything being lost; that is not worth telling.
    return shown, shown != text.strip("\n").replace("\r\n", "\n").replace("\t", _TAB)


def truncate(text: str, limit: int, mark: str = TRUNCATION_MARK) -> tuple[str, bool]:
    """At most ``limit`` characters, mark included, and whether anything was cut off.

    A letter is not cut from its combining marks, nor an emoji in the middle of its sequence.
    """
    if len(text) <= limit:
        return text, False
    end = max(0, limit - len(mark))
    while 0 < end < len(text) and _continues(text, end):
        end -= 1
    return (text[:end] + mark)[:limit], True


def _continues(text: str, index: int) -> bool:
    character = text[index]
    joined = character in _JOINERS or text[index - 1] in _JOINERS
    selector = "\ufe00" <= character <= "\ufe0f" or "\U0001f3fb" <= character <= "\U0001f3ff"
    return joined or selector or unicodedata.combining(character) != 0
