"""One daemon and one X server per test module, and another user to talk to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chatctl.client import CaughtUp, Client
from chatd.pki.identity import read_identity
from tests.support.daemon import Daemon
from tests.support.windows import WAIT
from tests.support.xvfb import Display, display


@pytest.fixture(scope="module")
def daemon(shared_daemon: Daemon) -> Daemon:
    shared_daemon.add_user("bob")
    shared_daemon.add_user("carol")
    return shared_daemon


@pytest.fixture(scope="module")
def screen() -> Iterator[Display]:
    with display() as screen:
        yield screen


@pytest.fixture(scope="session")
def lasting_screen() -> Iterator[Display]:
    """For windows in this process: Xlib ends a process when a screen goes away that it has used."""
    with display() as screen:
        yield screen


@pytest.fixture
def bob(daemon: Daemon) -> Iterator[Client]:
    """Another user's client, connected and caught up."""
    with Client(read_identity(daemon.identity("bob"))) as client:
        while not isinstance(client.next_event(WAIT), CaughtUp):
            pass
        yield client
