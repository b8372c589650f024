"""kill -9 and SIGSTOP of each kind of process under load: no acknowledged message is lost or duplicated."""

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

# High enough that the rate limit does not slow the talkers down.
_HIGH = {"messages_per_second": 100_000, "burst": 100_000}
UNLIMITED = json.dumps({"admin": _HIGH, "user": _HIGH})


@pytest.fixture
def talking(tmp_path: Path) -> Iterator[Daemon]:
    with running(tmp_path / "home", CHATD_LIMITS__PER_ROLE=UNLIMITED) as daemon:
        yield daemon


@contextmanager
def conversation(daemon: Daemon) -> Iterator[list[Talker]]:
    """Run three users on two workers that keep sending; check the deliveries at the end."""
    identities = [daemon.identity("alice", "console"), daemon.add_user("bob"), daemon.add_user("carol")]
    talkers = [Talker(identity) for identity in identities]
    try:
        for talker in talkers:
            talker.start()
        yield talkers
        for talker in talkers:
            talker.finish()
        last = max(sent.seq for talker in talkers for sent in talker.acknowledged)
        wait_until(
            lambda: all(t.seen and t.seen[-1].seq >= last for t in talkers),
            what="every talker to see the last message",
        )
        all_seen = {message for talker in talkers for message in talker.seen}
        for talker in talkers:
            # A talker that joined later has not seen the first messages.
            talker.seen[:0] = sorted(s for s in all_seen if s.seq < talker.seen[0].seq)
        assert_delivered_once_in_order(talkers)
    finally:
        for talker in talkers:
            talker.close()
    assert daemon.chatd("verify").stdout.startswith("ok")


def progress(talkers: list[Talker], messages: int = 5) -> None:
    """Wait until every talker has ``messages`` more acknowledgements."""
    counts = [len(talker.acknowledged) for talker in talkers]
    wait_until(
        lambda: all(
            len(t.acknowledged) >= count + messages for t, count in zip(talkers, counts, strict=True)
        ),
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


@pytest.mark.parametrize("name", ["hub", "worker-1"])
def test_stopped_child_is_replaced(talking: Daemon, name: str) -> None:
    with conversation(talking) as talkers:
        progress(talkers)
        os.kill(talking.child(name)["pid"], signal.SIGSTOP)
        wait_for_restart(talking, name, 1)
        progress(talkers)


@pytest.mark.parametrize("options", [["--rolling"], []])
def test_restart(talking: Daemon, options: list[str]) -> None:
    with conversation(talking) as talkers:
        progress(talkers)
        talking.chatd("restart", *options)
        progress(talkers)
