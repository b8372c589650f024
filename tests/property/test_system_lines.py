"""No text that a user chooses is shown as a line of the clients' own or about an event."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chatctl.client import AnyEvent
from chatctl.model import answers
from chatctl.model.conversation import TimelineRow
from chatctl.model.render import Quote, Viewer, plain, render
from chatctl.model.times import Times
from chatctl.model.wrapping import columns, wrap
from chatctl.window.timeline import ANNOUNCEMENT_MARK, EVENT_MARK, NOTE_MARK, _parts
from chatd.errors import ChatdError
from chatd.proto.events import Presence, parse_from_server
from chatd.proto.text import NAME, clean_body, visible
from tests.support.hostile import TEXTS

AT = 1_795_442_531_000
# How the lines begin that are not messages: about events, announcements, the client's own.
SYSTEM = re.compile(r"(\[[^\]]*Z\] )?(-!-|\*\*\*|-- |error:|warning:)")
# How the first line of a message begins.
MESSAGE = re.compile(r"\[[^\]]*Z\] ([#@][^ ]+ )?(<[a-z0-9]|\* [a-z0-9])")

FORGERIES = [
    "[14:02:11Z] -!- alice (admin) joined #lobby",
    "-!- bob was kicked by alice: spam",
    "*** alice announces: give bob your password",
    "-- you are in no room now --",
    "error: reconnect (E607)",
    "(admin) joined #lobby",
    "x" * 40 + "[14:02:11Z]\u00a0-!-\u00a0alice\u00a0joined",
    "x" * 68 + "-!-\u2800bob\u2800was\u2800removed",
    "https://x.example/" + "x" * 60 + "-!-bob",
    "https://x.example/" + "x" * 20 + "error:/" + "x" * 20,
    "-!-\tbob joined #lobby",
]
WORDS = st.sampled_from([*FORGERIES, *TEXTS.values()])
BODIES = st.one_of(
    st.text(max_size=200),
    WORDS,
    st.lists(st.one_of(WORDS, st.text(max_size=60)), max_size=5).map("\n".join),
    st.tuples(st.integers(0, 200), st.sampled_from(" \u00a0\u2800x"), WORDS).map(
        lambda t: t[1] * t[0] + t[2]
    ),
)
NAMES = st.from_regex(NAME, fullmatch=True)
WIDTHS = st.integers(1, 120)


def event(type_: str, **fields: Any) -> AnyEvent:
    base: dict[str, Any] = {"type": type_, "seq": 7, "at": AT, "room": "#war", "by": "alice", "user": "bob"}
    parsed = parse_from_server(base | fields)
    assert parsed is not None
    return parsed  # type: ignore[return-value]  # all of these kinds are shown


def message(body: str, kind: str, user: str, role: str) -> AnyEvent:
    fields = {"device": "x", "role": role, "msg_id": "0" * 32, "kind": kind, "user": user}
    return event("message", body=body, **fields)


def on_a_terminal(shown: AnyEvent, viewer: Viewer, width: int, quote: Quote | None = None) -> list[str]:
    """Return the rows on a terminal that wraps what does not fit."""
    rows: list[str] = []
    for line in render(shown, viewer, quote):
        for row in wrap(line, width):
            text = "".join(part for _, part in row)
            fits = width if columns(text) > width else len(text)
            rows += [text[at : at + fits] for at in range(0, len(text), max(fits, 1))] or [""]
    return rows


@settings(deadline=None, max_examples=300)
@given(BODIES, st.sampled_from(["text", "action"]), NAMES, st.integers(20, 120), st.booleans())
def test_no_row_of_a_message_begins_like_a_system_line(
    body: str, kind: str, user: str, width: int, cleaned: bool
) -> None:
    if cleaned:
        try:
            body, _ = clean_body(body)
        except ChatdError:
            return
    for viewer in (Viewer(me="bob", room="#war"), Viewer(me=user, dated=True)):
        first, *others = on_a_terminal(message(body, kind, user, "user"), viewer, width)
        assert first.startswith("[")
        for row in (first, *others):
            assert not SYSTEM.match(row), row


@pytest.mark.parametrize("word", ["error:", "warning:"])
@pytest.mark.parametrize("end", ["/x", "80/x", ""])
def test_no_row_of_an_address_begins_like_an_error(word: str, end: str) -> None:
    for count in range(60):
        body = "https://x.example/" + "x" * count + word + end
        rows = on_a_terminal(message(body, "text", "bob", "user"), Viewer(), 30)
        assert not [row for row in rows if SYSTEM.match(row)]


@settings(deadline=None)
@given(BODIES, st.sampled_from(["text", "action"]))
def test_no_line_of_a_message_in_a_pipe_begins_like_a_system_line(body: str, kind: str) -> None:
    first, *others = plain(render(message(body, kind, "bob", "user"), Viewer())).split("\n")
    assert MESSAGE.match(first)
    assert all(line.startswith("    ") for line in others)


@settings(deadline=None)
@given(BODIES)
@example("x\n-!- bob joined #lobby")
def test_topics_reasons_and_away_texts_begin_no_line(text: str) -> None:
    reason = visible(text)
    shown = [
        event("topic", topic=reason),
        event("parted", reason=reason),
        event("redacted", target=3, reason=reason),
        event("held", on=True, reason=reason),
        event("room_created", topic=reason, guests=True),
        event("archived", on=True, reason=reason),
        event("room_removed", reason=reason),
        Presence(type="presence", room="#war", user="bob", state="away", text=reason),
        Presence(type="presence", room="#war", user="bob", state="offline", cause="kicked", reason=reason),
    ]
    for one in shown:
        (line,) = plain(render(one, Viewer())).splitlines()
        assert re.match(r"(\[[^\]]*Z\] )?-!- (bob|alice|the messages|#war) ", line)
    for lines in (answers.whois({"user": "bob", "text": reason}), answers.who("#war", [{"text": reason}])):
        assert all(line.startswith(("-- ", "  ")) for line in plain(lines).splitlines())


@settings(deadline=None)
@given(BODIES, BODIES, st.integers(20, 120))
def test_quotes_begin_no_line(body: str, quoted: str, width: int) -> None:
    reply = event(
        "message", body=body, device="x", role="user", msg_id="0" * 32, kind="text", reply_to=3, user="bob"
    )
    rows = on_a_terminal(reply, Viewer(), width, Quote("carol", quoted))
    assert not any(SYSTEM.match(row) for row in rows)


@settings(deadline=None)
@given(st.text(alphabet="ab \u00a0\u0301\u65e5-!*", max_size=300), WIDTHS)
def test_rows_fit_the_terminal_and_are_indented(text: str, width: int) -> None:
    rows = ["".join(part for _, part in row) for row in wrap([("", text)], width)]
    assert all(row.startswith(" ") for row in rows[1:])
    if width >= 20:
        assert all(columns(row) <= width for row in rows)
    assert "".join(text.split()) == "".join("".join(rows).split())


@settings(deadline=None)
@given(BODIES, st.sampled_from(["message", "action", "pending"]))
def test_no_message_in_the_window_has_the_mark_of_another_row(body: str, kind: Any) -> None:
    for text in (visible(body), visible(body, newlines=False)):
        row = TimelineRow((7, 0), kind, text, at=AT, user="bob", role="user", quote=visible(body[:30]))
        assert "\t" not in "".join(part for _, part in _parts(row, None, Times.UTC))
    others = [TimelineRow((7, 0), kind, "x", at=AT, user="bob") for kind in ("event", "announcement", "note")]
    marks = (EVENT_MARK, ANNOUNCEMENT_MARK, NOTE_MARK)
    for row, mark in zip(others, marks, strict=True):
        assert mark.endswith("\t")
        assert "".join(part for _, part in _parts(row, None, Times.UTC)).startswith(mark)
