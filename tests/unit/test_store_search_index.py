"""The search index: queries, access by room, catching up, and rebuilding after damage."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from chatd.errors import ChatdError
from chatd.proto.search_query import MAX_TOKENS, Phrase, SearchQuery, parse
from chatd.store.database import DATABASE_NAME
from chatd.store.event_log import EventLog
from chatd.store.search_index import SEARCH_NAME, SearchIndex
from chatd.store.searcher import Found, Searcher
from tests.support.storelog import NOW, entry, filled

DAY = 86_400_000
MESSAGES = [  # room, text; odd seqs are from alice, even ones from bob
    ("#lobby", "Host 12 is isolated"),
    ("#war", "the image of host 12 is on the way"),
    ("#lobby", "Ünïcode café"),
    ("#war", 'quotes "inside" and NEAR(me)'),
    ("#lobby", "nothing to see"),
    ("@alice @bob", "host secret"),
]
ROOMS = ("#lobby", "#war", "@alice @bob")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    opened = EventLog.open(tmp_path, now=NOW)
    opened.append(
        [entry(n, kind="message", room=room, text=text) for n, (room, text) in enumerate(MESSAGES, 1)]
    )
    opened.append([entry(7, kind="join", room="#lobby", text="host joins")])
    yield opened
    opened.close()


@pytest.fixture
def index(tmp_path: Path, log: EventLog) -> Iterator[SearchIndex]:
    opened = SearchIndex(tmp_path)
    while opened.catch_up(4):
        pass
    yield opened
    opened.close()


def _find(
    index: SearchIndex, text: str, rooms: list[str] | None = None, before: int | None = None
) -> list[int]:
    return _page(index, text, ROOMS if rooms is None else rooms, limit=10, before=before, now=NOW + DAY)


def _page(
    index: SearchIndex, text: str, rooms: Sequence[str], *, limit: int, before: int | None, now: int = NOW
) -> list[int]:
    searcher = Searcher(index.path.parent)
    found = searcher.search(parse(text, now), rooms, limit=limit, before=before)
    searcher.close()
    return found.seqs


@pytest.mark.parametrize(
    ("text", "seqs"),
    [
        ("host", [6, 2, 1]),
        ("HOST 12", [2, 1]),
        ('"host 12"', [2, 1]),
        ('"12 host"', []),
        ('"on the way', [2]),
        ("cafe", [3]),
        ("unicode", [3]),
        ("host from:bob", [6, 2]),
        ("from:@alice host", [1]),
        ("host in:#war", [2]),
        ("host in:#other", []),
        ("host since:2h", []),
        ("host since:2d", [6, 2, 1]),
        ("host since:2023-11-14", [6, 2, 1]),
        ("host since:2023-11-15", []),
        ('host "since:2023-99-99"', []),
        ('"from:BOB"', []),
        ("NEAR(me)", [4]),
        ("host OR café", []),
        ("inside*", [4]),
        ("insi*", [4]),
        ("h*", [6, 2, 1]),
        ("*os*", [6, 2, 1]),
        ("*solate*", [1]),
        ("*solate", []),
        ("*solated", [1]),
        ("isolat", []),
        ("*NÏC*", [3]),
        ("caf* *code*", [3]),
        ("12/is*", [2, 1]),
        ("*st/12/is*", [2, 1]),
        ("*t/12/i", []),
        ("h* from:bob im*", [2]),
        ("absent* host", []),
        ("*absent* host", []),
        ("host *", [6, 2, 1]),
        ("*st)*", [6, 2, 1]),
        ('"insi*"', []),
        ("host before:2h", [6, 2, 1]),
        ("host before:2d", []),
        ("host before:2023-11-15", [6, 2, 1]),
        ("host before:2023-11-14", []),
        ("host after:2d", [6, 2, 1]),
        ("host after:2023-11-14", []),
        ("host after:2023-11-13 before:2023-11-15", [6, 2, 1]),
        ("has:snippet", []),
        ("text:host", []),
        ("from:bob", [6, 4, 2]),
        ("from:nobody", []),
        ("in:#lobby", [5, 3, 1]),
        ("in:#lobby from:bob", []),
        ("in:lobby", [5, 3, 1]),
        ("since:2d in:#war", [4, 2]),
        ("since:99999d from:@alice", [5, 3, 1]),
        ("since:2h", []),
    ],
)
def test_a_query_finds_the_matching_messages(index: SearchIndex, text: str, seqs: list[int]) -> None:
    assert _find(index, text) == seqs


def test_only_messages_in_the_given_rooms_are_found(index: SearchIndex) -> None:
    assert _find(index, "host", ["#lobby"]) == [1]
    assert _find(index, "host in:#war", ["#lobby"]) == []
    assert _find(index, "host", []) == []
    assert _find(index, "from:bob", ["#lobby"]) == []
    assert _find(index, "in:#war", ["#lobby"]) == []
    assert _find(index, "since:2d", []) == []


def test_results_are_paged_by_seq(index: SearchIndex) -> None:
    assert _page(index, "host", ROOMS, limit=1, before=None) == [6]
    assert _find(index, "host", before=6) == [2, 1]
    assert _find(index, "host", before=1) == []
    assert _page(index, "host", ROOMS, limit=0, before=None) == []
    assert _page(index, "from:bob", ROOMS, limit=2, before=None) == [6, 4]
    assert _find(index, "from:bob", before=4) == [2]
    assert _page(index, "from:bob", ROOMS, limit=0, before=None) == []


def test_filters_alone_do_not_find_redacted_messages(index: SearchIndex) -> None:
    index.redact([4])
    assert _find(index, "from:bob") == [6, 2]


@pytest.mark.parametrize("text", ["", "  ", "from:alice !!!", 'in:#lobby ""', '"" "', "*", "!!! ---", "\0"])
def test_a_query_without_a_word_is_refused(index: SearchIndex, text: str) -> None:
    with pytest.raises(ChatdError, match="E411"):
        _find(index, text)


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("since:2hours", "since:2h"), ("since:", "since:2h"), ("since:2023-99-99", "since:2h"),
        ("since:yesterday host", "since:2h"), ("since:-2h", "since:2h"), ("since:\u0662h", "since:2h"),
        ("sicne:2h", "since:2h"), ("Since:2h", "since:2h"), ("in:#", "in:#ROOM"),
        ("in:#WAR", "in:#ROOM"), ("in:@", "in:#ROOM"), ("IN:#war", "in:#ROOM"), ("in: #war", "in:#ROOM"),
        ("from:BOB", "from:NAME"), ("from:", "from:NAME"), ("from:@", "from:NAME"), ("form:bob", "from:NAME"),
        ("host From:bob", "from:NAME"), ("from:#war", "from:NAME"), ("befor:2h", "before:2h"),
        ("before:noon", "before:2h"), ("After:2h", "after:2h"), ("after:", "after:2h"),
        ("has:", "has:snippet"), ("has:Snippet", "has:snippet"), ("has:#war", "has:snippet"),
        ("has:snipet", "has:snippet"), ("host has:link", "has:snippet"),
    ],
)  # fmt: skip
def test_a_mistyped_filter_is_refused_with_the_right_form(index: SearchIndex, text: str, fix: str) -> None:
    with pytest.raises(ChatdError) as refused:
        _find(index, text)
    assert refused.value.code == "E411"
    assert f"write {fix}" in refused.value.fix
    # The advice works: in quotes it is searched as text.
    parse(f'"{text}" host', NOW)


@pytest.mark.parametrize("text", ["ho*st", "2*3*", "*a*b*"])
def test_a_star_within_a_word_is_refused_and_not_ignored(index: SearchIndex, text: str) -> None:
    with pytest.raises(ChatdError, match="E411") as refused:
        _find(index, text)
    assert "double quotes" in refused.value.fix
    assert _find(index, f'"{text}"') == []


def test_a_kind_of_message_is_a_filter(tmp_path: Path, log: EventLog, index: SearchIndex) -> None:
    kinds = {8: "snippet", 9: "text", 10: "action", 11: "snippet"}
    for seq, kind in kinds.items():
        body = json.dumps({"user": "bob", "kind": kind, "body": f"print {seq}"}).encode()
        log.append([entry(seq, kind="message", room="#lobby")._replace(body=body)])
    index.catch_up(100)
    assert _find(index, "has:snippet") == [11, 8]
    assert _find(index, "has:snippet pri* 8") == [8]
    assert _find(index, "has:action from:bob") == [10]
    assert _find(index, "has:snippet", ["#war"]) == []
    index.redact([8])
    assert _find(index, "has:snippet") == [11]


def test_the_vocabulary_forgets_the_words_of_redacted_messages(tmp_path: Path, index: SearchIndex) -> None:
    index.redact([2])
    with closing(apsw.Connection(str(tmp_path / SEARCH_NAME))) as opened:
        terms = {row[0] for row in opened.execute("SELECT term FROM vocabulary")}
    assert {"ximage", "xway"}.isdisjoint(terms)
    assert {"xhost", "xis", "xisolated", "zbob"} <= terms


@pytest.mark.parametrize("text", ["from:bob from:alice", "in:#war host in:#war"])
def test_a_filter_given_twice_is_refused(index: SearchIndex, text: str) -> None:
    with pytest.raises(ChatdError, match="given twice"):
        _find(index, text)


@pytest.mark.parametrize("text", ["https://host/x", "12:30", "min:5", "host:5000", "status:ok", "a:b", "::1"])
def test_a_word_with_a_colon_is_no_filter(text: str) -> None:
    assert parse(text, NOW) == SearchQuery((Phrase(text),))


def test_a_direct_conversation_is_a_filter() -> None:
    assert parse("in:@alice,bob", NOW).room == "@alice,bob"


def test_the_number_of_words_is_limited() -> None:
    assert len(parse("word " * 10_000, NOW).phrases) == MAX_TOKENS


def test_catch_up_indexes_new_entries_in_steps(tmp_path: Path, log: EventLog) -> None:
    index = SearchIndex(tmp_path)
    assert [index.catch_up(5) for _ in range(3)] == [5, 2, 0]
    log.append([entry(8, kind="message", room="#lobby", text="late host")])
    assert index.catch_up(5) == 1
    assert _find(index, "late") == [8]
    index.close()


def test_a_step_is_bounded_by_bytes_too(
    tmp_path: Path, log: EventLog, index: SearchIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.catch_up(100)
    monkeypatch.setattr("chatd.store.search_index.STEP_BYTES", 1)
    log.append([entry(n, kind="message", room="#lobby", text="another") for n in (8, 9, 10)])
    assert [index.catch_up(100) for _ in range(4)] == [1, 1, 1, 0]


def test_malformed_bodies_do_not_stop_the_indexing(tmp_path: Path, log: EventLog, index: SearchIndex) -> None:
    bodies = [b"", b"[]", b"not json", b'{"body": 5, "user": []}', b'{"body": "\\ud800 lone"}', b"\xff"]
    log.append(
        [entry(n, kind="message", room="#lobby")._replace(body=body) for n, body in enumerate(bodies, 8)]
    )
    assert index.catch_up(100) == len(bodies)
    assert _find(index, "lone") == [12]


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 999, b"SQLite format 3\0" + bytes(8176)])
def test_a_damaged_index_is_rebuilt(tmp_path: Path, index: SearchIndex, damage: bytes) -> None:
    index.close()
    (tmp_path / SEARCH_NAME).write_bytes(damage)
    rebuilt = SearchIndex(tmp_path)
    assert _find(rebuilt, "host") == []
    assert rebuilt.catch_up(100) == 7
    assert _find(rebuilt, "host") == [6, 2, 1]
    rebuilt.close()


def test_an_index_damaged_in_the_middle_is_rebuilt(tmp_path: Path, index: SearchIndex) -> None:
    index.close()
    raw = bytearray((tmp_path / SEARCH_NAME).read_bytes())
    raw[4096:] = bytes(len(raw) - 4096)
    (tmp_path / SEARCH_NAME).write_bytes(raw)
    rebuilt = SearchIndex(tmp_path)
    _find(rebuilt, "host")
    while rebuilt.catch_up(100):
        pass
    assert _find(rebuilt, "host") == [6, 2, 1]
    rebuilt.close()


def test_the_index_of_another_log_is_rebuilt(tmp_path: Path, index: SearchIndex) -> None:
    index.close()
    other = tmp_path / "other"
    log = EventLog.open(other, now=NOW)
    log.append([entry(n, kind="message", room="#lobby", text=f"other {n}") for n in range(1, 10)])
    (other / SEARCH_NAME).write_bytes((tmp_path / SEARCH_NAME).read_bytes())
    rebuilt = SearchIndex(other)
    while rebuilt.catch_up(100):
        pass
    assert _find(rebuilt, "host") == []
    assert _find(rebuilt, "other 9") == [9]
    rebuilt.close()
    log.close()


def test_damage_to_the_log_is_reported(tmp_path: Path) -> None:
    log = filled(tmp_path, 900)
    log.close()
    index = SearchIndex(tmp_path)
    assert index.catch_up(100) == 100
    index.close()
    raw = bytearray((tmp_path / DATABASE_NAME).read_bytes())
    # The second half holds the bodies of later entries; SQLite rejects a page of zeros in a table.
    raw[len(raw) // 2 :] = bytes(len(raw) - len(raw) // 2)
    (tmp_path / DATABASE_NAME).write_bytes(raw)
    index = SearchIndex(tmp_path)
    with pytest.raises(ChatdError) as caught:
        while index.catch_up(100):
            pass
    assert caught.value.code == "E610"
    assert _find(index, "client", ["#lobby", "#war"])
    index.close()


def test_an_index_of_an_older_version_is_rebuilt(tmp_path: Path, index: SearchIndex) -> None:
    index.close()
    with closing(apsw.Connection(str(tmp_path / SEARCH_NAME))) as old:
        old.execute("DROP TABLE hours; PRAGMA user_version = 2").fetchall()
    rebuilt = SearchIndex(tmp_path)
    assert _find(rebuilt, "host") == []
    assert rebuilt.catch_up(100) == 7
    assert _find(rebuilt, "host since:2d") == [6, 2, 1]
    rebuilt.close()


def test_an_open_searcher_finds_what_is_in_a_rebuilt_index(tmp_path: Path, index: SearchIndex) -> None:
    searcher = Searcher(tmp_path)
    assert searcher.search(parse("host", NOW), ROOMS, limit=9, before=None).seqs == [6, 2, 1]
    index.close()
    for file in tmp_path.glob(f"{SEARCH_NAME}*"):
        file.unlink()
    assert searcher.search(parse("host", NOW), ROOMS, limit=9, before=None) == Found([], partial=True)
    rebuilt = SearchIndex(tmp_path)
    assert rebuilt.catch_up(2) == 2
    assert searcher.search(parse("host", NOW), ROOMS, limit=9, before=None).seqs == [2, 1]
    searcher.close()
    rebuilt.close()


def test_an_index_that_cannot_be_built_is_an_error(tmp_path: Path, log: EventLog, index: SearchIndex) -> None:
    """Not an endless loop of building it again."""
    log.append([entry(8, kind="message", room="#lobby", text="one more")])
    index.catch_up(1)
    log.append([entry(9, kind="message", room="#lobby", text="another")])
    with closing(apsw.Connection(str(tmp_path / DATABASE_NAME))) as damaged:
        damaged.execute("ALTER TABLE events RENAME COLUMN kind TO sort")
    assert index.catch_up(100) == 1
    with pytest.raises(ChatdError, match="search index"):
        index.catch_up(100)
