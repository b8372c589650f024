"""Rules for names and addresses, and escaping that makes hostile text harmless.

Names are ASCII on purpose: Unicode look-alikes, NFC/NFKC twins and bidi controls would let one user
impersonate another.
"""

from __future__ import annotations

import re
import unicodedata

from chatd.errors import ChatdError

NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,30}[a-z0-9])?")
NAME_CHARS = 32
# Users in a group. Its name, in which theirs are, is in every message.
GROUP_MEMBERS = 8
# Names that stand for the box, a part of it, or the reader in chatd's texts and certificates.
RESERVED = frozenset(
    (
        *("all", "box", "chatd", "envelope", "everyone", "here", "hub", "nobody", "operator", "server"),
        *("supervisor", "system", "you"),
    )
)
# Marks on one letter; more overwrite the lines above and below ("zalgo" text).
COMBINING_LIMIT = 8
_HOST_PORT = re.compile(r"(?:\[[0-9A-Fa-f:.%]{2,64}\]|[0-9A-Za-z._-]{1,253}):([0-9]{1,5})")
TRUNCATION_MARK = "... [truncated]"
_TAB = "    "


def check_name(text: str, what: str = "name") -> str:
    """Return a valid name unchanged. Raises E403 saying what is wrong with it."""
    if not NAME.fullmatch(text):
        raise ChatdError("E403", f"the {what} {_fault(text)}")
    return text


def check_new_name(text: str, what: str = "name") -> str:
    """Return a valid name that may be given to something new. Raises E403 also for reserved names.

    Names given before they were reserved stay in use, so only new ones are refused.
    """
    if check_name(text, what) in RESERVED:
        fix = "choose another name, such as job or laptop" if what == "device" else "choose another name"
        raise ChatdError("E403", f"the {what} {text!r} is reserved", fix)
    return text


def check_room(text: str) -> str:
    """Return a valid room name ("#" and a name) unchanged. Raises E403 saying what is wrong with it."""
    if not text.startswith("#"):
        raise ChatdError("E403", "a room name must start with #", "write #name")
    if not NAME.fullmatch(text[1:]):
        raise ChatdError("E403", f"the room name {_fault(text[1:])}")
    return text


def _fault(text: str) -> str:
    """Describe why a name does not match `NAME`, to follow "the name"."""
    if not text:
        return "is empty"
    if len(text) > NAME_CHARS:
        return f"has {len(text)} characters; {NAME_CHARS} are allowed"
    shown = visible(text, newlines=False)
    if text.isascii() and NAME.fullmatch(text.lower()):
        return f"'{shown}' has capital letters; write '{text.lower()}'"
    foreign = [c for c in text if not NAME.fullmatch(c) and c not in "._-"]
    # A capital letter has an answer; what else is wrong is said first.
    foreign.sort(key=lambda c: c.isascii() and c.isalpha())
    if foreign and foreign[0] == " ":
        better = "-".join(text.lower().split())
        return f"'{shown}' contains a space" + (
            f"; write '{better}', for example" if NAME.fullmatch(better) else ""
        )
    if foreign:
        return f"'{shown}' contains '{visible(foreign[0], newlines=False)}'"
    return f"'{shown}' must start and end with a letter or digit"


def host_port_fault(text: str) -> str:
    """Say what is wrong with a HOST:PORT, to follow "must"; "" if nothing is."""
    if is_host_port(text):
        return ""
    if is_host_port(re.sub(":[0-9]+$", ":1", text)):
        return "have a port from 1 to 65535"
    return "be HOST:PORT, with an IPv6 address in [ ]"


def is_host_port(text: str) -> bool:
    """Whether this is HOST:PORT, with an IPv6 address in [ ]."""
    match = _HOST_PORT.fullmatch(text)
    return match is not None and 0 < int(match[1]) < 65_536


def dm_room(*names: str) -> str:
    """Name the conversation of some users: "@alice,bob" for both; with oneself, "@alice,alice".

    Of three and more it is a group, "@alice,bob,carol".
    """
    return "@" + ",".join(sorted(names))


def conversation_at(address: str, me: str) -> str:
    """Return the name of the conversation at an address: "@alice,bob" for "@bob", also with more names."""
    if not address.startswith("@"):
        return address
    names = address[1:].split(",")
    return dm_room(*names) if len(names) > 1 and me in names else dm_room(me, *names)


def dm_members(room: str) -> tuple[str, ...] | None:
    """Return the users whose names are in the name of a conversation; None if ``room`` is not one."""
    names = tuple(room[1:].split(","))
    if room[:1] != "@" or not 2 <= len(names) <= GROUP_MEMBERS:
        return None
    return names if all(NAME.fullmatch(name) for name in names) else None


def is_group(room: str) -> bool:
    """Whether this is the name of a conversation of more than two users."""
    return room[:1] == "@" and room.count(",") > 1


def visible(text: str, *, newlines: bool = True) -> str:
    r"""Escape everything that a terminal or window would not plainly show, such as \x1b or \u202e.

    An allow-list: printable characters stay, and newlines unless ``newlines`` is false; tabs become spaces;
    controls, bidi controls, tags, invisible and unassigned characters are escaped. Idempotent.
    """
    if text.isascii() and (text.replace("\n", "") if newlines else text).isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\t", _TAB)
    shown: list[str] = []
    # Joiners and selectors are judged by the previous *output* character. By the input, a joiner could
    # follow an escaped letter and would itself be escaped the second time.
    previous, marks = "", 0
    for index, character in enumerate(text):
        if character == "\n" and newlines:
            plain, marks = True, 0
        elif character in _JOINERS:
            plain = _joins(previous, text[index + 1 : index + 2], marks)
        elif is_selector(character):
            plain = _selects(previous)
        else:
            # Joiners and selectors do not reset the count: marks between them still sit on one letter.
            marks = marks + 1 if _is_mark(character) else 0
            plain = marks <= COMBINING_LIMIT and _is_plain(character)
        shown.append(character if plain else _escape(character))
        previous = shown[-1][-1]
    return "".join(shown)


# Assigned characters that are not controls and still show nothing: the combining grapheme joiner, Hangul,
# Khmer and Khitan fillers, Mongolian selectors, the Braille blank, the null notehead.
_BLANK = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f\u2800\u3164\uffa0\U00016fe4\U0001d159"
)
_JOINERS = frozenset("\u200c\u200d")
# Letters of scripts without capitals (Arabic, Indic), their marks, and parts of emoji. Latin, Greek and
# Cyrillic letters need no joiner; between them it could only hide something.
_JOINED_CATEGORIES = frozenset(("Lo", "Mn", "Mc", "So", "Sm", "Sk"))
# Emoji, keycaps, mathematical signs, ideographs: characters that have variants.
_SELECTED_CATEGORIES = frozenset(("So", "Sm", "Sk", "Po", "Pd", "Nd", "Lo"))


def is_selector(character: str) -> bool:
    """Whether this is a variation selector: invisible, it changes the look of the character before it."""
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"


def _is_plain(character: str) -> bool:
    # isprintable() is false for all spaces but U+0020. The others are as wide as they look.
    return character not in _BLANK and (character.isprintable() or unicodedata.category(character) == "Zs")


def _is_mark(character: str) -> bool:
    # Not combining() != 0: it is 0 for the Thai and Tibetan marks that zalgo text uses most.
    return unicodedata.category(character)[0] == "M"


def _joins(before: str, after: str, marks: int) -> bool:
    """Whether a ZWJ or ZWNJ has a meaning between these two: emoji sequences, Arabic, Indic scripts."""
    if is_selector(after) or not (_is_joined(before) and _is_joined(after)):
        return False
    return not _is_mark(after) or marks < COMBINING_LIMIT


def _is_joined(character: str) -> bool:
    if character.isascii() or character in _BLANK:
        return False
    return is_selector(character) or unicodedata.category(character) in _JOINED_CATEGORIES


def _selects(before: str) -> bool:
    """Whether a selector may follow: once, after a character with variants. Others carry hidden data."""
    return before != "" and before not in _BLANK and unicodedata.category(before) in _SELECTED_CATEGORIES


def _escape(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def tidy(text: str) -> str:
    """Expand tabs, replace CRLF by LF, remove line ends at both ends. Costs next to nothing."""
    return text.replace("\r\n", "\n").replace("\t", _TAB).strip("\r\n")


def clean_body(text: str) -> tuple[str, bool]:
    """Return a message's text as it may be shown, and whether anything was escaped.

    What `tidy` does is no escaping. Raises E402 if nothing visible is left.
    """
    tidied = tidy(text)
    shown = visible(tidied)
    if not shown.strip():
        raise ChatdError("E402")
    return shown, shown != tidied


def truncate(text: str, limit_chars: int, mark: str = TRUNCATION_MARK) -> tuple[str, bool]:
    """Cut text to ``limit_chars`` characters, mark included. Return it and whether anything was cut.

    Never separates a letter from its combining marks, and never splits an emoji sequence.
    """
    if len(text) <= limit_chars:
        return text, False
    end = max(0, limit_chars - len(mark))
    while end > 0 and continues(text, end):
        end -= 1
    return (text[:end] + mark)[:limit_chars], True


def continues(text: str, index: int) -> bool:
    """Whether the character at ``index`` belongs to the one before it, such as a combining mark."""
    character = text[index]
    skin_tone = "\U0001f3fb" <= character <= "\U0001f3ff"
    joined = character in _JOINERS or text[index - 1] in _JOINERS
    return joined or skin_tone or _is_mark(character)
