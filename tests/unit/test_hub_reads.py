"""Reads during a redaction: no page delivered after the event contains the redacted text."""

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
from chatd.hub.query_threads import QueryThreads
from chatd.store.event_log import EventLog
from chatd.store.search_index import SearchIndex
from tests.support.hub_harness import START, HubHarness

TIMEOUT = 30.0
SECRET = "the password is hunter2"


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[HubHarness]:
    """A hub with two live users in #lobby: the admin alice on one worker, bob on the other."""
    harness = HubHarness(
        tmp_path / "data", Settings.model_validate({"roles": {"assigned": {"alice": "admin"}}})
    )
    for number, user in enumerate(("alice", "bob")):
        assert harness.ask(harness.operator, 0, "user_add", user=user, device="dev", serial=f"a{number}")
        assert harness.open_session(harness.workers[number], number, user, "dev", f"a{number}")
        assert harness.ask(harness.workers[number], number, "resume")
    yield harness
    harness.close()


def request(request_id: int, kind: str, **fields: Any) -> bytes:
    return json.dumps({"type": kind, "id": request_id, **fields}).encode()


def wait_for_page(harness: HubHarness) -> None:
    """Wait until a reading thread has a result; the loop has not taken it yet."""
    assert select.select([harness.reader], [], [], TIMEOUT)[0]


@pytest.mark.parametrize("kind", ["history", "search"])
@pytest.mark.parametrize("iterations", [0, 1], ids=["in one go", "overlapping"])
def test_a_message_redacted_while_a_page_is_read_is_not_on_it(
    harness: HubHarness, kind: str, iterations: int
) -> None:
    alice, bob = harness.workers
    reply = harness.ask(alice, 0, "send", msg_id=os.urandom(16).hex(), to="#lobby", body=SECRET)
    assert reply
    for _ in range(iterations):
        harness.run_iteration()
    before = len(bob.delivered)
    fields_of_read = {"history": {"room": "#lobby"}, "search": {"query": "password"}}[kind]
    harness.hub.take(bob.link, [(["request", 1], request(5, kind, **fields_of_read))])
    harness.run_iteration()
    wait_for_page(harness)
    harness.hub.take(
        alice.link, [(["request", 0], request(6, "redact", room="#lobby", seq=reply["result"]["seq"]))]
    )
    harness.reader.deliver()
    harness.run_iteration()
    assert [event["type"] for _, event in bob.delivered[before:]] == ["redacted"]
    assert 5 not in bob.replies
    while 5 not in bob.replies:  # it is read again
        wait_for_page(harness)
        harness.reader.deliver()
        harness.run_iteration()
    assert bob.replies[5]["type"] == "ok"
    assert SECRET not in json.dumps(bob.replies[5])


def test_the_read_thread_fails_to_start_without_file_descriptors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path) -> SearchIndex:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr("chatd.hub.query_threads.SearchIndex", full)
    EventLog.open(tmp_path / "data", now=START).close()
    with pytest.raises(OSError, match="too many"):
        QueryThreads(tmp_path / "data")
