"""The hub decides requests while a batch is committed; every reply waits for its own commit."""

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


class Talk:
    """alice, who is logged in, and the replies that were written to her worker."""

    def __init__(self, folder: Path) -> None:
        self.harness = HubHarness(folder, Settings())
        assert self.harness.ask(self.harness.operator, 0, "user_add", user="alice", device="dev", serial="a1")
        self.worker: WorkerEnd = self.harness.workers[0]
        assert self.harness.open_session(self.worker, 1, "alice", "dev", "a1")
        self.harness.run_iteration()
        self.label = 100

    def say(self, msg_id: int, body: str = "hello") -> int:
        """Ask for it; the label of the reply."""
        return self.ask("send", to="#lobby", body=body, msg_id=f"{msg_id:032x}")

    def ask(self, kind: str, **fields: Any) -> int:
        self.label += 1
        request = {"type": kind, "id": self.label, **fields}
        self.harness.hub.take(self.worker.link, [(["request", 1], json.dumps(request).encode())])
        return self.label

    def told(self) -> dict[int, JsonObject]:
        """Replies written since the last time, by label."""
        self.worker.replies.clear()
        self.worker.receive()
        return dict(self.worker.replies)


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[Talk]:
    talk = Talk(tmp_path / "data")
    yield talk
    talk.harness.close()


def test_replies_to_requests_decided_during_a_commit_wait_for_the_next_commit(talk: Talk) -> None:
    hub = talk.harness.hub
    first = talk.say(1)
    wait = hub.recorder.begin_commit()
    second, resent, reused = talk.say(2), talk.say(1), talk.say(1, "another")
    assert talk.told() == {}
    wait()
    assert talk.told() == {}
    hub.recorder.end_commit()
    replies = talk.told()
    assert list(replies) == [first]
    seq = replies[first]["result"]["seq"]
    assert talk.harness.log.head == seq
    # Sent again while the first was on its way to the disk: the same answer, once the disk has the rest.
    hub.recorder.commit()
    replies = talk.told()
    assert list(replies) == [second, resent, reused]
    assert replies[second]["result"]["seq"] == seq + 1
    assert replies[resent]["result"]["seq"] == seq
    assert replies[reused]["code"] == "E408"
    again = talk.say(2)
    hub.recorder.commit()
    assert talk.told()[again]["result"]["seq"] == seq + 1
    assert [e["seq"] for e in talk.harness.logged_events() if e["type"] == "message"] == [seq, seq + 1]


def test_batches_overlap_unless_one_redacts(talk: Talk) -> None:
    hub = talk.harness.hub
    labels = [talk.say(n) for n in range(3)]
    for start in (3, 6):
        wait = hub.recorder.begin_commit()
        labels += [talk.say(start + n) for n in range(3)]
        wait()
        hub.recorder.end_commit()
    assert hub.recorder.can_overlap
    hub.recorder.commit()
    assert list(talk.told()) == labels
    request = b'{"type":"redact","id":9,"room":"#lobby","seq":%d}' % talk.harness.log.head
    hub.take(talk.harness.operator.link, [(["request", 0], request)])
    # What is erased must leave the disk at once: the loop commits this batch and does nothing else meanwhile.
    for can in (False, True):
        assert hub.recorder.can_overlap == can
        hub.recorder.commit()


def test_a_read_requested_during_a_commit_waits_for_the_messages_it_returns(talk: Talk) -> None:
    hub = talk.harness.hub
    talk.say(1)
    wait = hub.recorder.begin_commit()
    talk.say(2)
    history = talk.ask("history", room="#lobby", limit=5)
    wait()
    hub.recorder.end_commit()
    assert history not in talk.told()
    hub.recorder.commit()
    replies: dict[int, JsonObject] = {}
    while history not in replies:
        talk.harness.deliver_read()
        hub.recorder.commit()
        replies = talk.told()
    bodies = [e.get("msg_id") for e in replies[history]["result"]["events"] if e["type"] == "message"]
    assert bodies == [f"{n:032x}" for n in (1, 2)]


def _readable(source: CommitThread) -> bool:
    return bool(select.select([source], [], [], 30)[0])


def test_the_committer_runs_one_commit_and_becomes_readable_when_it_is_done() -> None:
    now = [10.0]
    commits = CommitThread(lambda: now[0])
    try:
        gate, opener = socket.socketpair()
        with gate, opener:

            def waits() -> None:
                gate.recv(1)

            commits.begin(waits)
            assert commits.busy
            for passed, slow in ((0.0, False), (PATIENCE_SECONDS + 0.1, True)):
                now[0] = 10.0 + passed
                assert commits.overdue == slow
            opener.send(b"x")
            assert _readable(commits)
            commits.end()
        assert (commits.busy, commits.overdue) == (False, False)
    finally:
        commits.close()


@pytest.mark.parametrize("error", [ChatdError("E504", "no more"), ValueError("a defect")])
def test_an_exception_in_a_commit_is_raised_by_end(error: Exception) -> None:
    def fails() -> None:
        raise error

    commits = CommitThread()
    try:
        commit: Callable[[], None] = fails
        commits.begin(commit)
        with pytest.raises(type(error)) as caught:
            commits.end()
        assert caught.value is error
    finally:
        commits.close()
