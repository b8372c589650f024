"""Long texts in the clients: their beginning is shown, pasted lines are a snippet, a cut is asked about."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatctl.client._notices import Sent
from chatctl.client._session import ClientSession
from chatctl.model.chat_model import ChatModel
from chatctl.model.folding import FOLD_CHARS, FOLD_LINES, fold, kind_of
from chatctl.model.render import Viewer, plain, render
from chatd.proto import events as ev
from tests.unit.test_events import EXAMPLES

WELCOME = {"type": "welcome"} | EXAMPLES["welcome"]
LINES = [f"line {number}" for number in range(30)]


def snippet(seq: int, body: str) -> ev.Message:
    fields = {"device": "d", "role": "user", "msg_id": f"{seq:032x}", "kind": "snippet", "at": seq * 1_000}
    return ev.Message.model_validate(
        {"type": "message", "seq": seq, "room": "#lobby", "user": "bob", "body": body, **fields}
    )


def welcome(**changes: Any) -> ev.Welcome:
    return ev.Welcome.model_validate(WELCOME | changes)


@pytest.mark.parametrize(
    ("text", "shown", "more"),
    [
        ("one", "one", ""),
        ("\n".join(LINES[:6]), "\n".join(LINES[:6]), ""),
        ("\n".join(LINES[:7]), "\n".join(LINES[:6]), "1 more line"),
        ("\n".join(LINES), "\n".join(LINES[:6]), "24 more lines"),
        ("x" * 3_000, "x" * 499 + "\u2026", "2,500 more characters"),
    ],
)
def test_the_beginning_of_a_text_is_shown(text: str, shown: str, more: str) -> None:
    assert fold(text) == (shown, more)


@given(st.text(st.sampled_from("ab\n\u0301 "), max_size=5_000))
def test_a_folded_text_is_bounded_and_says_that_more_follows(text: str) -> None:
    shown, more = fold(text)
    assert len(shown) <= FOLD_CHARS
    assert shown.count("\n") < FOLD_LINES
    assert bool(more) == (shown != text)


def test_the_line_client_folds_and_scripts_do_not() -> None:
    event = snippet(123, "\n".join(LINES))
    folded = plain(render(event, Viewer(room="#lobby", folded=True))).splitlines()
    assert folded[1:6] == [f"    {line}" for line in LINES[1:6]]
    assert folded[6:] == ["    \u2026 24 more lines \u00b7 /show 123"]
    assert len(plain(render(event, Viewer(room="#lobby"))).splitlines()) == 30


def test_the_model_keeps_only_the_beginning_of_a_snippet() -> None:
    model = ChatModel("alice")
    model.take(snippet(5, "x\n" * 15_000))
    row = model.conversation("#lobby").rows[-1]
    assert (row.is_snippet, row.more, len(row.body)) == (True, "14,995 more lines", 11)


@pytest.mark.parametrize(
    ("text", "kind"), [("one", "text"), ("one\n", "text"), ("a\nb", "snippet"), ("\na\n\nb", "snippet")]
)
def test_pasted_lines_are_a_snippet(text: str, kind: str) -> None:
    assert kind_of(text) == kind


@pytest.mark.parametrize(("snippet_bytes", "kind"), [(32_768, "snippet"), (0, None)])
def test_a_server_before_snippets_gets_a_text(snippet_bytes: int, kind: str | None) -> None:
    session = ClientSession(live=False)
    session.opened(0.0)
    limits = WELCOME["limits"] | {"snippet_bytes": snippet_bytes}
    session.receive(WELCOME | {"limits": limits}, 0.0)
    session.send(Sent("0" * 32, "#lobby", "a\nb", "snippet", None))
    (frame,) = session.outgoing(0.0)
    assert (frame.get("kind"), frame["body"]) == (kind, "a\nb")
