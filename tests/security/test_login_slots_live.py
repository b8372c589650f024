"""Connections that send nothing keep nobody from logging in, however many addresses they come from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.rawclient import RawClient
from tests.support.under_attack import update_section, witnessed_daemon

SLOTS = 32
SLOTS_PER_BLOCK = 8
WORKERS = 2


def settings(tree: dict[str, Any]) -> None:
    # Longer than a test may take: a silent connection must not live until then.
    update_section(tree, "server", handshake_timeout=60, timeout=300)
    update_section(tree, "limits", handshakes=SLOTS, handshakes_per_address=SLOTS_PER_BLOCK)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with witnessed_daemon(tmp_path_factory.mktemp("slots") / "home", settings, "bob") as daemon:
        yield daemon


@pytest.mark.parametrize("newcomer", ["127.0.50.1", "127.0.10.99"], ids=["own block", "the same block"])
def test_a_login_succeeds_right_after_a_flood_of_silent_connections(daemon: Daemon, newcomer: str) -> None:
    for _ in range(3):
        with contextlib.ExitStack() as stack:
            for number in range(3 * WORKERS * SLOTS):
                source = f"127.0.{10 + number % 10}.{1 + number // 10}"
                stack.enter_context(RawClient(daemon.port, source=source))
            client = stack.enter_context(RawClient(daemon.port, daemon.identity("bob"), source=newcomer))
            assert client.logged_in().ask("ping")["type"] == "ok"


def test_a_connection_that_sends_nothing_is_closed_long_before_the_logins_deadline(daemon: Daemon) -> None:
    with RawClient(daemon.port) as client:
        assert client.sock.recv(1) == b""
