"""Fixtures that boot a real daemon."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.daemon import Daemon, running

# No test is about time, and a busy machine is slow.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# In the background of a script SIGINT is ignored, and programs under test would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers() -> int:
    """Run two workers for each processor: most of these tests wait for other processes."""
    return 2 * (os.cpu_count() or 1)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A running daemon for one test; its first admin is alice."""
    with running(tmp_path / "home") as daemon:
        yield daemon


@pytest.fixture(scope="module")
def shared_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A running daemon shared by the tests of a module; each test leaves it as it found it."""
    with running(tmp_path_factory.mktemp("shared") / "home") as daemon:
        yield daemon
