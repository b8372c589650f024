"""Edits, deletions and reactions at a real hub with a real log: what is stored, shown, found and refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from chatd.config.schema import Settings
from chatd.hub.recovery import recover
from chatd.proto.request_bounds import EDITS_LIMIT, REACTIONS_LIMIT
from chatd.store.event_log import EventLog
from chatd.store.log_reader import LogReader
from chatd.store.verifier import verify
from tests.support.hub_harness import START
from tests.support.storelog import make_older
from tests.support.talk_at_hub import LOBBY, Talk

MINUTE = 60_000
KEEP = {"retention": {"edits": "keep"}}


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[Talk]:
    talk = Talk(tmp_path / "data")
    yield talk
    talk.harness.close()


@pytest.fixture
def keeping(tmp_path: Path) -> Iterator[Talk]:
    talk = Talk(tmp_path / "data", **KEEP)
    yield talk
    talk.harness.close()


# --- edits -----------------------------------------------------------------------------------------


def test_an_edit_is_delivered_and_pages_show_the_new_text_in_the_old_place(talk: Talk) -> None:
    seq = talk.say("alice", "the first wording")
    talk.say("bob", "something else")
    edit = talk.edited("alice", seq, "the second wording")
    (event,) = talk.delivered("edited")
    assert (event["target"], event["seq"], event["body"]) == (seq, edit, "the second wording")
    message = talk.shown(seq)
    assert message is not None
    assert (message["body"], message["edited"], message["user"]) == ("the second wording", edit, "alice")
    assert message["edited_at"] == event["at"]
    assert [e["type"] for e in talk.history()].count("edited") == 0
    assert talk.found("second") == [seq]
    assert talk.found("first") == []
    talk.check()
    assert not talk.texts_in_files("the first wording")


def test_an_edit_of_an_edited_message_names_the_original(talk: Talk) -> None:
    seq = talk.say("alice", "one")
    edits = [talk.edited("alice", seq, text) for text in ("two", "three", "four")]
    assert talk.edit("alice", edits[0], "five")["code"] == "E410"
    message = talk.shown(seq)
    assert message is not None
    assert (message["body"], message["edited"]) == ("four", edits[-1])
    assert talk.found("four") == [seq]
    for text in ("one", "two", "three"):
        assert talk.found(text) == []
        assert not talk.texts_in_files(f'"body":"{text}"')
    talk.check()
    talk.restart()
    assert talk.edited("alice", seq, "five")
    assert talk.found("five") == [seq]
    talk.check()


@pytest.mark.parametrize("settings", [{}, KEEP], ids=["redact", "keep"])
@pytest.mark.parametrize("from_memory", [True, False])
def test_whoever_was_away_gets_the_present_text(
    tmp_path: Path, settings: dict[str, Any], from_memory: bool
) -> None:
    talk = Talk(tmp_path / "data", **settings)
    seq = talk.say("alice", "old wording")
    first, last = talk.edited("alice", seq, "middle wording"), talk.edited("alice", seq, "new wording")
    if not from_memory:
        talk.restart()
    events = talk.result("bob", "resume", after=seq - 1)["events"]
    bodies = {event["seq"]: event["body"] for event in events if "body" in event}
    assert bodies == {seq: "new wording", last: "new wording"}
    assert first not in bodies
    talk.harness.close()


def test_kept_texts_stay_in_the_log_and_are_shown_by_exports_only(keeping: Talk) -> None:
    seq = keeping.say("alice", "the first wording")
    first = keeping.edited("alice", seq, "the second wording")
    keeping.edited("alice", seq, "the third wording")
    assert [e["body"] for e in keeping.history() if "body" in e] == ["the third wording"]
    assert (keeping.found("first"), keeping.found("second"), keeping.found("third")) == ([], [], [seq])
    lines = keeping.exported()
    texts = {line["seq"]: line["body"] for line in lines if "body" in line}
    assert "the first wording" in texts[seq] and "the second wording" in texts[first]
    keeping.check()
    # A moderator's redaction removes all of them.
    assert keeping.outcome("ann", "redact", room=LOBBY, seq=seq) == "ok"
    assert keeping.shown(seq) is None
    assert keeping.found("third") == []
    assert not any(keeping.texts_in_files(f"the {n} wording") for n in ("first", "second", "third"))
    keeping.check()


def test_a_changed_setting_does_not_break_the_log(keeping: Talk) -> None:
    seq = keeping.say("alice", "one")
    keeping.edited("alice", seq, "two")
    keeping.harness.hub.reload(Settings())
    keeping.edited("alice", seq, "three")
    keeping.harness.hub.reload(Settings.model_validate(KEEP))
    keeping.edited("alice", seq, "four")
    keeping.check()
    assert keeping.found("four") == [seq]
    assert keeping.outcome("alice", "delete", room=LOBBY, seq=seq) == "ok"
    keeping.check()
    assert not any(keeping.texts_in_files(f'"body":"{text}"') for text in ("one", "two", "three", "four"))


def test_a_resent_edit_has_the_first_answer_and_happens_once(talk: Talk) -> None:
    seq, msg_id = talk.say("alice", "one"), "ab" * 16
    fields = {"room": LOBBY, "seq": seq, "body": "two", "msg_id": msg_id}
    first = talk.result("alice", "edit", **fields)
    assert talk.result("alice", "edit", **fields)["seq"] == first["seq"]
    assert talk.outcome("alice", "edit", **fields | {"body": "three"}) == "E408"
    assert talk.outcome("alice", "send", to=LOBBY, body="two", msg_id=msg_id) == "E408"
    talk.restart()
    talk.harness.now += 100 * MINUTE  # too late for a new edit
    assert talk.result("alice", "edit", **fields)["seq"] == first["seq"]
    assert len([e for e in talk.harness.logged_events() if e["type"] == "edited"]) == 1


def test_two_edits_in_one_batch(talk: Talk) -> None:
    """The second replaces the first although the log cannot look it up yet."""
    hub, seq = talk.harness.hub, talk.say("alice", "one")
    for number, body in enumerate(("two", "three")):
        request = {"type": "edit", "id": 10 + number, "room": LOBBY, "seq": seq, "body": body}
        frame = json.dumps(request | {"msg_id": talk.msg_id()}).encode()
        hub.take(talk.worker.link, [(["request", 1], frame)])
    talk.harness.run_iteration()
    message = talk.shown(seq)
    assert message is not None
    assert message["body"] == "three"
    talk.check()


def test_an_edit_keeps_what_the_message_was(talk: Talk) -> None:
    seq = talk.say("bob", "hello")
    fields = {"to": LOBBY, "body": "waves", "kind": "action", "reply_to": seq, "msg_id": talk.msg_id()}
    reply = talk.result("alice", "send", **fields)["seq"]
    talk.edited("alice", reply, "bows")
    message = talk.shown(reply)
    assert message is not None
    assert (message["kind"], message["reply_to"], message["msg_id"]) == ("action", seq, fields["msg_id"])
    assert (message["device"], message["role"]) == ("dev", "user")


def test_an_edit_to_a_long_text_makes_the_message_a_snippet(talk: Talk) -> None:
    seq = talk.say("alice", "one")
    talk.edited("alice", seq, "x" * 30_000)
    (event,) = talk.delivered("edited")
    recent = talk.result("bob", "resume", after=seq - 1)["events"]
    for message in (event, talk.shown(seq), next(e for e in recent if e["seq"] == seq)):
        assert message is not None
        assert (message["kind"], len(message["body"])) == ("snippet", 30_000)
    talk.check()


def test_who_may_edit_what_and_when(talk: Talk) -> None:
    seq = talk.say("alice", "one")
    assert talk.edit("bob", seq, "two")["code"] == "E310"
    assert talk.edit("ann", seq, "two")["code"] == "E310"
    assert talk.edit("carol", seq, "two")["code"] == "E301"
    assert talk.edit("alice", seq, "hack")["code"] == "E400"
    assert talk.edit("alice", seq, " ")["code"] == "E402"
    assert talk.edit("alice", seq, "x\x07")["result"]["notes"][0]["rule"] == "escaped"
    talk.operate("mute", user="alice")
    assert talk.edit("alice", seq, "two")["code"] == "E302"
    talk.operate("unmute", user="alice")
    talk.harness.now += 15 * MINUTE + 1
    assert talk.edit("alice", seq, "two")["code"] == "E309"
    assert talk.outcome("alice", "delete", room=LOBBY, seq=seq) == "E309"


def test_an_archived_room_and_the_bytes_of_a_day_stop_edits(tmp_path: Path) -> None:
    limits = {"per_role": {"user": {"bytes_per_day": 1000}}}
    talk = Talk(tmp_path / "data", limits=limits)
    seq = talk.say("alice", "one")
    while (reply := talk.edit("alice", seq, "two"))["type"] == "ok":
        pass
    assert reply["code"] == "E413"
    other = talk.say("bob", "one")
    talk.operate("room_archive", room=LOBBY)
    assert talk.edit("bob", other, "two")["code"] == "E307"
    assert talk.outcome("bob", "delete", room=LOBBY, seq=other) == "E307"
    assert talk.outcome("bob", "react", room=LOBBY, seq=other, text="+1") == "E307"
    talk.harness.close()


def test_edits_can_be_switched_off_and_are_limited(tmp_path: Path) -> None:
    off = Talk(tmp_path / "off", limits={"edit_minutes": 0})
    seq = off.say("alice", "one")
    assert off.edit("alice", seq, "two")["code"] == "E309"
    off.harness.close()
    talk = Talk(tmp_path / "data")
    seq = talk.say("alice", "one")
    for number in range(EDITS_LIMIT):
        talk.edited("alice", seq, f"text {number}")
    assert talk.edit("alice", seq, "one more")["code"] == "E409"
    assert talk.outcome("ann", "redact", room=LOBBY, seq=seq) == "ok"
    talk.check()
    talk.harness.close()


def test_on_hold_an_edit_keeps_the_former_text_and_nothing_is_deleted(talk: Talk) -> None:
    seq = talk.say("alice", "the first wording")
    talk.operate("hold", room=LOBBY)
    talk.edited("alice", seq, "the second wording")
    assert talk.texts_in_files("the first wording")
    assert talk.outcome("alice", "delete", room=LOBBY, seq=seq) == "E306"
    talk.operate("hold", room=LOBBY, on=False)
    assert talk.outcome("alice", "delete", room=LOBBY, seq=seq) == "ok"
    assert not talk.texts_in_files("the first wording")
    talk.check()


def test_ones_own_message_is_deleted_like_a_redacted_one(talk: Talk) -> None:
    seq = talk.say("alice", "a regretted wording")
    edit = talk.edited("alice", seq, "still a regretted wording")
    assert talk.outcome("bob", "delete", room=LOBBY, seq=seq) == "E310"
    assert talk.outcome("alice", "delete", room=LOBBY, seq=seq) == "ok"
    (event,) = talk.delivered("redacted")
    assert (event["target"], event["by"], event["user"], event["edits"]) == (seq, "alice", "alice", [edit])
    assert talk.shown(seq) is None
    assert not talk.texts_in_files("regretted")
    assert talk.outcome("alice", "delete", room=LOBBY, seq=seq) == "E410"
    assert talk.edit("alice", seq, "again")["code"] == "E410"
    assert talk.result("ann", "audit", event="redacted")["events"] == []
    talk.check()


def test_expired_messages_take_their_edits_and_reactions_with_them(tmp_path: Path) -> None:
    talk = Talk(tmp_path / "data", retention={"days": 1})
    seq = talk.say("alice", "an old wording")
    edit = talk.edited("alice", seq, "an edited wording")
    reaction = talk.result("bob", "react", room=LOBBY, seq=seq, text="+1")["seq"]
    talk.harness.now += 25 * 60 * MINUTE
    talk.harness.hub.before_commit()
    talk.harness.run_iteration()
    (event,) = talk.delivered("expired")
    assert (event["upto"], event["count"]) == (reaction, 1)
    assert talk.shown(seq) is None
    assert talk.shown(edit) is None
    # Nor does a resume from the recent events in memory have it.
    assert not [e for e in talk.result("bob", "resume", after=seq - 1)["events"] if "body" in e]
    assert not talk.texts_in_files("wording")
    talk.check()
    talk.restart()
    talk.harness.close()


# --- reactions -------------------------------------------------------------------------------------


def test_reactions_are_counted_in_pages_and_listed(talk: Talk) -> None:
    seq = talk.say("alice", "shall we?")
    for who, text in (("bob", "+1"), ("alice", "+1"), ("ann", "🎉"), ("bob", "🎉")):
        assert talk.outcome(who, "react", room=LOBBY, seq=seq, text=text) == "ok"
    assert [(e["text"], e["count"]) for e in talk.delivered("reacted")] == [
        ("+1", 1), ("+1", 2), ("🎉", 1), ("🎉", 2),
    ]  # fmt: skip
    message = talk.shown(seq, "alice")
    assert message is not None
    assert message["reactions"] == [
        {"text": "+1", "count": 2, "mine": True},
        {"text": "🎉", "count": 2, "mine": False},
    ]
    assert talk.result("bob", "reactions", room=LOBBY, seq=seq)["reactions"] == [
        {"text": "+1", "count": 2, "users": ["alice", "bob"]},
        {"text": "🎉", "count": 2, "users": ["ann", "bob"]},
    ]
    talk.restart()
    (resumed,) = (e for e in talk.result("bob", "resume", after=seq - 1)["events"] if e["seq"] == seq)
    assert [r["count"] for r in resumed["reactions"]] == [2, 2]
    talk.check()


def test_a_reaction_is_given_once_and_taken_back_once(talk: Talk) -> None:
    seq = talk.say("alice", "shall we?")
    react = {"room": LOBBY, "seq": seq, "text": "+1"}
    assert talk.result("bob", "react", **react)["seq"]
    assert talk.result("bob", "react", **react) == {"seq": None, "count": 1}
    assert talk.result("bob", "react", **react, on=False)["count"] == 0
    assert talk.result("bob", "react", **react, on=False) == {"seq": None, "count": 0}
    message = talk.shown(seq)
    assert message is not None
    assert "reactions" not in message
    talk.check()


def test_reactions_in_one_batch_are_counted_together(talk: Talk) -> None:
    hub, seq = talk.harness.hub, talk.say("alice", "shall we?")
    request = {"type": "react", "room": LOBBY, "seq": seq, "text": "+1"}
    for number, (who, on) in enumerate(
        (("alice", True), ("bob", True), ("bob", True), ("alice", False), ("bob", True))
    ):
        frame = json.dumps(request | {"id": 10 + number, "on": on}).encode()
        hub.take(talk.worker.link, [(["request", talk.sids[who]], frame)])
    talk.harness.run_iteration()
    assert [(e["user"], e["count"]) for e in talk.delivered("reacted")] == [
        ("alice", 1), ("bob", 2), ("alice", 1),
    ]  # fmt: skip
    talk.check()


def test_reactions_are_limited_and_follow_the_rules_of_texts(talk: Talk) -> None:
    seq = talk.say("alice", "shall we?")
    react = {"room": LOBBY, "seq": seq}
    for text, code in (
        ("a b", "E402"),
        ("\u200b", "E402"),
        ("hack", "E400"),
        ("x" * 17, "E102"),
        ("", "E102"),
    ):
        assert talk.outcome("bob", "react", **react, text=text) == code
    for number in range(REACTIONS_LIMIT):
        assert talk.outcome("bob", "react", **react, text=f"r{number}") == "ok"
    assert talk.outcome("alice", "react", **react, text="more") == "E409"
    assert talk.outcome("alice", "react", **react, text="r0") == "ok"
    talk.operate("mute", user="bob")
    assert talk.outcome("bob", "react", **react, text="r0", on=False) == "ok"
    assert talk.outcome("bob", "react", **react, text="r0") == "E302"
    talk.check()


def test_redacting_a_message_hides_its_reactions(talk: Talk) -> None:
    seq = talk.say("alice", "shall we?")
    talk.edited("alice", seq, "shall we go?")
    talk.ask("bob", "react", room=LOBBY, seq=seq, text="+1")
    assert talk.outcome("ann", "redact", room=LOBBY, seq=seq) == "ok"
    assert talk.outcome("bob", "reactions", room=LOBBY, seq=seq) == "E410"
    assert talk.outcome("bob", "react", room=LOBBY, seq=seq, text="+1") == "E410"
    talk.check()


def test_changes_do_not_change_the_state(talk: Talk) -> None:
    """The state is rebuilt without them, and does not grow with them."""
    seq = talk.say("alice", "one")
    before = json.loads(talk.harness.hub.state.snapshot()) | {"head": 0, "written": 0}
    talk.edited("alice", seq, "two")
    talk.ask("bob", "react", room=LOBBY, seq=seq, text="+1")
    assert json.loads(talk.harness.hub.state.snapshot()) | {"head": 0, "written": 0} == before
    talk.harness.log.close()
    log = EventLog.open(talk.data, now=START)
    assert json.loads(recover(log).snapshot()) | {"head": 0, "written": 0} == before
    log.close()


def test_a_page_costs_the_same_however_many_reactions_follow(talk: Talk) -> None:
    seq = talk.say("alice", "shall we?")
    reader = LogReader(talk.data)
    steps = [0]

    def count() -> bool:
        steps[0] += 1
        return False

    def cost() -> int:
        steps[0] = 0
        reader._connection.set_progress_handler(count, 10)
        assert reader.history(LOBBY, limit=2)[-1][0] == seq
        return steps[0]

    before = cost()
    for number in range(300):
        talk.ask("bob", "react", room=LOBBY, seq=seq, text="+1", on=not number % 2)
    assert cost() <= before + 2
    reader.close()


# --- what others learn -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["edit", "delete", "react", "reactions", "redact"])
def test_a_message_that_may_not_be_read_is_like_none(talk: Talk, kind: str) -> None:
    hidden = talk.say("carol", "between us", "#side")
    fields = {"edit": {"body": "x"}, "react": {"text": "+1"}}.get(kind, {})
    who = "ann" if kind == "redact" else "bob"
    answers = set()
    for seq in (hidden, 999_999, 1):
        extra = {"msg_id": talk.msg_id()} if kind == "edit" else {}
        reply = talk.ask(who, kind, room=LOBBY, seq=seq, **fields, **extra)
        answers.add((reply["code"], reply["reason"].replace(str(seq), "N"), reply["fix"]))
    assert len(answers) == 1
    assert next(iter(answers))[0] == "E410"


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("kind", ["edit", "delete", "react", "redact"])
def test_a_removed_message_is_said_to_be_removed(talk: Talk, kind: str, durable: bool) -> None:
    gone = talk.say("bob", "gone")
    talk.ask("ann", "redact", room=LOBBY, seq=gone)
    if durable:
        talk.harness.run_iteration()
    fields = {"edit": {"body": "x", "msg_id": talk.msg_id()}, "react": {"text": "+1"}}.get(kind, {})
    reply = talk.ask("ann" if kind == "redact" else "bob", kind, room=LOBBY, seq=gone, **fields)
    assert (reply["code"], reply["reason"]) == ("E410", f"message {gone} in #lobby is already removed")


# --- the tables and the log ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE edits SET target = 1",
        "DELETE FROM edits",
        "INSERT INTO edits VALUES(1, 0)",
        "INSERT INTO reactions VALUES({seq}, '-1', 'alice', 5)",
        "UPDATE reactions SET user = 'alice'",
        "DELETE FROM reactions",
    ],
)
def test_verify_finds_a_table_that_does_not_follow_from_the_events(talk: Talk, statement: str) -> None:
    seq = talk.say("alice", "one")
    talk.edited("alice", seq, "two")
    talk.ask("bob", "react", room=LOBBY, seq=seq, text="+1")
    talk.check()
    with apsw.Connection(str(talk.data / "events.db")) as connection:
        connection.execute(statement.format(seq=seq))
    connection.close()
    assert not verify(talk.data, full=True).ok


def test_a_reader_of_an_older_log_finds_no_edits(talk: Talk) -> None:
    seq = talk.say("alice", "one")
    talk.harness.log.close()
    with apsw.Connection(str(talk.data / "events.db")) as connection:
        make_older(connection, 3)
    connection.close()
    reader = LogReader(talk.data)
    assert reader.history(LOBBY, limit=1)[0][0] == seq
    reader.close()
