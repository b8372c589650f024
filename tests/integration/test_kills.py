"""Killing and stopping processes under load: no acknowledged message is lost or duplicated."""

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
def daemon_without_limits(tmp_path: Path) -> Iterator[Daemon]:
    with running(tmp_path / "home", CHATD_LIMITS__PER_ROLE=UNLIMITED) as daemon:
        yield daemon


@contextmanager
def conversation(daemon: Daemon) -> Iterator[list[Talker]]:
    """Three users send messages without a pause; at the end, check that each was delivered once."""
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
            # A talker that went live later has not received the first messages.
            talker.seen[:0] = sorted(s for s in all_seen if s.seq < talker.seen[0].seq)
        assert_delivered_once_in_order(talkers)
    finally:
        for talker in talkers:
            talker.close()
    assert daemon.chatd("verify").stdout.startswith("ok")


def wait_for_progress(talkers: list[Talker], messages: int = 5) -> None:
    """Wait until every talker has ``messages`` more acknowledgements."""
    counts = [len(talker.acknowledged) for talker in talkers]
    wait_until(
        lambda: all(
            len(t.acknowledged) >= count + messages for t, count in zip(talkers, counts, strict=True)
        ),
        what="the conversation to continue",
    )


def wait_for_restart(daemon: Daemon, name: str, count: int) -> None:
    """Wait until a child has been replaced ``count`` times."""
    wait_until(lambda: daemon.child(name).get("restarts") == count, what=f"{name} to be replaced")


@pytest.mark.parametrize("name", ["worker-1", "worker-2", "hub"])
def test_killing_a_child_three_times_loses_nothing(daemon_without_limits: Daemon, name: str) -> None:
    with conversation(daemon_without_limits) as talkers:
        for round_ in range(1, 4):
            wait_for_progress(talkers)
            os.kill(daemon_without_limits.child(name)["pid"], signal.SIGKILL)
            wait_for_restart(daemon_without_limits, name, round_)
        wait_for_progress(talkers)


def test_killing_the_supervisor_loses_nothing(daemon_without_limits: Daemon) -> None:
    with conversation(daemon_without_limits) as talkers:
        wait_for_progress(talkers)
        os.kill(daemon_without_limits.status()["pid"], signal.SIGKILL)
        daemon_without_limits.start()
        wait_for_progress(talkers)


@pytest.mark.parametrize("name", ["hub", "worker-1"])
def test_stopping_a_child_loses_nothing(daemon_without_limits: Daemon, name: str) -> None:
    with conversation(daemon_without_limits) as talkers:
        wait_for_progress(talkers)
        os.kill(daemon_without_limits.child(name)["pid"], signal.SIGSTOP)
        wait_for_restart(daemon_without_limits, name, 1)
        wait_for_progress(talkers)


@pytest.mark.parametrize("options", [["--rolling"], []])
def test_a_restart_loses_nothing(daemon_without_limits: Daemon, options: list[str]) -> None:
    with conversation(daemon_without_limits) as talkers:
        wait_for_progress(talkers)
        daemon_without_limits.chatd("restart", *options)
        wait_for_progress(talkers)
