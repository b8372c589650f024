"""What one read may cost the reading threads, and what one change costs the reads of others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chatd.hub.pages import PAGE_BYTES
from chatd.hub.reads import resume_query
from chatd.store import log_reader
from chatd.store.log_reader import LogReader
from tests.support.talk_at_hub import LOBBY, Talk

LONG = "word " * 6_000  # half a page


@pytest.fixture
def keeping(tmp_path: Path) -> Iterator[Talk]:
    talk = Talk(tmp_path / "data", retention={"edits": "keep"})
    yield talk
    talk.harness.close()


@pytest.mark.parametrize("kind", ["history", "messages"])
def test_a_page_reads_no_more_long_edits_than_it_holds(
    keeping: Talk, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seqs = [keeping.say("alice", "short") for _ in range(8)]
    for seq in seqs:
        keeping.edited("alice", seq, LONG)
    read: list[int] = []
    present = log_reader._edited

    def counted(seq: int, *rest: object) -> bytes:
        read.append(seq)
        return present(seq, *rest)  # type: ignore[arg-type]  # the columns of a row

    monkeypatch.setattr(log_reader, "_edited", counted)
    reader = LogReader(keeping.data)
    if kind == "history":
        reader.history(LOBBY, limit=500, size=PAGE_BYTES)
    else:
        reader.messages(LOBBY, seqs, size=PAGE_BYTES)
    reader.close()
    assert 0 < len(read) <= 2


def test_a_long_text_that_an_edit_made_short_ends_no_page(keeping: Talk) -> None:
    before = keeping.harness.hub.state.head
    seqs = [keeping.say("alice", LONG) for _ in range(4)]
    for seq in seqs:
        keeping.edited("alice", seq, "short")
    head = keeping.harness.hub.state.head
    reader = LogReader(keeping.data)
    page = resume_query({LOBBY: 0}, before, head)(reader)
    reader.close()
    assert page.cursor == head
    assert sum(b'"type":"message"' in body for body in page.bodies) == len(seqs)
    assert [event["seq"] for event in keeping.history(after=before) if event["type"] == "message"] == seqs
