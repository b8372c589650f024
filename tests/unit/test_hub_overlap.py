"""Overlapping commits: the hub decides requests during a commit; each reply waits for its own commit."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.hub.commit_policy import PATIENCE_SECONDS, CommitThread
from chatd.proto.frames import JsonObject
from tests.support.hub_harness import HubHarness, WorkerEnd


class AliceAtHub:
    """alice, logged in at a real hub; collects the replies written to her worker."""

    def __init__(self, folder: Path) -> None:
        self.harness = HubHarness(folder, Settings())
        assert self.harness.ask(self.harness.operator, 0, "user_add", user="alice", device="dev", serial="a1")
        self.worker: WorkerEnd = self.harness.workers[0]
        assert self.harness.open_session(self.worker, 1, "alice", "dev", "a1")
        self.harness.run_iteration()
        self.request_id = 100

    def say(self, msg_id: int, body: str = "hello") -> int:
        """Send a message to #lobby; return the request id."""
        return self.ask("send", to="#lobby", body=body, msg_id=f"{msg_id:032x}")

    def ask(self, kind: str, **fields: Any) -> int:
        self.request_id += 1
        request = {"type": kind, "id": self.request_id, **fields}
        self.harness.hub.take(self.worker.link, [(["request", 1], json.dumps(request).encode())])
        return self.request_id

    def new_replies(self) -> dict[int, JsonObject]:
        """Return the replies written since the last call, by request id."""
        self.worker.replies.clear()
        self.worker.receive()
        return dict(self.worker.replies)


@pytest.fixture
def alice(tmp_path: Path) -> Iterator[AliceAtHub]:
    alice = AliceAtHub(tmp_path / "data")
    yield alice
    alice.harness.close()


def test_replies_to_requests_decided_during_a_commit_wait_for_the_next_commit(alice: AliceAtHub) -> None:
    hub = alice.harness.hub
    first = alice.say(1)
    finish_commit = hub.recorder.begin_commit()
    second, resent, reused = alice.say(2), alice.say(1), alice.say(1, "another")
    assert alice.new_replies() == {}
    finish_commit()
    assert alice.new_replies() == {}
    hub.recorder.end_commit()
    replies = alice.new_replies()
    assert list(replies) == [first]
    seq = replies[first]["result"]["seq"]
    assert alice.harness.log.head == seq
    # A message resent during the commit of the first gets the same answer, after the second commit.
    hub.recorder.commit()
    replies = alice.new_replies()
    assert list(replies) == [second, resent, reused]
    assert replies[second]["result"]["seq"] == seq + 1
    assert replies[resent]["result"]["seq"] == seq
    assert replies[reused]["code"] == "E408"
    again = alice.say(2)
    hub.recorder.commit()
    assert alice.new_replies()[again]["result"]["seq"] == seq + 1
    assert [e["seq"] for e in alice.harness.logged_events() if e["type"] == "message"] == [seq, seq + 1]


def test_batches_overlap_unless_one_redacts(alice: AliceAtHub) -> None:
    hub = alice.harness.hub
    request_ids = [alice.say(n) for n in range(3)]
    for start in (3, 6):
        finish_commit = hub.recorder.begin_commit()
        request_ids += [alice.say(start + n) for n in range(3)]
        finish_commit()
        hub.recorder.end_commit()
    assert hub.recorder.can_overlap
    hub.recorder.commit()
    assert list(alice.new_replies()) == request_ids
    request = b'{"type":"redact","id":9,"room":"#lobby","seq":%d}' % alice.harness.log.head
    hub.take(alice.harness.operator.link, [(["request", 0], request)])
    # A redacted body must leave the disk at once: this batch is committed without overlap.
    for expected in (False, True):
        assert hub.recorder.can_overlap == expected
        hub.recorder.commit()


def test_a_read_requested_during_a_commit_waits_for_the_messages_it_returns(alice: AliceAtHub) -> None:
    hub = alice.harness.hub
    alice.say(1)
    finish_commit = hub.recorder.begin_commit()
    alice.say(2)
    history = alice.ask("history", room="#lobby", limit=5)
    finish_commit()
    hub.recorder.end_commit()
    assert history not in alice.new_replies()
    hub.recorder.commit()
    replies: dict[int, JsonObject] = {}
    while history not in replies:
        alice.harness.deliver_read()
        hub.recorder.commit()
        replies = alice.new_replies()
    bodies = [e.get("msg_id") for e in replies[history]["result"]["events"] if e["type"] == "message"]
    assert bodies == [f"{n:032x}" for n in (1, 2)]


def _readable(source: CommitThread) -> bool:
    return bool(select.select([source], [], [], 30)[0])


def test_the_commit_thread_becomes_readable_when_its_commit_is_done() -> None:
    now = [10.0]
    commits = CommitThread(lambda: now[0])
    try:
        blocker, releaser = socket.socketpair()
        with blocker, releaser:

            def block() -> None:
                blocker.recv(1)

            commits.begin(block)
            assert commits.busy
            for passed, slow in ((0.0, False), (PATIENCE_SECONDS + 0.1, True)):
                now[0] = 10.0 + passed
                assert commits.overdue == slow
            releaser.send(b"x")
            assert _readable(commits)
            commits.end()
        assert (commits.busy, commits.overdue) == (False, False)
    finally:
        commits.close()


@pytest.mark.parametrize("error", [ChatdError("E504", "no more"), ValueError("a defect")])
def test_an_exception_in_a_commit_is_raised_by_end(error: Exception) -> None:
    def fail() -> None:
        raise error

    commits = CommitThread()
    try:
        commit: Callable[[], None] = fail
        commits.begin(commit)
        with pytest.raises(type(error)) as caught:
            commits.end()
        assert caught.value is error
    finally:
        commits.close()
