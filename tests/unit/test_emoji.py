"""Emoji that cannot be drawn are written by their names."""

from __future__ import annotations

import pytest

from chatctl.window.emoji import named

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain :text:", "plain :text:"),
        ("gr\u00fc\u00dfe \u65e5\u672c", "gr\u00fc\u00dfe \u65e5\u672c"),
        ("go \U0001f680!", "go :rocket:!"),
        (f"a {FAMILY} b", "a :man+woman+girl: b"),
        ("\U0001f44d\U0001f3fd", ":thumbs-up-sign:"),
        ("\u2764\ufe0f", ":heavy-black-heart:"),
        ("\U0001f1e9\U0001f1ea", ":DE:"),
        ("\U0001f680\U0001f680", ":rocket::rocket:"),
        ("\u200d", "\u200d"),
        ("\U0001faff", ":emoji:"),
    ],
)
def test_names(text: str, expected: str) -> None:
    assert named(text, lambda _: False) == expected
    assert named(text, lambda _: True) == text


def test_a_joined_emoji_is_drawn_only_if_all_its_parts_can_be() -> None:
    assert named(FAMILY, lambda part: part != "\U0001f467") == ":man+woman+girl:"
    assert named(f"\U0001f680{FAMILY}", lambda part: part == "\U0001f680") == "\U0001f680:man+woman+girl:"
