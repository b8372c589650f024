"""Peers that cause log lines at will cannot rotate other lines out of the logs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.daemon import Daemon, wait_until
from tests.support.rawclient import Json, RawClient
from tests.support.under_attack import (
    UNLIMITED,
    log_in,
    log_in_admin,
    login_bye,
    update_section,
    witnessed_daemon,
)

# With a line for each connection the files would be rotated dozens of times.
CONNECTIONS = 1000
MAX_BYTES = 10_000


def settings(tree: dict[str, Any]) -> None:
    # The witness is silent while other clients attack.
    update_section(tree, "server", timeout=300)
    update_section(tree, "limits", per_role={"user": UNLIMITED, "admin": UNLIMITED})
    update_section(tree, "logging", max_bytes=MAX_BYTES, backups=1)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with witnessed_daemon(tmp_path_factory.mktemp("floods") / "home", settings, "bob", "carol") as daemon:
        yield daemon


def lines(daemon: Daemon, file: str, event: str) -> list[Json]:
    """The records of one event, from the rotated file, too."""
    records = daemon.log_lines(f"{file}.1") + daemon.log_lines(file)
    return [record for record in records if record["event"] == event]


def count(records: list[Json]) -> int:
    return sum(record.get("count", 1) for record in records)


def mute_reasons(daemon: Daemon) -> list[str]:
    return [line["reason"] for line in lines(daemon, "audit.log", "muted")]


def test_junk_from_unknown_peers_is_counted_and_leaves_the_audit_log_alone(daemon: Daemon) -> None:
    with log_in_admin(daemon) as alice:
        alice.ask("mute", user="carol", reason="before the flood")
        for number in range(CONNECTIONS):
            with RawClient(daemon.port, source=f"127.0.{number % 3}.9") as client:
                client.send_tcp(b"10 bytes..")
                client.wait_for_end()
        wait_until(
            lambda: count(lines(daemon, "security.log", "tls_refused")) == CONNECTIONS,
            what="every refusal to be counted",
        )
        assert "before the flood" in mute_reasons(daemon)
    blocks = {
        block for line in lines(daemon, "security.log", "tls_refused") for block in line.get("sources", ())
    }
    assert blocks == {"127.0.0.0/24", "127.0.1.0/24", "127.0.2.0/24"}
    assert {line["cat"] for line in lines(daemon, "audit.log", "muted")} == {"audit"}


def test_logins_of_a_banned_user_are_counted(daemon: Daemon) -> None:
    logins = 30
    with log_in_admin(daemon) as alice:
        alice.ask("ban", user="carol")
        for _ in range(logins):
            assert login_bye(daemon, "carol")["code"] == "E207"
        wait_until(
            lambda: count(lines(daemon, "security.log", "login_refused")) == logins,
            what="every refusal to be counted",
        )
    refusals = lines(daemon, "security.log", "login_refused")
    assert {(line["user"], line["code"]) for line in refusals} == {("carol", "E207")}
    assert len(lines(daemon, "audit.log", "banned")) == 1


def test_refused_requests_of_an_admitted_user_are_counted_in_the_audit_log(daemon: Daemon) -> None:
    requests = 300
    with log_in_admin(daemon) as alice, log_in(daemon, "bob") as bob:
        alice.ask("mute", user="carol", reason="before the refusals")
        for _ in range(requests):
            assert bob.ask("kick", user="carol")["code"] == "E300"
        wait_until(
            lambda: count(lines(daemon, "audit.log", "refused")) == requests,
            what="every refusal to be counted",
        )
    assert len(lines(daemon, "audit.log", "refused")) < requests
    assert {line["user"] for line in lines(daemon, "audit.log", "refused")} == {"bob"}
    assert "before the refusals" in mute_reasons(daemon)
