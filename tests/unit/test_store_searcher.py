"""Searches cost the same whatever is in rooms one may not read, end in time, and show nothing redacted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from chatd.proto.search_query import parse
from chatd.store import search_plan
from chatd.store import searcher as searcher_module
from chatd.store.entry import Entry
from chatd.store.event_log import EventLog
from chatd.store.search_index import SEARCH_NAME, SearchIndex
from chatd.store.searcher import Budget, Found, Searcher
from tests.support.storelog import NOW, entry, order

MESSAGES = 4_000
HIDDEN, MINE = "#hidden", "#mine"
SECRET = "falcon"
# VM steps by which two searches may differ. One candidate costs about thirty.
STEPS_BOUND = 20

Fill = Callable[[list[Entry]], None]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    opened = EventLog.open(tmp_path, now=NOW)
    yield opened
    opened.close()


@pytest.fixture
def index(tmp_path: Path, log: EventLog) -> Iterator[SearchIndex]:
    opened = SearchIndex(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def searcher(tmp_path: Path) -> Iterator[Searcher]:
    opened = Searcher(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def fill(log: EventLog, index: SearchIndex) -> Fill:
    def append_and_index(entries: list[Entry]) -> None:
        log.append(entries)
        while index.catch_up(2_000):
            pass

    return append_and_index


def message(seq: int, room: str, text: str) -> Entry:
    return entry(seq, kind="message", room=room, text=text)


def find(searcher: Searcher, text: str, *rooms: str, limit: int = 50) -> Found:
    return searcher.search(parse(text, NOW), rooms, limit=limit, before=None)


def cost(searcher: Searcher, text: str, *rooms: str) -> tuple[int, int]:
    """Return the VM steps of a search and the pages that it looked at."""
    find(searcher, text, *rooms)  # prepares the statements
    connection = searcher._index
    assert connection is not None
    before = connection.cache_stats()
    find(searcher, text, *rooms)
    after = connection.cache_stats()
    pages = sum(after[name] - before[name] for name in ("hits", "misses"))
    return searcher.steps, pages


@pytest.mark.parametrize(
    ("asked", "absent"),
    [
        (SECRET, "osprey"),
        (f"{SECRET} common", "osprey common"),
        (f'"{SECRET} common"', '"osprey common"'),
        (f"{SECRET} hidden", "osprey badger"),
        (f"{SECRET} from:bob", "osprey from:bob"),
        (f"{SECRET} since:7d", "osprey since:7d"),
        ("from:spy", "from:nobody"),
        ("hidden common", "badger common"),
        ("falc*", "ospr*"),
        ("f*", "o*"),
        ("*alco*", "*spre*"),
        ("falc* common", "ospr* common"),
        ("has:snippet", "has:action"),
        ("f* has:snippet", "o* has:action"),
        (f"{SECRET} before:1h", "osprey before:1h"),
    ],
)
def test_a_word_in_hidden_rooms_costs_as_much_as_an_absent_one(
    searcher: Searcher, fill: Fill, monkeypatch: pytest.MonkeyPatch, asked: str, absent: str
) -> None:
    monkeypatch.setattr(searcher_module, "_CHECK_STEPS", 1)
    hidden = [message(seq, HIDDEN, f"{SECRET} common hidden {seq}") for seq in range(1, MESSAGES)]
    spied = [one._replace(body=one.body.replace(b'"alice"', b'"spy", "kind": "snippet"')) for one in hidden]
    fill([*spied, message(MESSAGES, MINE, "common words")])
    (steps, pages), (absent_steps, absent_pages) = (cost(searcher, text, MINE) for text in (asked, absent))
    assert absent_steps > 0
    assert abs(steps - absent_steps) <= STEPS_BOUND
    assert abs(pages - absent_pages) <= STEPS_BOUND
    # In a room that one may read the same word does cost more.
    assert sum(cost(searcher, asked, HIDDEN)) > steps + pages + STEPS_BOUND


@pytest.mark.parametrize("text", ["since:7d", "from:alice", "common"])
def test_messages_in_hidden_rooms_cost_nothing(
    searcher: Searcher, fill: Fill, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """A filter does not go through others' messages until its page is full."""
    monkeypatch.setattr(searcher_module, "_CHECK_STEPS", 1)
    mine = [message(seq, MINE, "common words") for seq in range(1, 4)]
    fill(mine)
    steps, _ = cost(searcher, text, MINE)
    fill([message(seq, HIDDEN, f"{SECRET} common {seq}") for seq in range(4, MESSAGES)])
    later, _ = cost(searcher, text, MINE)
    assert find(searcher, text, MINE).seqs
    # More segments of the index have to be opened; 4,000 more messages are not read.
    assert later - steps < MESSAGES // 4


def test_has_text_finds_what_is_of_no_other_kind(searcher: Searcher, fill: Fill) -> None:
    snippet = message(3, MINE, "falcon snippet")
    snippet = snippet._replace(body=snippet.body.replace(b'"alice"', b'"alice", "kind": "snippet"'))
    fill([message(1, MINE, "falcon"), message(2, MINE, "other"), snippet])
    assert find(searcher, "has:text", MINE).seqs == [2, 1]
    assert find(searcher, "falcon has:text", MINE).seqs == [1]
    assert find(searcher, "has:snippet", MINE).seqs == [3]


def test_no_text_gives_a_term_of_another_room(searcher: Searcher, fill: Fill) -> None:
    fill([message(1, HIDDEN, "falcon"), message(2, MINE, "1xfalcon 1 xfalcon 1y 1zalice \u0000 1x")])
    assert find(searcher, "falcon", MINE).seqs == []
    assert find(searcher, "falcon", HIDDEN).seqs == [1]
    assert find(searcher, "from:alice", HIDDEN).seqs == [1]
    assert find(searcher, "1xfalcon", HIDDEN).seqs == []
    assert find(searcher, "1xfalcon", MINE).seqs == [2]


def test_a_user_in_a_thousand_rooms_finds_the_newest_of_all(searcher: Searcher, fill: Fill) -> None:
    rooms = [f"#room{number}" for number in range(1_000)]
    fill([message(seq, rooms[seq % 1_000], f"word {seq % 3} {seq}") for seq in range(1, 3_001)])
    newest = [seq for seq in range(3_000, 0, -1) if seq % 3 == 1][:50]
    assert find(searcher, "word 1", *rooms) == Found(newest)
    assert find(searcher, '"1 2221"', *rooms) == Found([2221])
    assert find(searcher, "since:1d", *rooms, limit=3) == Found([3_000, 2_999, 2_998])
    assert find(searcher, "word 1 2", *rooms) == Found([])


def test_the_budget_ends_a_search_with_the_newest_it_has_found(
    searcher: Searcher, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searcher_module, "_CHECK_STEPS", 100)
    texts = {seq: "even odd" if seq % 1_000 == 0 else "even" if seq % 2 else "odd" for seq in range(1, 4_001)}
    fill([message(seq, MINE, text) for seq, text in texts.items()])
    everything = find(searcher, "even odd", MINE)
    assert everything == Found([4_000, 3_000, 2_000, 1_000])
    monkeypatch.setattr(searcher_module, "SEARCH_STEPS", searcher.steps // 3)
    cut = find(searcher, "even odd", MINE)
    assert cut.partial
    assert cut.seqs and cut.seqs == everything.seqs[: len(cut.seqs)]
    assert len(cut.seqs) < len(everything.seqs)
    assert find(searcher, "absent", MINE) == Found([])


def test_the_newest_messages_fill_a_page_of_a_frequent_beginning(
    searcher: Searcher, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_plan, "EXPANDED_TERMS", 50)
    monkeypatch.setattr(searcher_module, "_CHECK_STEPS", 100)
    words = [f"s{seq}" if seq % 100 == 0 else f"w{seq}" for seq in range(1, 6_001)]
    fill([message(seq, MINE, f"{word} said") for seq, word in enumerate(words, 1)])
    # 60 words: "s" and the number, and "said".
    assert find(searcher, "s*", MINE, limit=3) == Found([6_000, 5_999, 5_998])
    assert find(searcher, "s* s1*", MINE) == Found([1_900, *range(1_800, 900, -100), 100])
    monkeypatch.setattr(searcher_module, "SEARCH_STEPS", 1_000)
    monkeypatch.setattr(searcher_module, "_NEWEST_STEPS", 1_000)
    cut = find(searcher, "w* *1", MINE)
    assert cut.partial
    assert cut.seqs[0] == 5_991


@pytest.mark.parametrize(
    ("text", "rooms", "found"),
    [
        ("old*", [MINE], range(100, 0, -1)),
        ("old* after", [MINE], range(100, 0, -2)),
        ("after-old*", [MINE], range(100, 0, -2)),
        ("old* new*", [MINE], [1_003, *range(99, 0, -2)]),
        ("old* from:alice", [MINE], range(99, 0, -2)),
        ("old* from:carol", [MINE], []),
        ("old* absent", [MINE], []),
        ("old*", [MINE, HIDDEN], [2_001, *range(100, 0, -1)]),
    ],
)
def test_many_words_with_a_beginning_are_found_in_old_messages_too(
    searcher: Searcher,
    fill: Fill,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    rooms: list[str],
    found: Sequence[int],
) -> None:
    """The newest messages have none of them, and are left before the budget is used up."""
    monkeypatch.setattr(search_plan, "EXPANDED_TERMS", 50)
    monkeypatch.setattr(searcher_module, "_CHECK_STEPS", 1)
    monkeypatch.setattr(searcher_module, "_NEWEST_STEPS", 1_000)
    old = [message(seq, MINE, f"{'new' if seq % 2 else 'after'} old{seq}") for seq in range(1, 101)]
    new = [message(seq, MINE, f"new{seq} after") for seq in range(101, 2_001)]
    new[902] = message(1_003, MINE, "new1003 old3000") if "new" in text else new[902]
    fill([*old, *new, *(message(2_000 + n, HIDDEN, "other" if n > 1 else "older") for n in range(1, 1_001))])
    everything = find(searcher, text, *rooms, limit=200)
    assert everything == Found(list(found))
    page = find(searcher, text, *rooms, limit=7)
    assert page.seqs == everything.seqs[:7]
    if page.seqs:
        rest = searcher.search(parse(text, NOW), rooms, limit=200, before=page.seqs[-1])
        assert rest == Found(everything.seqs[7:])


@pytest.mark.parametrize("text", ["*part*", "pa*", "*part* other*"])
def test_words_that_cannot_be_chosen_in_time_are_looked_for_in_the_newest_messages(
    searcher: Searcher, fill: Fill, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(searcher_module, "_CHECK_STEPS", 1)
    fill([message(seq, MINE, f"parting other{seq}") for seq in range(1, 1_001)])
    monkeypatch.setattr(searcher_module, "_PLAN_SHARE", 0.0)
    assert find(searcher, text, MINE, limit=3) == Found([1_000, 999, 998])


def test_a_budget_ends_by_steps_or_by_time() -> None:
    times = iter([0.0, 0.4, 0.6, 0.9, 1.1])
    budget = Budget(1.0, lambda: next(times))
    budget.allow(100_000, 0.5)
    assert [budget.spent(), budget.spent()] == [False, True]
    budget.allow(100_000)
    assert [budget.spent(), budget.spent()] == [False, True]
    budget = Budget(1.0, lambda: 0.0)
    for _ in range(2):
        budget.allow(20_000)
        assert [budget.spent(), budget.spent(), budget.spent()] == [False, False, True]
        with budget.paused():
            assert not budget.spent()


def test_a_redacted_message_is_not_found_before_the_index_knows(
    searcher: Searcher, log: EventLog, fill: Fill
) -> None:
    """Not even as one more that exists: this would tell which words it had."""
    fill([message(1, MINE, "falcon"), message(2, MINE, "the falcon")])
    log.append([order(3, "redacted", MINE, target=1)], {1: 3})
    assert find(searcher, "falcon", MINE).seqs == [2]


def holds(data: Path, word: bytes) -> bool:
    """Whether any file of the index contains these bytes."""
    return any(word in file.read_bytes() for file in data.glob(f"{SEARCH_NAME}*"))


def test_redacted_words_leave_the_files_of_the_index(
    tmp_path: Path, searcher: Searcher, index: SearchIndex, log: EventLog, fill: Fill
) -> None:
    others = [message(seq, MINE, f"message {seq}") for seq in range(2, 3_000)]
    fill([message(1, MINE, "peregrine falcon"), *others])
    assert find(searcher, "peregrine", MINE).seqs == [1]
    assert holds(tmp_path, b"peregrine")
    log.append([order(3_000, "redacted", MINE, target=1)], {1: 3_000})
    index.redact([1])
    assert not holds(tmp_path, b"peregrine")
    assert not holds(tmp_path, b"falcon")
    assert find(searcher, "message", MINE, limit=1).seqs == [2_999]


def test_a_redaction_that_the_index_missed_is_made_up_for(
    tmp_path: Path, index: SearchIndex, log: EventLog, fill: Fill
) -> None:
    """The hub died between the redaction's commit and the change of the index."""
    fill([message(1, MINE, "peregrine"), message(2, MINE, "other")])
    index.close()
    log.append([order(3, "redacted", MINE, target=1)], {1: 3})
    with_next_hub = SearchIndex(tmp_path)
    with_next_hub.catch_up(2_000)
    with_next_hub.close()
    assert not holds(tmp_path, b"peregrine")


def test_a_time_after_the_last_message_ends_the_search_at_once(
    searcher: Searcher, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searcher_module, "_CHECK_STEPS", 1)
    fill([message(seq, MINE, "common") for seq in range(1, MESSAGES)])
    late = NOW + 30 * 86_400_000
    assert searcher.search(parse("common since:1d", late), [MINE], limit=5, before=None) == Found([])
    assert searcher.steps < MESSAGES
