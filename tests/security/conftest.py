"""Fixtures for tests that attack a real daemon or its certificates."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.certificates import World, make_world
from tests.support.daemon import Daemon
from tests.support.rawclient import RawClient
from tests.support.under_attack import lift_rate_limits, open_live_session, witnessed_daemon


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon without rate limits that mallory may attack; other clients must not be affected."""
    with witnessed_daemon(tmp_path_factory.mktemp("attack") / "home", lift_rate_limits, "mallory") as daemon:
        yield daemon


@pytest.fixture
def alice(daemon: Daemon) -> Iterator[RawClient]:
    """A live session of the first admin."""
    with open_live_session(daemon, "alice", "console") as client:
        yield client


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A server's certificates, its CA and bob's identity."""
    return make_world(tmp_path_factory.mktemp("certs"))
