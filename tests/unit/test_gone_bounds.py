"""What is gone must be passed over: reads stay bounded, and upkeep and edits do as much work as is new."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from chatd.hub import page_queries, reading, upkeep
from chatd.hub.state.model import DAY_MS
from chatd.proto.search_query import parse
from chatd.store import search_index, written_entries
from chatd.store.entry import Entry
from chatd.store.event_log import EventLog
from chatd.store.log_reader import LogReader
from chatd.store.search_index import SearchIndex
from chatd.store.searcher import Searcher
from tests.support.talk_at_hub import LOBBY, Talk


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[Talk]:
    talk = Talk(tmp_path / "data", retention={"days": 1}, limits={"edit_minutes": 10_000})
    yield talk
    talk.harness.close()


def gone_between(talk: Talk, count: int) -> tuple[int, int]:
    """Write a message, many that are redacted, and another; return the seqs of the two."""
    first = talk.say("alice", "first")
    for seq in [talk.say("alice", "gone") for _ in range(count)]:
        talk.harness.ask(talk.worker, talk.sids["ann"], "redact", room=LOBBY, seq=seq)
    return first, talk.say("alice", "last")


def read_all(talk: Talk, **fields: Any) -> tuple[dict[str, Any], int]:
    """Return the result of a history request and how often a thread read for it."""
    talk.harness.ask(talk.worker, talk.sids["bob"], "history", room=LOBBY, **fields)
    turns = 0
    while talk.worker.reply is None:
        talk.harness.deliver_read()
        talk.harness.run_iteration()
        turns += 1
    result: dict[str, Any] = talk.worker.reply["result"]
    return result, turns


@pytest.mark.parametrize("forwards", [False, True])
def test_history_passes_over_what_is_gone_in_bounded_turns(
    talk: Talk, forwards: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = gone_between(talk, 30)
    monkeypatch.setattr(page_queries, "LOOKED_EVENTS", 4)
    looked: list[int] = []
    history = LogReader.history

    def counted(reader: LogReader, room: str, **fields: Any) -> Any:
        low = max(fields["begin"], fields["after"] or 0)
        looked.append(reader.nth(room, 4, after=low, before=fields["before"], newest=True) or 0)
        return history(reader, room, **fields)

    monkeypatch.setattr(LogReader, "history", counted)
    start = {"after": first} if forwards else {"before": first + 31}
    result, turns = read_all(talk, limit=10, **start)
    seqs = [event["seq"] for event in result["events"]]
    assert first + 31 in seqs if forwards else first in seqs
    assert turns > 5
    assert looked == [0] * turns, "no turn looks at more than four events"


def test_pages_of_history_meet_each_message_once_however_much_is_gone(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, last = gone_between(talk, 12)
    whole = [event["seq"] for event in talk.history()]
    monkeypatch.setattr(page_queries, "LOOKED_EVENTS", 3)
    for forwards in (False, True):
        found: list[int] = []
        more, edge = True, 0 if forwards else 2**40
        while more:
            result, _ = read_all(talk, limit=100, **{"after" if forwards else "before": edge})
            seqs = [event["seq"] for event in result["events"]]
            found = found + seqs if forwards else seqs + found
            more = result["more"] and bool(seqs)
            edge = (found[-1] if forwards else found[0]) if found else edge
        assert found == whole
        assert first in found
        assert last in found


def test_resume_over_what_is_gone_moves_its_cursor(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    first, last = gone_between(talk, 12)
    monkeypatch.setattr(talk.harness.hub._reads, "_resume_from_memory", lambda *_: False)
    monkeypatch.setattr(page_queries, "RESUME_SEQS", 3)
    cursor, found, pages = first, [], 0
    while cursor < last:
        result = talk.result("bob", "resume", after=cursor)
        assert cursor < result["cursor"] <= cursor + 3
        assert result["more"]
        cursor, pages = result["cursor"], pages + 1
        found += [event["seq"] for event in result["events"] if event["type"] == "message"]
    assert found == [last]
    assert pages > 4


def test_unread_counts_what_is_there_and_stops_at_what_it_looked_at(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, last = gone_between(talk, 6)
    assert talk.outcome("bob", "read", room=LOBBY, seq=first) == "ok"
    entry = talk.result("bob", "unread")["rooms"][0]
    assert (entry["unread"], entry["more"]) == (1, False)
    monkeypatch.setattr(reading, "PAGE_COUNTED_EVENTS", 4)
    entry = talk.result("bob", "unread")["rooms"][0]
    assert (entry["unread"], entry["more"]) == (0, True), "four were looked at, and all are gone"
    assert last > first


def test_unread_does_not_look_at_what_has_expired(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    first = talk.say("alice", "old")
    assert talk.outcome("bob", "read", room=LOBBY, seq=first) == "ok"
    for _ in range(6):
        talk.say("alice", "old")
    talk.harness.now += 2 * DAY_MS
    talk.harness.run_iteration()
    talk.harness.hub.before_commit()
    talk.harness.run_iteration()
    last = talk.say("alice", "new")
    monkeypatch.setattr(reading, "PAGE_COUNTED_EVENTS", 4)
    (entry,) = talk.result("bob", "unread")["rooms"]
    assert (entry["unread"], entry["more"]) == (1, False)
    assert last > first


def test_one_commit_expires_so_many_messages_of_all_rooms(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever has expired in many rooms, a message that is sent meanwhile waits for one bounded step."""
    monkeypatch.setattr(upkeep, "EXPIRY_MESSAGES", 6)
    monkeypatch.setattr(upkeep, "EXPIRY_ROOM_MESSAGES", 2)
    rooms = [LOBBY, "#side", *(f"#r{number}" for number in range(3))]
    for room in rooms[2:]:
        assert talk.outcome("carol", "create", room=room) == "ok"
    for room in rooms:
        for _ in range(10 if room == LOBBY else 3):
            talk.say("alice" if room == LOBBY else "carol", "old", room)
    talk.harness.now += 2 * DAY_MS
    steps: list[Counter[str]] = []
    insert = EventLog.insert

    def noted(log: EventLog, entries: Sequence[Entry], redact: Mapping[int, int] | None = None) -> None:
        rooms_of = {entry.seq: str(entry.room) for entry in entries}
        steps.append(Counter(rooms_of[by] for by in (redact or {}).values()))
        insert(log, entries, redact)

    monkeypatch.setattr(EventLog, "insert", noted)
    for number in range(8):
        talk.harness.hub.before_commit()
        talk.say("alice", f"live {number}")
    done = [step for step in steps if step]
    assert all(step.total() <= 6 for step in done)
    assert sum(done, Counter()) == {room: 10 if room == LOBBY else 3 for room in rooms}
    assert len(done[0]) == 3, "three rooms have their share in the first step"
    assert set(done[0]) | set(done[1]) == set(rooms), "and the others in the second"


def test_an_edit_redacts_what_is_new_since_the_last_one(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fiftieth edit of a message costs the hub as much as the second."""
    redacted: list[int] = []
    insert = EventLog.insert

    def noted(log: EventLog, entries: Sequence[Entry], redact: Mapping[int, int] | None = None) -> None:
        redacted.append(len(redact or ()))
        insert(log, entries, redact)

    monkeypatch.setattr(EventLog, "insert", noted)
    seq = talk.say("alice", "first text")
    for number in range(10):
        talk.edited("alice", seq, f"text {number}")
    assert redacted == [0, *[1] * 10]
    assert not talk.texts_in_files("first text")
    assert not talk.texts_in_files("text 8")
    talk.check()


def test_upkeep_passes_over_what_is_gone_in_bounded_steps(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop looks at so many of a room with many redacted messages, and at each of them once."""
    gone_between(talk, 20)
    monkeypatch.setattr(written_entries, "LOOKED_ENTRIES", 4)
    passed = upkeep.PassedOver(talk.harness.log)
    edges = []
    found = passed.oldest(LOBBY, 0, 10)
    while found.upto is not None:
        assert found.entries == [] or found.entries[-1].seq <= found.upto
        edges.append(found.upto)
        found = passed.oldest(LOBBY, found.entries[-1].seq if found.entries else 0, 10)
    assert edges == sorted(set(edges))
    assert len(edges) > 4
    talk.harness.now += 2 * DAY_MS
    for _ in range(12):
        talk.harness.hub.before_commit()
        talk.harness.run_iteration()
    assert talk.harness.log.oldest_written(LOBBY, 0, 10).entries == []
    assert [event["type"] for event in talk.history() if event["type"] == "message"] == []


def test_a_removed_room_with_much_that_is_gone_is_freed(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    gone_between(talk, 12)
    monkeypatch.setattr(written_entries, "LOOKED_ENTRIES", 3)
    assert talk.outcome("ann", "create", room="#end") == "ok"
    for seq in [talk.say("ann", "gone", "#end") for _ in range(9)]:
        assert talk.outcome("ann", "redact", room="#end", seq=seq, reason="") == "ok"
    last = talk.say("ann", "there", "#end")
    assert talk.outcome("ann", "room_remove", room="#end") == "ok"
    for _ in range(12):
        talk.harness.hub.before_commit()
        talk.harness.run_iteration()
    assert talk.harness.hub.state.removing == {}
    message = talk.harness.log.message("#end", last)
    assert message is None or message.gone


def caught_up(index: SearchIndex) -> list[int]:
    """Return the entries of each step until the index has all."""
    steps = []
    while count := index.catch_up(1_000):
        steps.append(count)
    return steps


def written(seq: int, text: str, target: int | None = None) -> Entry:
    kind = "message" if target is None else "edited"
    event = {"type": kind, "seq": seq, "user": "alice", "body": text, "target": target}
    return Entry(seq, seq, kind, LOBBY, "alice/dev", b"%016d" % seq, None, json.dumps(event).encode())


def test_a_step_of_the_index_removes_so_much_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Edits of long texts to short ones are small entries, but their texts must be taken out of the index."""
    text = " ".join(f"word{number}" for number in range(40))
    monkeypatch.setattr(search_index, "STEP_BYTES", 2_000)
    with closing(EventLog.open(tmp_path, now=0)) as log, closing(SearchIndex(tmp_path)) as index:
        log.append([written(seq, text) for seq in range(1, 5)])
        assert len(caught_up(index)) == 1
        log.append([written(seq, "x", target=seq - 4) for seq in range(5, 9)])
        assert caught_up(index) == [1, 1, 1, 1]
        searcher = Searcher(tmp_path)
        for word, seqs in (("word7", []), ("x", [4, 3, 2, 1])):
            assert searcher.search(parse(word, 0), [LOBBY], limit=9, before=None).seqs == seqs
        searcher.close()


def test_texts_redacted_unseen_are_removed_some_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_index, "STALE_STEP", 2)
    removed: list[int] = []
    remove = SearchIndex._remove

    def noted(index: SearchIndex, found: Sequence[int]) -> None:
        removed.append(len(found))
        remove(index, found)

    with closing(EventLog.open(tmp_path, now=0)) as log:
        log.append([written(seq, "needle") for seq in range(1, 6)])
        with closing(SearchIndex(tmp_path)) as index:
            caught_up(index)
        log.append([written(6, "other")], dict.fromkeys(range(1, 6), 6))
        monkeypatch.setattr(SearchIndex, "_remove", noted)
        with closing(SearchIndex(tmp_path)) as index:
            index.catch_up(100)
            index.redact([])
            caught_up(index)
        searcher = Searcher(tmp_path)
        assert searcher.search(parse("needle", 0), [LOBBY], limit=9, before=None).seqs == []
        searcher.close()
    assert max(removed) == 2
    assert sum(removed) == 5
