"""Rendering of events and results as styled lines."""

from __future__ import annotations

from typing import Any

import pytest

from chatctl.client import AnyEvent, Disconnected
from chatctl.model import answers
from chatctl.model.commands import TABLE, help_lines
from chatctl.model.render import Quote, Viewer, day_of, mentions, plain, render, short_count, title
from chatctl.model.wrapping import columns, wrap
from chatd.errors import ChatdError
from chatd.proto.events import Bye, Isolated, Presence, Slowed, Standing, parse_from_server
from chatd.proto.text import visible
from tests.support.hostile import TEXTS

# 2026-11-23 14:02:11 UTC
AT = 1_795_442_531_000


def event(type_: str, **fields: Any) -> AnyEvent:
    base: dict[str, Any] = {"type": type_, "seq": 7, "at": AT, "room": "#war", "by": "alice"}
    if type_ == "message":
        base |= {"user": "bob", "device": "laptop", "role": "user", "msg_id": "0" * 32, "kind": "text"}
    parsed = parse_from_server(base | fields)
    assert parsed is not None
    return parsed  # type: ignore[return-value]


def went_offline(**why: str) -> AnyEvent:
    return Presence(type="presence", room="#war", user="bob", state="offline", **why)


def standing(change: str, **fields: Any) -> AnyEvent:
    given = {"role": "guest", "permissions": [], "by": "al"} | fields
    return Standing(type="standing", change=change, **given)


RENDERED: list[tuple[AnyEvent, str]] = [
    (event("message", body="hi"), "[14:02:11Z] <bob> hi"),
    (event("message", body="hi", role="admin"), "[14:02:11Z] <bob*> hi"),
    (event("message", body="hi", role="guest"), "[14:02:11Z] <bob~> hi"),
    (event("message", body="hi", role="medic"), "[14:02:11Z] <bob+> hi"),
    (event("message", body="waves", kind="action"), "[14:02:11Z] * bob waves"),
    (event("message", body="a\nb\n  c"), "[14:02:11Z] <bob> a\n    b\n      c"),
    (event("message", body="hi", room="#ops"), "[14:02:11Z] #ops <bob> hi"),
    (event("message", body="hi", room="@alice,bob"), "[14:02:11Z] @bob <bob> hi"),
    (event("message", body="hi", reply_to=3), "[14:02:11Z] <bob> (re an earlier message) hi"),
    (event("joined", user="bob", role="user", by="bob"), "[14:02:11Z] -!- bob joined #war"),
    (event("joined", user="carol", role="guest"), "[14:02:11Z] -!- carol (guest, via alice) joined #war"),
    (event("joined", user="bob", role="user", by="server"), "[14:02:11Z] -!- bob joined #war"),
    (event("parted", user="bob", by="bob"), "[14:02:11Z] -!- bob left #war"),
    (event("parted", user="bob", reason="x"), "[14:02:11Z] -!- bob was removed from #war by alice: x"),
    (event("room_created", topic="t", guests=True), "[14:02:11Z] -!- alice created #war: t"),
    (event("room_created", topic="", guests=False), "[14:02:11Z] -!- alice created #war, closed to guests"),
    (event("archived", on=True), "[14:02:11Z] -!- #war is archived and can only be read, says alice"),
    (event("archived", on=False, reason="x"), "[14:02:11Z] -!- #war is no longer archived, says alice: x"),
    (event("room_removed", reason="x"), "[14:02:11Z] -!- #war was removed by alice: x"),
    (event("topic", topic="t"), "[14:02:11Z] -!- alice set the topic of #war: t"),
    (event("topic", topic=""), "[14:02:11Z] -!- alice removed the topic of #war"),
    (event("announcement", body="a\nb"), "[14:02:11Z] *** alice announces: a\n    b"),
    (Presence(type="presence", room="#war", user="bob", state="away", text="tea"), "-!- bob is away: tea"),
    (Presence(type="presence", room="#war", user="bob", state="online"), "-!- bob is here"),
    (went_offline(cause="kicked", by="al", reason="x\n"), r"-!- bob was kicked by al: x\x0a"),
    (went_offline(cause="banned", by="al", reason=""), "-!- bob was banned by al"),
    (went_offline(), "-!- bob is offline"),
    (went_offline(cause="unbanned", by="al", reason="ok"), "-!- bob was unbanned by al: ok"),
    (standing("role_set", reason="x\n"), r"-!- al gave you the role guest: x\x0a"),
    (standing("muted"), "-!- al muted you everywhere until an admin ends it"),
    (standing("muted", room="#war", until=AT), "-!- al muted you in #war until 2026-11-23 14:02:11Z"),
    (standing("unmuted", room="#war", reason="ok"), "-!- al ended your mute in #war: ok"),
    (standing("something newer"), ""),
    (Isolated(type="isolated", reason="cut off"), "-!- cut off"),
    (Isolated(type="isolated", reason=""), "-!- this server is up to date again"),
    (Slowed(type="slowed", seconds=3), "-!- too fast: your messages are held back for 3 s; nothing is lost"),
    (event("dm_opened"), ""),
    (Disconnected(ChatdError("E607"), 1.0), ""),
    (Bye(type="bye", code="E502", reason="", fix="", retry=True), ""),
]  # fmt: skip


@pytest.mark.parametrize(("shown", "text"), RENDERED, ids=[text or "not shown" for _, text in RENDERED])
def test_an_event_is_rendered_as_its_line(shown: AnyEvent, text: str) -> None:
    assert plain(render(shown, Viewer(me="alice", room="#war"))) == text


def test_events_of_other_rooms_have_a_label() -> None:
    assert plain(render(event("message", body="hi"), Viewer())) == "[14:02:11Z] #war <bob> hi"


def test_a_dated_line_has_the_day() -> None:
    assert plain(render(event("message", body="x"), Viewer(room="#war", dated=True))).startswith(
        "[2026-11-23 14:"
    )


def test_a_reply_quotes_the_beginning_of_the_message() -> None:
    lines = render(
        event("message", body="yes", reply_to=3), Viewer(room="#war"), Quote("carol", "is it\n" + "y" * 99)
    )
    text = plain(lines)
    assert text.startswith('[14:02:11Z] <bob> (re carol: "is it yyy')
    assert text.endswith('…") yes')
    assert len(text) < 80


@pytest.mark.parametrize(
    ("body", "called"),
    [
        ("alice: look", True),
        ("hey @Alice!", True),
        ("ask alice.", True),
        ("malice", False),
        ("alice-2 wrote", False),
        ("x.alice", False),
        ("", False),
    ],
)
def test_mentions_are_whole_words(body: str, called: bool) -> None:
    assert mentions(body, "alice") is called


def test_the_title_of_a_direct_conversation_is_the_other_user() -> None:
    assert title("@alice,bob", "alice") == "@bob"
    assert title("@alice,alice", "alice") == "@alice"
    assert title("@bob,carol", "alice") == "@bob,carol"
    assert title("#war", "alice") == "#war"


@pytest.mark.parametrize("at", [2**53, -(2**53), 0])
def test_any_integer_time_can_be_formatted(at: int) -> None:
    assert len(day_of(at)) >= 8


@pytest.mark.parametrize("name", TEXTS)
def test_hostile_text_is_escaped_in_every_field(name: str) -> None:
    from tests.support.hostile_screen import lines_of

    for line in lines_of(name, TEXTS[name]):
        text = "".join(part for _, part in line)
        assert visible(text, newlines=False) == text
        assert "\x1b" not in text
        assert "\x9b" not in text


@pytest.mark.parametrize("name", ["forged_line", "padded_line", "carriage_return", "log_injection"])
def test_hostile_text_never_looks_like_a_second_message(name: str) -> None:
    lines = render(event("message", body=TEXTS[name]), Viewer(room="#war"))
    rows = [row for line in lines for row in wrap(line, 40)]
    beginnings = ["".join(text for _, text in row)[:4] for row in rows]
    assert [b for b in beginnings if b != "    "] == ["[14:"]


def test_wrapped_rows_fit_the_width_and_keep_all_words() -> None:
    line = render(event("message", body="日本語 words and 👍 more " * 8), Viewer(room="#war"))[0]
    rows = wrap(line, 40)
    assert all(columns("".join(text for _, text in row)) <= 40 for row in rows)
    words = " ".join("".join(text for _, text in row) for row in rows).split()
    assert words == "".join(text for _, text in line).split()


def test_urls_stay_whole_and_very_narrow_terminals_get_a_small_indent() -> None:
    url = "https://example.org/" + "x" * 100
    line = render(event("message", body=f"see {url} now"), Viewer(room="#war"))[0]
    assert any(url in text for row in wrap(line, 40) for _, text in row)
    rows = ["".join(text for _, text in row) for row in wrap(line, 10)]
    assert rows[0] == "[14:02:11Z"
    assert all(row.startswith(" ") for row in rows[1:])


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ({"today": 12345, "limit": 1_000_000}, "12,345 of 1,000,000 bytes today"),
        ({"today": 12345, "limit": 0}, "12,345 bytes today"),
        (None, ""),
    ],
)
def test_whois_shows_what_was_written_today_if_the_server_tells(written: Any, text: str) -> None:
    shown = plain(answers.whois({"user": "bob", "written": written})[3:])
    assert shown.split() == (["written", *text.split()] if text else [])


def test_malformed_results_can_be_rendered() -> None:
    malformed: dict[str, Any] = {
        "user": 1,
        "role": None,
        "devices": "x",
        "rooms": None,
        "written": {"today": "x", "limit": None},
        "until": "x",
        "sessions": [],
    }
    assert answers.whois(malformed)
    assert answers.who("#war", [malformed, {}])
    assert answers.rooms([malformed])
    assert answers.bans([malformed])
    assert answers.roles({"roles": [1]})
    assert answers.sanction(malformed, "is banned", lasting=True)


def test_help_fits_80_columns() -> None:
    for line in help_lines([c.permission for c in TABLE if c.permission], None):
        assert columns("".join(text for _, text in line)) <= 80


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1_000, "1k"),
        (1_234, "1.2k"),
        (9_999, "9.9k"),
        (28_168, "28k"),
        (999_999, "999k"),
        (1_000_000, "999k+"),
        (10**12, "999k+"),
    ],
)
def test_counts_are_shortened_and_never_cut(number: int, text: str) -> None:
    assert short_count(number) == text
