"""A session in the page: what it sends, and what it makes of whatever the server sends."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.browser import Modules

LOAD = (
    'const { Script, welcome, message, sent } = await import("/staged/sessions.js"); const s = new Script();'
)


@pytest.fixture
def play(shared_modules: Modules) -> Any:
    """Run a script with a session `s`; returns what it returns."""
    return lambda script, given=None: shared_modules.run(LOAD + script, given)


def test_requests_and_messages_wait_for_the_first_resume(play: Any) -> None:
    found = play("""
        s.session.send(sent(1));
        s.ask("rooms");
        s.session.opened(0);
        const before = s.out();
        s.in(welcome());
        const [resume, ...others] = s.out();
        s.in({ type: "ok", id: resume.id, result: { events: [], cursor: 10, more: false } });
        return [before, resume.type, resume.after, others, s.out().map((one) => one.type), s.types()];
    """)
    assert found == [[], "resume", 10, [], ["rooms", "send"], ["connected", "caught-up"]]


def test_pages_of_a_resume_are_fetched_until_the_session_is_live(play: Any) -> None:
    found = play("""
        s.session.cursor = 3;
        s.session.opened(0);
        s.in(welcome());
        const asked = [];
        const pages = [[[message(4), message(5)], 5, true], [[], 8, true], [[message(9)], 9, false]];
        for (const [events, cursor, more] of pages) {
          const [resume] = s.out();
          asked.push(resume.after);
          s.in({ type: "ok", id: resume.id, result: { events, cursor, more } });
        }
        return [asked, s.types(), s.session.cursor];
    """)
    wanted = ["connected", "message 4", "message 5", "message 9", "caught-up"]
    assert found == [[3, 5, 8], wanted, 9]


def test_no_event_is_told_twice(play: Any) -> None:
    found = play("""
        s.begin();
        s.in(message(11), message(11), message(12), message(10), message(3));
        s.session.closed();
        s.begin({ head: 13 }, [message(12), message(13)]);
        s.in(message(13), message(14));
        return s.types().filter((one) => one.startsWith("message"));
    """)
    assert found == ["message 11", "message 12", "message 13", "message 14"]


def test_unanswered_messages_are_sent_again_in_order_with_their_ids(play: Any) -> None:
    found = play("""
        s.begin();
        for (let order = 1; order <= 100; order += 1) s.session.send(sent(order));
        const first = s.out();
        s.in({ type: "ok", id: first[0].id, result: { seq: 11, at: 1, notes: [] } });
        s.in({ type: "error", id: first[2].id, code: "E502", reason: "", fix: "" });
        s.session.closed();
        s.begin();
        const again = [...s.out()];
        s.now += 60_000;
        again.push(...s.out());
        for (const one of again) s.in({ type: "ok", id: one.id, result: { seq: 20, at: 1, notes: [] } });
        again.push(...s.out());
        const ids = new Set(again.map((one) => one.msg_id));
        return [first.length, again.map((one) => one.body), ids.size, s.out().length];
    """)
    assert found == [64, [f"text {order}" for order in range(2, 101)], 99, 0]


def test_not_now_is_tried_again_and_other_refusals_are_final(play: Any) -> None:
    found = play("""
        s.begin();
        const codes = ["E502", "E503", "E504", "E400", "E302"];
        codes.forEach((body, at) => s.session.send(sent(at, { body })));
        for (const one of s.out()) s.in({ type: "error", id: one.id, code: one.body, reason: "r", fix: "f" });
        const early = s.out();
        s.now += 5_000;
        const late = s.out().map((one) => one.body);
        return [early, late, s.events.filter((one) => one.type === "refused").map((one) => one.fault.code)];
    """)
    assert found == [[], ["E502", "E503", "E504"], ["E400", "E302"]]


def test_requests_under_way_are_asked_again_or_refused_when_the_connection_is_cut(play: Any) -> None:
    found = play("""
        s.begin();
        for (const kind of ["rooms", "kick", "history", "delete"]) s.ask(kind);
        s.out();
        s.session.closed();
        s.begin();
        const again = s.out();
        s.in({ type: "ok", id: again[0].id, result: { rooms: [] } });
        s.in({ type: "error", id: again[1].id, code: "E404", reason: "", fix: "" });
        return [again.map((one) => one.type), s.answers];
    """)
    assert found[0] == ["rooms", "history"]
    assert found[1] == [["kick", "E503"], ["delete", "E503"], ["rooms", {"rooms": []}], ["history", "E404"]]


def test_a_request_that_nobody_waits_for_is_not_sent(play: Any) -> None:
    assert play('s.ask("rooms").given = true; s.begin(); return s.out();') == []


def test_a_restarted_hub_is_followed_by_a_resume(play: Any) -> None:
    found = play("""
        s.begin();
        s.in(message(11), { type: "lagged" }, { type: "lagged" });
        const frames = s.out();
        const result = { events: [message(11), message(12)], cursor: 12, more: false };
        s.in({ type: "ok", id: frames[0].id, result });
        return [frames.map(({ type, after }) => [type, after]), s.types().slice(2)];
    """)
    assert found == [[["resume", 11]], ["message 11", "message 12", "caught-up"]]


def test_silence_is_answered_with_a_ping_and_then_ends_the_connection(play: Any) -> None:
    found = play("""
        s.begin();
        s.in({ type: "ping" });
        const told = s.out().map((one) => one.type);
        s.now = 30_000;
        s.session.tick(s.now);
        const own = s.out().map((one) => one.type);
        s.now = 65_000;
        try { s.session.tick(s.now); } catch (error) { return [told, own, error.code]; }
    """)
    assert found == [["ping"], ["ping"], "E106"]


def test_a_restored_log_moves_the_cursor_back(play: Any) -> None:
    found = play("""
        const [old, young] = ["a", "b"].map((letter) => letter.repeat(32));
        s.session.cursor = 9;
        s.session.lineage = [{ id: old, began: 0 }];
        const resume = s.begin({ lineage: [{ id: old, began: 0 }, { id: young, began: 4 }], head: 6 });
        return [resume.after, s.types(), s.session.lineage.length];
    """)
    assert found == [4, ["connected", "restored", "caught-up"], 2]


def test_a_page_that_was_away_for_long_begins_at_the_head(play: Any) -> None:
    found = play("""
        s.session.cursor = 5;
        const resume = s.begin({ head: 50_000 });
        return [resume.after, s.types()];
    """)
    assert found == [50_000, ["connected", "skipped", "caught-up"]]


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ("message(11)", "E100"),
        ("welcome(), welcome()", "E100"),
        ("welcome({ rooms: 5 })", "E102"),
        ("welcome({ limits: null })", "E102"),
        ("welcome(), { ...message(11), body: 5 }", "E102"),
        ("welcome(), { ...message(11), seq: '11' }", "E102"),
        ("welcome(), { type: 'ok', id: 1, result: { events: 5 } }", "E100"),
        ("welcome(), { type: 'ok', id: 1, result: { events: [], cursor: 1, more: true } }", "E100"),
        ("welcome(), { type: 'error', id: 1, code: 'E205', reason: '', fix: '' }", "E205"),
        ("welcome(), { type: 'bye', code: 'E207', reason: '', fix: '', retry: false }", "E207"),
        ("{ type: 'bye', code: 'E501', reason: '', fix: '', retry: true }", "E501"),
    ],
    ids=[
        *("early", "twice", "rooms", "limits", "body", "seq", "result", "endless", "refused", "bye", "full"),
    ],
)
def test_a_server_that_breaks_the_rules_is_left(play: Any, frames: str, code: str) -> None:
    assert play(f"s.session.opened(0); return s.in({frames});") == code


def test_answers_that_nobody_waits_for_change_nothing(play: Any) -> None:
    found = play("""
        s.begin();
        s.session.send(sent(1));
        const [one] = s.out();
        const ok = (id, result) => ({ type: "ok", id, result });
        const codes = [
          s.in(ok(999, {})),
          s.in(ok(0, {})),
          s.in({ type: "error", id: 0, code: "E102", reason: "", fix: "" }),
          s.in({ type: "newer", what: 1 }),
          s.in(ok(one.id, { seq: 11, at: 1, notes: [null, { text: "n" }] })),
          s.in(ok(one.id, { seq: 12, at: 1 })),
        ];
        return [codes, s.events.filter((event) => event.type === "acknowledged").length];
    """)
    assert found == [[""] * 6, 1]
