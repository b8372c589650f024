"""Marking up loses nothing of a text, separates no letter from its marks, and opens what is shown."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from chatctl.model.conversation import TimelineRow
from chatctl.model.markup import LINK, spans
from chatctl.model.render import Viewer, plain, render
from chatctl.model.times import Times
from chatctl.window.timeline import _parts
from chatd.proto.events import Message
from chatd.proto.text import continues, visible
from tests.support.harmless import assert_harmless
from tests.support.hostile import TEXTS

_PIECES = st.sampled_from(
    [*"`*\n ()@./:a_", "**", "```", "`a`", "**b**", "https://x.example/", "https://", "http://a.b", "\u0301"]
)
BODIES = st.lists(
    st.one_of(_PIECES, st.sampled_from([*TEXTS.values()]), st.text(max_size=9)), max_size=40
).map("".join)


@settings(deadline=None, max_examples=300)
@given(BODIES, st.booleans())
def test_the_spans_are_the_text(body: str, cleaned: bool) -> None:
    text = visible(body) if cleaned else body
    found = spans(text)
    assert "".join(one.text for one in found) == text
    at = 0
    for before, one in pairwise(found):
        at += len(before.text)
        assert before.looks != one.looks
        assert text[at - 1] == "\n" or not continues(text, at)


@settings(deadline=None, max_examples=300)
@given(BODIES)
def test_a_link_is_an_address_of_the_web_with_a_plain_host(body: str) -> None:
    for one in spans(visible(body)):
        if LINK in one.looks:
            assert re.match(r"https?://[A-Za-z0-9][A-Za-z0-9.-]*(:\d{1,5})?([/?#]|$)", one.text)
            assert not re.search(r"\s|`|\*\*", one.text)


@settings(deadline=None)
@given(BODIES, st.sampled_from(["text", "action"]))
def test_what_is_shown_is_the_whole_text_and_harmless(body: str, kind: str) -> None:
    event = {"type": "message", "seq": 7, "at": 7, "room": "#war", "user": "bob", "body": body, "kind": kind}
    message = Message.model_validate({**event, "device": "x", "role": "user", "msg_id": "0" * 32})
    shown = plain(render(message, Viewer("alice", "#war")))
    assert_harmless(shown, newlines=True)
    assert shown.endswith(visible(body).replace("\n", "\n    "))
    row = TimelineRow((7, 0), "message" if kind == "text" else "action", visible(body), at=7, user="bob")
    assert visible(body) in "".join(text for _, text in _parts(row, None, Times.UTC))


def test_long_hostile_texts_are_read_in_one_pass() -> None:
    for piece in ("`", "**a ", "``", "https://a", "https://a(", "```x", "`x\n", "**a**", "https://a@", ")"):
        text = piece * (400_000 // len(piece))
        assert "".join(one.text for one in spans(text)) == text
