"""No page that is delivered after a redaction event holds the redacted text."""

from __future__ import annotations

import errno
import json
import os
import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatd.config.schema import Settings
from chatd.hub.reads import QueryThread
from chatd.store.event_log import EventLog
from chatd.store.search_index import SearchIndex
from tests.support.hub_harness import START, HubHarness

WAIT = 30.0
SECRET = "the password is hunter2"


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[HubHarness]:
    """alice, an admin, and bob are live in #lobby, one in each worker."""
    harness = HubHarness(
        tmp_path / "data", Settings.model_validate({"roles": {"assigned": {"alice": "admin"}}})
    )
    for number, user in enumerate(("alice", "bob")):
        assert harness.ask(harness.operator, 0, "user_add", user=user, device="dev", serial=f"a{number}")
        assert harness.open_session(harness.workers[number], number, user, "dev", f"a{number}")
        assert harness.ask(harness.workers[number], number, "resume")
    yield harness
    harness.close()


def request(label: int, kind: str, **fields: Any) -> bytes:
    return json.dumps({"type": kind, "id": label, **fields}).encode()


def page_is_read(harness: HubHarness) -> None:
    """The read thread has a result; the loop has not looked at it."""
    assert select.select([harness.reader], [], [], WAIT)[0]


@pytest.mark.parametrize("kind", ["history", "search"])
@pytest.mark.parametrize("turns", [0, 1], ids=["in one go", "overlapping"])
def test_a_message_redacted_while_a_page_is_read_is_not_in_it(
    harness: HubHarness, kind: str, turns: int
) -> None:
    alice, bob = harness.workers
    said = harness.ask(alice, 0, "send", msg_id=os.urandom(16).hex(), to="#lobby", body=SECRET)
    assert said
    for _ in range(turns):
        harness.run_iteration()
    before = len(bob.delivered)
    asked = {"history": {"room": "#lobby"}, "search": {"query": "password"}}[kind]
    harness.hub.take(bob.link, [(["request", 1], request(5, kind, **asked))])
    harness.run_iteration()
    page_is_read(harness)
    harness.hub.take(
        alice.link, [(["request", 0], request(6, "redact", room="#lobby", seq=said["result"]["seq"]))]
    )
    harness.reader.deliver()
    harness.run_iteration()
    assert [event["type"] for _, event in bob.delivered[before:]] == ["redacted"]
    assert 5 not in bob.replies
    while 5 not in bob.replies:  # the index, too, reports to the loop
        page_is_read(harness)
        harness.reader.deliver()
        harness.run_iteration()
    assert bob.replies[5]["type"] == "ok"
    assert SECRET not in json.dumps(bob.replies[5])


def test_the_read_thread_fails_to_start_without_file_descriptors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path) -> SearchIndex:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr("chatd.hub.reads.SearchIndex", full)
    EventLog.open(tmp_path / "data", now=START).close()
    with pytest.raises(OSError, match="too many"):
        QueryThread(tmp_path / "data")
