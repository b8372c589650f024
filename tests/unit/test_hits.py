"""What a search has found, shown as one line with the words marked."""

from __future__ import annotations

import pytest

from chatctl.model.hits import EXCERPT_CHARS, HIT, Hits, render_hit, wider
from chatctl.model.render import Line, Viewer, plain
from chatd.proto.events import Message, Reaction

REACTION = Reaction(text="+1", count=2, mine=False)


def message(body: str, kind: str = "text") -> Message:
    return Message(
        type="message", seq=7, at=0, room="#war", user="bob", device="d", role="user", msg_id="0" * 32,
        kind=kind, body=body,
    )  # fmt: skip


def marked(line: Line) -> str:
    return "".join(f"[{text}]" if style == HIT else text for style, text in line)


@pytest.mark.parametrize(
    ("query", "body", "shown"),
    [
        ("swap", "the swap file", "the [swap] file"),
        ("swap", "swapping SWAP", "swapping [SWAP]"),
        ("swap*", "it swaps, no unswap", "it [swaps], no unswap"),
        ("*swap", "it swaps, no unswap", "it swaps, no [unswap]"),
        ("*wap*", "swaps!", "[swaps]!"),
        ('"swap file"', "swap the swap  file", "swap the [swap file]"),
        ("swap.fi*", "swap-file swap", "[swap-file] swap"),
        ("cafe", "two CAF\u00c9s, a cafe\u0301", "two CAF\u00c9s, a [cafe\u0301]"),
        ("a b", "b a b", "[b] [a] [b]"),
        ('"a b" b*', "a b", "[a b]"),
        ("from:bob", "nothing\nmarked", "nothing"),
        ("swap", "first\n\n  then swap  in\nlast", "then [swap] in"),
        ("absent", "\n \nbody", "body"),
        ("ho*st", "refused", "refused"),
        ("x1b", "a\x1b", "a\\[x1b]"),
    ],
)
def test_the_words_are_marked_in_the_line_that_has_them(query: str, body: str, shown: str) -> None:
    assert marked(Hits(query).excerpt(body)) == shown


@pytest.mark.parametrize("before", [0, 10, 5_000])
@pytest.mark.parametrize("after", [0, 5_000])
def test_a_long_line_is_cut_around_the_first_word(before: int, after: int) -> None:
    text = marked(Hits("needle").excerpt("x " * before + "needle " + "y needle " * after))
    assert "[needle]" in text
    assert len(text.replace("[", "").replace("]", "")) <= EXCERPT_CHARS + 2
    assert text.startswith("\u2026") == (before > EXCERPT_CHARS)
    assert text.endswith("\u2026") == (after > EXCERPT_CHARS)


def test_a_word_longer_than_the_line_is_cut() -> None:
    assert marked(Hits("y*").excerpt("a " + "y" * 5_000, limit=10)).endswith("y]\u2026")


def test_a_hit_is_one_line_with_time_number_room_and_author() -> None:
    viewer = Viewer(dated=True, numbered=True)
    line = render_hit(message("one\ntwo"), Hits("two"), viewer)
    assert plain([line]) == "[1970-01-01 00:00:00Z 7] #war <bob> two"
    line = render_hit(message("waves", "action"), Hits("w*"), viewer)
    assert plain([line]) == "[1970-01-01 00:00:00Z 7] #war * bob waves"
    changed = message("one two").model_copy(update={"edited": 9, "reactions": [REACTION]})
    assert plain([render_hit(changed, Hits("two"), viewer)]) == "[1970-01-01 00:00:00Z 7] #war <bob> one two"
    # A kind that this client does not know is shown like text.
    assert plain([render_hit(message("waves", "snippet"), Hits("x"), viewer)]).endswith("<bob> waves")


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("swap", "swap"),
        ("from:bob swap*  disk", "disk"),
        ("swap*", ""),
        ("from:bob", ""),
        ('"two words"', ""),
        ("swa*p", ""),
        ("", ""),
    ],
)
def test_a_plain_word_is_offered_as_a_beginning_and_a_part(query: str, word: str) -> None:
    expected = f"{word}* finds words that begin with it, *{word}* words that contain it" if word else ""
    assert wider(query) == expected


def test_a_short_excerpt_still_has_the_first_hit() -> None:
    body = "long before anybody had seen it the disk of host1 was swapping"
    assert "[swapping]" in marked(Hits("swap*").excerpt(body, limit=40))
