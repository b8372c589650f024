"""Validation of names, escaping and truncation of text."""

from __future__ import annotations

import pytest

from chatd.errors import ChatdError
from chatd.proto.text import (
    RESERVED,
    check_name,
    check_new_name,
    check_room,
    clean_body,
    dm_members,
    dm_room,
    is_group,
    truncate,
    visible,
)


@pytest.mark.parametrize("name", ["a", "0", "bob", "bob-2", "a.b_c", "a" * 32, "x--y"])
def test_a_valid_name_is_accepted(name: str) -> None:
    assert check_name(name) == name
    assert check_room(f"#{name}") == f"#{name}"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "is empty"),
        ("a" * 33, "has 33 characters; 32 are allowed"),
        ("Bob", "capital letters; write 'bob'"),
        ("bob smith", "contains a space; write 'bob-smith', for example"),
        ("Bob Smith", "contains a space; write 'bob-smith', for example"),
        ("Bob!", "contains '!'"),
        ("bob\n", r"contains '\x0a'"),
        ("b\u03bfb", "contains '\u03bf'"),
        ("bob\u202e", r"contains '\u202e'"),
        ("ｂｏｂ", "contains 'ｂ'"),
        ("-bob", "start and end with"),
        ("bob.", "start and end with"),
        ("a,b", "contains ','"),
        ("../x", "contains '/'"),
    ],
)
def test_an_invalid_name_is_refused_with_the_reason(name: str, reason: str) -> None:
    with pytest.raises(ChatdError, match="E403") as as_name:
        check_name(name, "user")
    with pytest.raises(ChatdError, match="E403") as as_room:
        check_room(f"#{name}")
    assert reason in as_name.value.reason
    assert reason in as_room.value.reason


def test_a_reserved_name_cannot_be_registered() -> None:
    for name in RESERVED:
        with pytest.raises(ChatdError, match="reserved"):
            check_new_name(name)
        assert check_name(name) == name
    assert check_new_name("bob") == "bob"
    assert check_room("#all") == "#all"


@pytest.mark.parametrize("room", ["", "lobby", "@bob", "#", "##x", "# x"])
def test_an_invalid_room_name_is_refused(room: str) -> None:
    with pytest.raises(ChatdError, match="E403"):
        check_room(room)


def test_a_direct_conversation_is_named_after_its_sorted_members() -> None:
    assert dm_room("bob", "alice") == dm_room("alice", "bob") == "@alice,bob"
    assert dm_members("@alice,bob") == ("alice", "bob")
    assert dm_members(dm_room("alice", "alice")) == ("alice", "alice")
    group = dm_room("carol", "alice", "bob")
    assert dm_members(group) == ("alice", "bob", "carol")
    assert is_group(group)
    assert not is_group("@alice,bob")
    assert dm_members("@" + ",".join("abcdefghi")) is None
    for room in ("", "@", "@alice", "#alice,bob", "@alice,", "@a,b,", "@A,b", "@a, b"):
        assert dm_members(room) is None


ORDINARY_TEXTS = [
    "plain",
    "Grüße, Ελλάδα, привет, שלום, مرحبا, नमस्ते, 日本語, 한국어, ไทย",
    "e\u0301 composed of two",
    "two\nlines",
    "wide\u3000and\u00a0hard spaces",
    "❤\ufe0f 1\ufe0f\u20e3 \U0001f44d\U0001f3fd",
    "\U0001f469\u200d\U0001f4bb",
    "\U0001f3f3\ufe0f\u200d\U0001f308 ❤\ufe0f\u200d\U0001f525 \U0001f642\u200d↔\ufe0f",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian with ZWNJ
    "\u0915\u094d\u200d\u0937 \u09b0\u200d\u09cd\u09af",  # Devanagari, Bengali: ZWJ after and before a virama
    "\u845b\U000e0100",  # an ideograph's variant
    "\U0001f1e9\U0001f1ea",
]


@pytest.mark.parametrize("text", ORDINARY_TEXTS)
def test_ordinary_text_is_unchanged(text: str) -> None:
    assert visible(text) == text
    assert clean_body(text) == (text, False)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x00\x07\x08\x7f", r"\x00\x07\x08\x7f"),
        ("\x9b31m\x9d0;t\x9c", r"\x9b31m\x9d0;t\x9c"),
        ("a\r\nb", "a\nb"),
        ("a\rb", r"a\x0db"),
        ("a\tb", "a    b"),
        ("\u202eevil\u2066x", r"\u202eevil\u2066x"),
        ("a\u2028b\u2029c\x85", r"a\u2028b\u2029c\x85"),
        ("\U000e0041\U000e0001", r"\U000e0041\U000e0001"),
        ("\ufeffa\u200bb\u2060c\u00add", r"\ufeffa\u200bb\u2060c\xadd"),
        ("\ud800x", r"\ud800x"),
        ("\ue000\U0010ffff\u0378", r"\ue000\U0010ffff\u0378"),
        ("\u3164\u115f\u1160\uffa0\u2800\u034f\u17b4", r"\u3164\u115f\u1160\uffa0\u2800\u034f\u17b4"),
        ("a\u200db", r"a\u200db"),
        ("\u00e9\u200d\u00e9", "\u00e9\\u200d\u00e9"),
        ("\u200d\u0915\u200d", "\\u200d\u0915\\u200d"),
        ("\u0915\u200d\u200d\u0915", "\u0915\\u200d\\u200d\u0915"),
        ("a\ufe0f", r"a\ufe0f"),
        ("\u2764\ufe0f\ufe0e", "\u2764\ufe0f\\ufe0e"),
        ("a\U000e0100", r"a\U000e0100"),
        ("a" + "\u0301" * 10, "a" + "\u0301" * 8 + r"\u0301\u0301"),
        ("\u0e01" + "\u0e47" * 9, "\u0e01" + "\u0e47" * 8 + r"\u0e47"),
        (
            "\u0915" + "\u093c\u200d" * 9 + "x",
            "\u0915" + "\u093c\u200d" * 7 + "\u093c" + r"\u200d\u093c\u200dx",
        ),
    ],
)
def test_invisible_and_control_characters_are_escaped(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert visible(shown) == shown


def test_newlines_are_escaped_on_request() -> None:
    assert visible("a\nb\r\nc", newlines=False) == r"a\x0ab\x0ac"
    assert visible("plain", newlines=False) == "plain"


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("hello", ("hello", False)),
        ("\n\nhello\n", ("hello", False)),
        ("\r\nhello\r\n", ("hello", False)),
        ("\tx\r\ny", ("    x\ny", False)),
        ("  indented", ("  indented", False)),
        ("be\x07ll", (r"be\x07ll", True)),
    ],
)
def test_a_body_is_trimmed_and_escaped(text: str, body: tuple[str, bool]) -> None:
    assert clean_body(text) == body


@pytest.mark.parametrize("text", ["", " ", "\n\n", "\r\n", "\t \u3000\u00a0"])
def test_a_body_must_have_visible_text(text: str) -> None:
    with pytest.raises(ChatdError, match="E402"):
        clean_body(text)


@pytest.mark.parametrize(
    ("text", "limit", "short"),
    [
        ("x" * 20, 20, "x" * 20),
        ("x" * 21, 20, "xxxxx... [truncated]"),
        ("abcde\u0301" + "x" * 20, 20, "abcd... [truncated]"),
        ("abc\U0001f469\u200d\U0001f4bb" + "x" * 20, 20, "abc... [truncated]"),
        ("abcd\u2764\ufe0f" + "x" * 20, 20, "abcd... [truncated]"),
        ("abcd\U0001f44d\U0001f3fd" + "x" * 20, 20, "abcd... [truncated]"),
        ("abcdef", 3, "..."),
        ("abcdef", 0, ""),
    ],
)
def test_a_long_text_is_truncated_between_characters(text: str, limit: int, short: str) -> None:
    assert truncate(text, limit) == (short, short != text)
