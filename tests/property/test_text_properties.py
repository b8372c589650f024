"""Properties of the escaping: safe output, idempotence, plain text unchanged."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from chatd.errors import ChatdError
from chatd.proto.text import (
    NAME,
    check_name,
    clean_body,
    dm_members,
    dm_room,
    truncate,
    visible,
)
from tests.support.harmless import assert_harmless

# Many characters that the rules treat specially: joiners, selectors, marks, emoji, fillers, letters of
# escapes.
_SHARP = st.sampled_from(
    "\u200d\u200c\ufe0f\ufe01\U000e0101\u0301\u0e47\u093e\u094d\u0915❤👩🏽字1#\\x a"
    "\u1160\u2800\u202e\x1b\r\n\t"
)
TEXT = st.lists(st.one_of(_SHARP, st.characters()), max_size=60).map("".join)
NAMES = st.from_regex(NAME, fullmatch=True)


@settings(deadline=None)
@given(TEXT, st.booleans())
@example("a" + "\u0301" * 9 + "\u200d\u0915", True)
@example("\u0915" + "\u094d\u200d" * 12, True)
def test_visible_is_idempotent(text: str, newlines: bool) -> None:
    once = visible(text, newlines=newlines)
    assert visible(once, newlines=newlines) == once


@settings(deadline=None)
@given(TEXT, st.booleans())
def test_no_hidden_character_is_left(text: str, newlines: bool) -> None:
    assert_harmless(visible(text, newlines=newlines), newlines=newlines)


@settings(deadline=None)
@given(TEXT)
def test_what_is_shown_can_be_sent_as_utf8(text: str) -> None:
    visible(text).encode()


@settings(deadline=None)
@given(st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7E)))
def test_plain_ascii_stays(text: str) -> None:
    assert visible(text) == text


@settings(deadline=None)
@given(TEXT)
def test_a_clean_body_is_clean(text: str) -> None:
    try:
        body, _ = clean_body(text)
    except ChatdError as error:
        assert error.code == "E402"
    else:
        assert body.strip()
        assert clean_body(body) == (body, False)


@settings(deadline=None)
@given(TEXT, st.integers(0, 80))
def test_truncated_to_the_limit(text: str, limit: int) -> None:
    short, cut = truncate(text, limit)
    assert len(short) <= limit
    assert cut == (len(text) > limit)
    assert cut or short == text


@settings(deadline=None)
@given(NAMES, NAMES)
def test_a_conversation_is_the_same_for_both(one: str, other: str) -> None:
    assert dm_room(one, other) == dm_room(other, one)
    assert dm_members(dm_room(one, other)) == tuple(sorted((one, other)))


@settings(deadline=None)
@given(TEXT)
def test_a_name_is_accepted_or_refused_with_e403(text: str) -> None:
    try:
        assert NAME.fullmatch(check_name(text))
    except ChatdError as error:
        assert error.code == "E403"
        assert visible(error.reason, newlines=False) == error.reason
