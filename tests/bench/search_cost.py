"""Measure searches in a large log: the index, what trigrams would cost, and how long searches take.

    python -m tests.bench.search_cost [MESSAGES [FOLDER]]      # prints one JSON object per measurement

Half of the messages are in a large room, two of three of them with the word "secret", 1 in 20 in a small one,
and the rest in a thousand others. Searches are made as a member of the small room, of it and the thousand
others, and of the large one. A FOLDER is filled and kept, and used as it is the next time.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import tempfile
import time
from contextlib import closing
from itertools import accumulate, islice
from pathlib import Path

import apsw

from chatd.hub.index_thread import INDEX_STEP
from chatd.proto.search_query import parse
from chatd.store.entry import Entry
from chatd.store.event_log import EventLog
from chatd.store.search_index import SEARCH_NAME, SearchIndex
from chatd.store.searcher import Found, Searcher
from tests.support.storelog import NOW, entry

LARGE, MINE = "#large", "#mine"
OTHERS = [f"#room{number}" for number in range(1_000)]
WORDS = 10
VOCABULARY = 30_000
BATCH = 5_000
REPEATS = 100
REPEATS_IN_MANY_ROOMS = 20  # each takes up to a second
PAGE = 51  # as a client asks for 50
FULL_PAGE = 501
SYLLABLES = [first + second for first in "bdfghklmnprstvw" for second in "aeiou"] + ["st", "ing", "er", "on"]


def _vocabulary(choice: random.Random) -> list[str]:
    """Make words of one to four syllables."""
    words: dict[str, None] = {}
    while len(words) < VOCABULARY:
        words["".join(choice.choices(SYLLABLES, k=choice.randint(1, 4)))] = None
    return list(words)


def _message(seq: int, choice: random.Random, words: list[str], weights: list[float]) -> Entry:
    """Make a message of words with Zipf's frequencies; the large room says "secret" in two of three."""
    room = LARGE if seq % 2 else MINE if seq % 20 == 0 else choice.choice(OTHERS)
    said = choice.choices(words, cum_weights=weights, k=WORDS)
    if room == LARGE and seq % 3:
        said[0] = "secret"
    return entry(seq, kind="message", room=room, text=" ".join(said))


def _fill(data: Path, messages: int) -> list[str]:
    """Fill an empty log; return the words, the most frequent first."""
    choice = random.Random(1)
    words = _vocabulary(choice)
    weights = list(accumulate(1 / (rank + 1) for rank in range(VOCABULARY)))
    with closing(EventLog.open(data, now=NOW)) as log:
        if log.head:
            return words
        for first in range(1, messages + 1, BATCH):
            seqs = range(first, min(first + BATCH, messages + 1))
            log.append([_message(seq, choice, words, weights) for seq in seqs])
    return words


def _index(data: Path) -> dict[str, float]:
    for file in data.glob(f"{SEARCH_NAME}*"):
        file.unlink()
    start, cpu = time.perf_counter(), time.process_time()
    with closing(SearchIndex(data)) as index:
        while index.catch_up(INDEX_STEP):
            pass
    return {
        "seconds": round(time.perf_counter() - start, 1),
        "cpu": round(time.process_time() - cpu, 1),
        "mib": round((data / SEARCH_NAME).stat().st_size / 2**20),
    }


def _trigrams(data: Path) -> dict[str, float]:
    """Measure a table of the same texts' trigrams, without their rooms."""
    with (
        closing(apsw.Connection(":memory:")) as memory,
        closing(apsw.Connection(str(data / SEARCH_NAME))) as index,
    ):
        memory.execute(
            "CREATE VIRTUAL TABLE parts"
            " USING fts5(text, content='', columnsize=0, detail=none, tokenize='trigram')"
        )
        cpu = 0.0
        texts = index.execute("SELECT seq, text FROM docs")
        while step := list(islice(texts, INDEX_STEP)):
            start = time.process_time()
            with memory:
                memory.executemany("INSERT INTO parts(rowid, text) VALUES(?, ?)", step)
            cpu += time.process_time() - start
        pages = memory.pragma("page_count")
    return {"cpu": round(cpu, 1), "mib": round(pages * 4096 / 2**20)}


def _search(
    searcher: Searcher, rooms: list[str], queries: list[str], limit: int
) -> dict[str, dict[str, object]]:
    """Return the ms of each query; they take turns, so that a slow moment meets all."""
    taken: dict[str, list[float]] = {query: [] for query in queries}
    found: dict[str, Found] = {}
    for _ in range(REPEATS if len(rooms) == 1 else REPEATS_IN_MANY_ROOMS):
        for query, times in taken.items():
            start = time.perf_counter()
            found[query] = searcher.search(parse(query, NOW), rooms, limit=limit, before=None)
            times.append((time.perf_counter() - start) * 1e3)
    return {
        query: {
            "median": round(statistics.median(times), 2),
            "p99": round(statistics.quantiles(times, n=100)[98], 2),
            "found": len(found[query].seqs),
            "partial": found[query].partial,
        }
        for query, times in taken.items()
    }


def _queries(words: list[str]) -> list[str]:
    """Words, beginnings and parts: frequent, rare, of one letter, and absent."""
    common, second, rare = words[0], words[99], words[-5]
    return [
        "secret", "absent", f"secret {common}", f"absent {common}", "from:bob", f"{common} {words[1]}",
        f"{second} {words[199]}", "s*", "x*", "secr*", "abse*", f"{rare[:4]}*", f"{rare[:4]}* {common}",
        "*ecre*", "*xy*", f"*{rare[1:5]}*", "*in*", f"{rare} s*", "has:snippet", "before:1d",
    ]  # fmt: skip


def _measure(data: Path, messages: int) -> None:
    words = _fill(data, messages)
    print(json.dumps({"messages": messages, "index": _index(data), "trigrams": _trigrams(data)}), flush=True)
    with closing(Searcher(data)) as searcher:
        for rooms in ([MINE], [MINE, *OTHERS], [LARGE]):
            for limit, queries in (
                (PAGE, _queries(words)),
                (FULL_PAGE, [words[0], f"{words[0][:2]}*", "s*"]),
            ):
                found = _search(searcher, rooms, queries, limit)
                for query, result in found.items():
                    line = {"rooms": len(rooms), "first": rooms[0], "limit": limit, "query": query}
                    print(json.dumps(line | result), flush=True)


def main() -> None:
    """Fill a log, index it, and search it as a member of a small room, of 1,001, and of a large one."""
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    if len(sys.argv) > 2:
        _measure(Path(sys.argv[2]), messages)
    else:
        with tempfile.TemporaryDirectory() as folder:
            _measure(Path(folder) / "data", messages)


if __name__ == "__main__":
    main()
