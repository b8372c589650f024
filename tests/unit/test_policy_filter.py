"""Forbidden words, and attempts to hide them."""

from __future__ import annotations

import unicodedata
from typing import Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chatd.policy.filter import Mode, WordFilter, normalise
from chatd.proto.text import visible

DEFAULT = ["hack", "exploit", "drop", "delete"]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("please drop it", "drop"),
        ("DROP", "drop"),
        ("(hack)", "hack"),
        ("hack-day", "hack"),
        ("ｈａｃｋ", "hack"),
        ("𝓱𝓪𝓬𝓴 ⓗⓐⓒⓚ", "hack"),
        ("h\u0301a\u0308ck HÁÇK", "hack"),
        ("h\u200ba\u200dc\u00adk", "hack"),
        ("d\u202er\U000e0041op", "drop"),
        ("dr\u3164o\u2800p\ufe0f", "drop"),
        ("dr\x00op", "drop"),
        ("x\x1bdrop", "drop"),
        ("drop\u00adx", "drop"),
        ("drop\n", "drop"),
        ("first line\ndelete", "delete"),
        ("hackathon", None),
        ("shack", None),
        ("drop_table", None),
        ("drop2", None),
        ("dropping exploits", None),
        ("h a c k", None),
        ("hасk", None),  # with Cyrillic letters
        ("", None),
    ],
)
def test_a_forbidden_word_is_found_as_a_whole_word(text: str, rule: str | None) -> None:
    assert WordFilter(DEFAULT).find(text) == rule


@pytest.mark.parametrize(
    ("text", "rule"), [("hackathon", "hack"), ("sHáCked", "hack"), ("undeleted", "delete"), ("ha ck", None)]
)
def test_a_forbidden_word_is_found_within_words_in_substring_mode(text: str, rule: str | None) -> None:
    assert WordFilter(DEFAULT, "substring").find(text) == rule


@pytest.mark.parametrize(
    ("words", "text", "rule"),
    [
        (["c++"], "I like C++.", "c++"),
        (["c++"], "c", None),
        (["rm  -rf"], "rm\t-rf /", "rm  -rf"),
        (["a.b"], "axb", None),
        (["(a|b)*", "[x"], "see [x", "[x"),
        (["drop", "drop table"], "drop table users", "drop table"),
        (["drop", "drop table"], "drop tables", "drop"),
        (["Straße"], "STRASSE", "Straße"),
        (["\u200b", " "], "anything", None),
        ([], "anything", None),
    ],
)
def test_words_with_symbols_spaces_and_accents_are_found(
    words: list[str], text: str, rule: str | None
) -> None:
    assert WordFilter(words).find(text) == rule


def test_many_and_long_words_are_found() -> None:
    words = [f"w{n}x" for n in range(10_000)] + ["a" * n for n in range(1, 101)]
    assert WordFilter(words).find("see w7777x") == "w7777x"
    assert WordFilter(words).find("a" * 100) == "a" * 100
    assert WordFilter(words).find("a" * 101) is None


_HIDDEN = st.lists(
    st.sampled_from("\x00\x1b\u200b\u200c\u200d\u00ad\u202e\ufeff\u3164\u0301\U000e0020"), max_size=3
)


@settings(deadline=None)
@given(st.lists(_HIDDEN.map("".join), min_size=5, max_size=5), st.sampled_from(["words", "substring"]))
def test_hidden_characters_do_not_hide_a_word(between: list[str], mode: Mode) -> None:
    text = "".join(hidden + letter for hidden, letter in zip(between, "drop ", strict=True))
    assert WordFilter(DEFAULT, mode).find(text) == "drop"


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(st.sampled_from(["drop", "x", " ", "\x00", "\u200d", "\u00ad", "\u2028"]), st.characters())
    )
)
@example(["drop", "\u200d", "x"])
def test_escaped_text_has_no_word_that_the_filter_missed(parts: list[str]) -> None:
    text = "".join(parts)
    for mode in ("words", "substring"):
        rules = WordFilter(DEFAULT, mode)
        assert rules.find(visible(text)) is None or rules.find(text) is not None


@settings(deadline=None)
@given(st.text())
def test_normalise_is_idempotent(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


# The name of each text says which step of normalising it makes expensive.
@pytest.mark.parametrize(
    "text",
    [
        "a" + "\u0344" * 8191 + "\u0316" * 8192,  # a mark that decomposes into two, out of order
        "a" + "\u0316\u0301" * 8000,
        "\u1161" + "\u302e" * 16_000,  # spacing marks that are reordered as well
        "\U0001d158" + "\U0001d165\U0001d16e" * 8000,
        "x" + "\u3099" * 16_000 + "drop",
    ],
    ids=["double marks", "two classes", "hangul tones", "musical", "kana marks"],
)
def test_runs_of_marks_never_reach_the_normaliser(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    longest = 0

    def normalize(form: Literal["NFKC", "NFKD"], text: str) -> str:
        nonlocal longest
        run = 0
        for character in text:
            run = run + 1 if unicodedata.combining(character) else 0
            longest = max(longest, run)
        return real(form, text)

    real = unicodedata.normalize
    monkeypatch.setattr("chatd.policy.filter.unicodedata.normalize", normalize)
    WordFilter(DEFAULT).find(text)
    assert longest <= 3


@given(st.text(max_size=40))
@example("e\u0301\u0323")
@example("\uac00\u11a8 \u0344")
def test_dropping_marks_first_folds_as_dropping_them_last(text: str) -> None:
    def fold(text: str) -> str:
        return unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())

    def drop_marks(text: str) -> str:
        marks = ("Mn", "Me")
        return "".join(
            c for c in text if unicodedata.category(c) not in marks and not unicodedata.combining(c)
        )

    assert drop_marks(fold(drop_marks(text))) == drop_marks(fold(text))
