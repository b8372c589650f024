"""Read markers, unread counts and messages by their seqs: who receives what, and what bounds them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatd.config.schema import Settings
from chatd.hub import reading
from chatd.hub.state.model import State
from chatd.proto.request_bounds import SEQS_LIMIT
from tests.support.hub_harness import HubHarness, WorkerEnd

ROOM = "#lobby"
# Sessions: alice; bob's two devices, on different workers.
ALICE, LAPTOP, PHONE = 0, 1, 2


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[HubHarness]:
    """A hub with live sessions of the admin alice and of bob's two devices."""
    settings = Settings.model_validate({"roles": {"assigned": {"alice": "admin"}}})
    harness = HubHarness(tmp_path / "data", settings)
    for sid, user, device in ((ALICE, "alice", "pc"), (LAPTOP, "bob", "laptop"), (PHONE, "bob", "phone")):
        harness.ask(harness.operator, 0, "user_add", user=user, device=device, serial=f"a{sid}")
        assert harness.open_session(worker_of(harness, sid), sid, user, device, f"a{sid}")
        assert harness.ask(worker_of(harness, sid), sid, "resume")
    yield harness
    harness.close()


def worker_of(harness: HubHarness, sid: int) -> WorkerEnd:
    return harness.workers[sid % 2]


def ask(harness: HubHarness, sid: int, kind: str, /, **fields: Any) -> Any:
    """Return the result of a request, or the code of its refusal."""
    worker = worker_of(harness, sid)
    reply = harness.ask(worker, sid, kind, **fields)
    if reply is None:
        harness.deliver_read()
        harness.run_iteration()
        reply = worker.reply
    assert reply is not None
    return reply["result"] if reply["type"] == "ok" else reply["code"]


def say(harness: HubHarness, body: str, *, sid: int = ALICE, to: str = ROOM) -> int:
    seq = ask(harness, sid, "send", msg_id=os.urandom(16).hex(), to=to, body=body)["seq"]
    assert isinstance(seq, int)
    return seq


def markers_received(harness: HubHarness) -> list[tuple[int, int]]:
    """Return (session, upto) of each marker delivered so far."""
    received = [pair for worker in harness.workers for pair in worker.delivered]
    return [(sid, event["upto"]) for sid, event in received if event["type"] == "read"]


def unread_of(harness: HubHarness, sid: int = LAPTOP) -> dict[str, int]:
    return {entry["room"]: entry["unread"] for entry in ask(harness, sid, "unread")["rooms"]}


def test_a_marker_reaches_the_other_device_and_nobody_else(harness: HubHarness) -> None:
    seq = say(harness, "hello")
    assert ask(harness, LAPTOP, "read", room=ROOM, seq=seq) == {"room": ROOM, "seq": seq}
    assert sorted(markers_received(harness)) == [(LAPTOP, seq), (PHONE, seq)]


def test_a_marker_is_in_nobody_elses_resume_history_or_search(harness: HubHarness) -> None:
    seq = say(harness, "hello")
    ask(harness, LAPTOP, "read", room=ROOM, seq=seq)

    def kinds(sid: int, kind: str, **fields: Any) -> set[str]:
        return {event["type"] for event in ask(harness, sid, kind, **fields)["events"]}

    for sid in (ALICE, LAPTOP):
        assert "read" not in kinds(sid, "history", room=ROOM)
        assert kinds(sid, "search", query="hello") == {"message"}
        assert ask(harness, sid, "history", room="=bob") == "E404"
    assert "read" in kinds(PHONE, "resume", after=seq)
    assert "read" not in kinds(ALICE, "resume", after=seq)


def test_a_marker_that_left_the_memory_is_in_its_users_resume_only(harness: HubHarness) -> None:
    seq = say(harness, "hello")
    ask(harness, LAPTOP, "read", room=ROOM, seq=seq)
    harness.hub._fanout._recent.clear()
    harness.hub._fanout._recent_after = harness.log.head
    for sid, expected in ((PHONE, True), (ALICE, False)):
        events = ask(harness, sid, "resume", after=seq)["events"]
        assert any(event["type"] == "read" for event in events) is expected


def test_a_marker_never_moves_back_or_past_the_log(harness: HubHarness) -> None:
    first, second = say(harness, "one"), say(harness, "two")
    ask(harness, LAPTOP, "read", room=ROOM, seq=second)
    before = harness.log.head
    assert ask(harness, PHONE, "read", room=ROOM, seq=first)["seq"] == second
    assert ask(harness, PHONE, "read", room=ROOM, seq=second)["seq"] == second
    assert harness.log.head == before, "a marker that does not move costs the log nothing"
    assert ask(harness, PHONE, "read", room=ROOM, seq=before + 1000)["seq"] == before


def test_there_is_one_marker_for_each_user_and_room_of_theirs(harness: HubHarness) -> None:
    for number in range(5):
        ask(harness, LAPTOP, "read", room=ROOM, seq=say(harness, f"message {number}"))
    markers = harness.hub.state.users["bob"].markers
    assert set(markers) == {ROOM}
    assert ask(harness, LAPTOP, "read", room="#other", seq=1) == "E404"
    ask(harness, LAPTOP, "part", room=ROOM)
    assert not markers
    assert ask(harness, LAPTOP, "read", room=ROOM, seq=1) == "E301"


def test_a_removed_room_takes_its_markers_along(harness: HubHarness) -> None:
    ask(harness, ALICE, "create", room="#plan", guests=True)
    ask(harness, LAPTOP, "join", room="#plan")
    ask(harness, LAPTOP, "read", room="#plan", seq=say(harness, "hello", to="#plan"))
    ask(harness, ALICE, "room_remove", room="#plan")
    assert not harness.hub.state.users["bob"].markers


def test_markers_count_against_the_bytes_of_the_day(tmp_path: Path) -> None:
    harness = HubHarness(
        tmp_path / "data", Settings.model_validate({"limits": {"per_role": {"user": {"bytes_per_day": 1}}}})
    )
    try:
        harness.ask(harness.operator, 0, "user_add", user="bob", device="laptop", serial="a1")
        assert harness.open_session(worker_of(harness, LAPTOP), LAPTOP, "bob", "laptop", "a1")
        assert ask(harness, LAPTOP, "read", room=ROOM, seq=1) == {"room": ROOM, "seq": 1}
        assert ask(harness, LAPTOP, "read", room=ROOM, seq=2) == "E413"
    finally:
        harness.close()


def test_markers_survive_a_snapshot_and_follow_from_the_log(harness: HubHarness) -> None:
    seq = say(harness, "hello")
    ask(harness, LAPTOP, "read", room=ROOM, seq=seq)
    state = harness.hub.state
    assert State.restore(state.snapshot()).users["bob"].markers == {ROOM: seq}
    replayed = State()
    for event in harness.logged_events():
        replayed.apply(event)
    assert replayed == state


def test_a_snapshot_of_an_earlier_version_has_no_markers() -> None:
    user: dict[str, Any] = {
        "role": None,
        "devices": {},
        "rooms": [],
        "left": [],
        "created_day": 0,
        "created": 0,
    }
    state = State()
    earlier = state.snapshot().replace(b'"users": {}', f'"users": {{"bob": {user}}}'.encode())
    text = earlier.replace(b"'", b'"').replace(b"None", b"null")
    assert State.restore(text).users["bob"].markers == {}


# -- unread counts


def test_messages_of_others_after_the_marker_are_counted(harness: HubHarness) -> None:
    assert unread_of(harness) == {}, "without a marker nothing is known"
    first = say(harness, "seen")
    ask(harness, PHONE, "read", room=ROOM, seq=first)
    assert unread_of(harness) == {ROOM: 0}
    gone = say(harness, "a secret")
    say(harness, "news")
    say(harness, "my own", sid=LAPTOP)
    assert unread_of(harness) == {ROOM: 2}
    ask(harness, ALICE, "redact", room=ROOM, seq=gone)
    assert unread_of(harness) == {ROOM: 1}
    assert unread_of(harness, ALICE) == {}, "markers are a person's own"


def test_a_user_whose_name_begins_like_the_readers_counts(harness: HubHarness) -> None:
    harness.ask(harness.operator, 0, "user_add", user="bobby", device="pc", serial="a4")
    assert harness.open_session(worker_of(harness, 4), 4, "bobby", "pc", "a4")
    ask(harness, PHONE, "read", room=ROOM, seq=harness.log.head)
    say(harness, "hello", sid=4)
    assert unread_of(harness) == {ROOM: 1}


def test_counting_is_bounded_and_paged(harness: HubHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "COUNTED_EVENTS", 3)
    monkeypatch.setattr(reading, "PAGE_COUNTED_EVENTS", 3)
    for room in ("#one", "#two"):
        ask(harness, ALICE, "create", room=room, guests=True)
        ask(harness, LAPTOP, "join", room=room)
        ask(harness, LAPTOP, "read", room=room, seq=harness.log.head)
        for number in range(5):
            say(harness, f"message {number}", to=room)
    first = ask(harness, LAPTOP, "unread")
    assert [(one["room"], one["unread"], one["more"]) for one in first["rooms"]] == [("#one", 3, True)]
    assert first["more"]
    second = ask(harness, LAPTOP, "unread", after="#one")
    assert [one["room"] for one in second["rooms"]] == ["#two"]
    assert not second["more"]


# -- messages by their seqs


def test_messages_are_found_by_their_seqs(harness: HubHarness) -> None:
    seqs = [say(harness, f"message {number}") for number in range(4)]
    result = ask(harness, LAPTOP, "messages", room=ROOM, seqs=[seqs[2], seqs[0], seqs[0]])
    assert [event["seq"] for event in result["events"]] == [seqs[0], seqs[2]]
    assert not result["more"]


def test_redacted_messages_and_those_of_other_rooms_are_left_out(harness: HubHarness) -> None:
    ask(harness, ALICE, "create", room="#private")
    gone, elsewhere, kept = (
        say(harness, "secret"),
        say(harness, "plan", to="#private"),
        say(harness, "hello"),
    )
    ask(harness, ALICE, "redact", room=ROOM, seq=gone)
    seqs = [1, gone, elsewhere, kept, kept + 1, kept + 1000]
    assert [e["seq"] for e in ask(harness, LAPTOP, "messages", room=ROOM, seqs=seqs)["events"]] == [kept]
    assert ask(harness, LAPTOP, "messages", room="#private", seqs=[elsewhere]) in ("E404", "E301")


def test_messages_of_a_former_room_of_the_same_name_are_left_out(harness: HubHarness) -> None:
    ask(harness, ALICE, "create", room="#plan", guests=True)
    former = say(harness, "the old plan", to="#plan")
    harness.hub.state.rooms["#plan"].born = former + 1
    assert ask(harness, ALICE, "messages", room="#plan", seqs=[former])["events"] == []


def test_a_request_for_too_many_messages_is_refused(harness: HubHarness) -> None:
    assert ask(harness, LAPTOP, "messages", room=ROOM, seqs=list(range(SEQS_LIMIT + 1))) == "E102"
    assert ask(harness, LAPTOP, "messages", room=ROOM, seqs=[]) == "E102"
    assert ask(harness, LAPTOP, "messages", room=ROOM, seqs=[-1]) == "E102"


def test_a_page_of_messages_fits_a_frame_and_says_that_more_follow(harness: HubHarness) -> None:
    seqs = [say(harness, "\u4e2d" * 1_000) for _ in range(SEQS_LIMIT)]
    result = ask(harness, LAPTOP, "messages", room=ROOM, seqs=seqs)
    found = [event["seq"] for event in result["events"]]
    assert found == seqs[: len(found)]
    assert found != seqs
    assert result["more"]
