"""Measure searches in a large log: the index, and a word that only a hidden room has next to an absent one.

    python -m tests.bench.search_cost [MESSAGES]      # prints one JSON object per measurement

Half of the messages are in a room that the asker may not read, 1 in 20 in a small one that they may, and the
rest in a thousand others.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import tempfile
import time
from contextlib import closing
from itertools import accumulate
from pathlib import Path

from chatd.hub.index_thread import INDEX_STEP
from chatd.store.entry import Entry
from chatd.store.event_log import EventLog
from chatd.store.search_index import SEARCH_NAME, SearchIndex
from chatd.store.searcher import Searcher
from tests.support.storelog import NOW, entry

HIDDEN, MINE = "#hidden", "#mine"
OTHERS = [f"#room{number}" for number in range(1_000)]
WORDS = 10
VOCABULARY = 30_000
BATCH = 5_000
REPEATS = 60


def _message(seq: int, choice: random.Random, words: list[str], weights: list[float]) -> Entry:
    """Make a message of words with Zipf's frequencies; the hidden room says "secret" in two of three."""
    room = HIDDEN if seq % 2 else MINE if seq % 20 == 0 else choice.choice(OTHERS)
    said = choice.choices(words, cum_weights=weights, k=WORDS)
    if room == HIDDEN and seq % 3:
        said[0] = "secret"
    return entry(seq, kind="message", room=room, text=" ".join(said))


def _fill(data: Path, messages: int) -> None:
    choice = random.Random(1)
    words = [f"w{number:x}" for number in range(VOCABULARY)]
    weights = list(accumulate(1 / (rank + 1) for rank in range(VOCABULARY)))
    with closing(EventLog.open(data, now=NOW)) as log:
        for first in range(1, messages + 1, BATCH):
            seqs = range(first, min(first + BATCH, messages + 1))
            log.append([_message(seq, choice, words, weights) for seq in seqs])


def _index(data: Path) -> dict[str, float]:
    start, cpu = time.perf_counter(), time.process_time()
    with closing(SearchIndex(data)) as index:
        while index.catch_up(INDEX_STEP):
            pass
    return {
        "seconds": round(time.perf_counter() - start, 1),
        "cpu": round(time.process_time() - cpu, 1),
        "mib": round((data / SEARCH_NAME).stat().st_size / 2**20),
    }


def _search(searcher: Searcher, rooms: list[str], queries: list[str]) -> dict[str, float]:
    """Return the median ms of each query; they take turns, so that a slow moment meets all."""
    taken: dict[str, list[float]] = {query: [] for query in queries}
    for _ in range(REPEATS):
        for query, times in taken.items():
            start = time.perf_counter()
            searcher.search(query, rooms, limit=51, before=None, now=NOW)
            times.append(time.perf_counter() - start)
    return {query: round(statistics.median(times) * 1e3, 3) for query, times in taken.items()}


def main() -> None:
    """Fill a log, index it, and search it as members of one room and of 1,001."""
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        _fill(data, messages)
        print(json.dumps({"messages": messages, "index": _index(data)}), flush=True)
        with closing(Searcher(data)) as searcher:
            for rooms in ([MINE], [MINE, *OTHERS]):
                queries = ["secret", "absent", "secret w0", "absent w0", "from:bob", "w0 w1", "w9 w99"]
                print(json.dumps({"rooms": len(rooms), "ms": _search(searcher, rooms, queries)}), flush=True)


if __name__ == "__main__":
    main()
