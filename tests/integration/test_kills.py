"""kill -9 and SIGSTOP of every kind of process while people talk: nothing acknowledged is lost or doubled."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, running, wait_until
from tests.support.steady_talkers import Talker, assert_delivered_once_in_order

# So that the talkers are limited by the server and not by its rate limit.
_MUCH = {"messages_per_second": 100_000, "burst": 100_000}
UNLIMITED = json.dumps({"admin": _MUCH, "user": _MUCH})


@pytest.fixture
def talking(tmp_path: Path) -> Iterator[Daemon]:
    with running(tmp_path / "home", CHATD_LIMITS__PER_ROLE=UNLIMITED) as daemon:
        yield daemon


@contextmanager
def conversation(daemon: Daemon) -> Iterator[list[Talker]]:
    """Three users on two workers who talk all the time; judged at the end."""
    identities = [daemon.identity("alice", "console"), daemon.add_user("bob"), daemon.add_user("carol")]
    talkers = [Talker(identity) for identity in identities]
    try:
        for talker in talkers:
            talker.start()
        # Everybody listens before what they say counts.
        yield talkers
        for talker in talkers:
            talker.finish()
        last = max(said.seq for talker in talkers for said in talker.acknowledged)
        wait_until(lambda: all(t.seen and t.seen[-1].seq >= last for t in talkers), what="all to see the end")
        everything = {said for talker in talkers for said in talker.seen}
        for talker in talkers:
            # Those who joined the conversation later did not hear its beginning.
            talker.seen[:0] = sorted(s for s in everything if s.seq < talker.seen[0].seq)
        assert_delivered_once_in_order(talkers)
    finally:
        for talker in talkers:
            talker.close()
    assert daemon.chatd("verify").stdout.startswith("ok")


def progress(talkers: list[Talker], messages: int = 5) -> None:
    """Wait until everybody has got some more messages acknowledged."""
    marks = [len(talker.acknowledged) for talker in talkers]
    wait_until(
        lambda: all(len(t.acknowledged) >= mark + messages for t, mark in zip(talkers, marks, strict=True)),
        what="the conversation to go on",
    )


def wait_for_restart(daemon: Daemon, name: str, count: int) -> None:
    """Wait until a child has been replaced ``count`` times."""
    wait_until(lambda: daemon.child(name).get("restarts") == count, what=f"{name} to be replaced")


@pytest.mark.parametrize("name", ["worker-1", "worker-2", "hub"])
def test_kill_a_child(talking: Daemon, name: str) -> None:
    with conversation(talking) as talkers:
        for round_ in range(1, 4):
            progress(talkers)
            os.kill(talking.child(name)["pid"], signal.SIGKILL)
            wait_for_restart(talking, name, round_)
        progress(talkers)


def test_kill_the_supervisor(talking: Daemon) -> None:
    with conversation(talking) as talkers:
        progress(talkers)
        os.kill(talking.status()["pid"], signal.SIGKILL)
        talking.start()
        progress(talkers)


def test_stopped_hub_is_replaced(talking: Daemon) -> None:
    with conversation(talking) as talkers:
        progress(talkers)
        os.kill(talking.child("hub")["pid"], signal.SIGSTOP)
        wait_for_restart(talking, "hub", 1)
        progress(talkers)


def test_stopped_worker_is_replaced(talking: Daemon) -> None:
    with conversation(talking) as talkers:
        progress(talkers)
        os.kill(talking.child("worker-1")["pid"], signal.SIGSTOP)
        wait_for_restart(talking, "worker-1", 1)
        progress(talkers)


def test_rolling_restart(talking: Daemon) -> None:
    with conversation(talking) as talkers:
        progress(talkers)
        talking.chatd("restart", "--rolling")
        progress(talkers)


def test_restart_of_everything(talking: Daemon) -> None:
    with conversation(talking) as talkers:
        progress(talkers)
        talking.chatd("restart")
        progress(talkers)
