"""A guest in a real server: invited with an end, reminded of, extended by the sponsor, ended for good."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from chatctl.client import Client, read_identity
from tests.support.daemon import Daemon, running, wait_until
from tests.support.joining import invite, join


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(tmp_path_factory.mktemp("guests") / "home") as daemon:
        daemon.add_user("bob")
        yield daemon


def as_bob(daemon: Daemon, *words: str) -> str:
    return daemon.run("chatctl", "--identity", str(daemon.identity("bob")), *words).stdout


def test_a_guest_ends_everywhere_and_for_good(daemon: Daemon, tmp_path: Path) -> None:
    as_bob(daemon, "room", "create", "legal", "--guests")
    path = tmp_path / "gil.pem"
    done = join(daemon, invite(daemon, "gil", "--ends", "48h", "--rooms", "legal", "--sponsor", "bob"), path)
    assert "you are gil/laptop (guest)" in done.stderr
    before = json.loads(as_bob(daemon, "guest", "list", "--json"))["guests"][0]["ends"]
    assert "gil is a guest until" in as_bob(daemon, "guest", "extend", "gil", "24h")
    after = json.loads(as_bob(daemon, "guest", "list", "--json"))["guests"][0]["ends"]
    assert after - before == 86_400_000
    with Client(read_identity(path)) as gil, Client(read_identity(path)) as gil_again:
        gil.send("#legal", "for now").wait(30)
        gil_again.send("#legal", "from here, too").wait(30)
        assert "would end gil: 2 live sessions" in as_bob(daemon, "guest", "end", "gil", "--dry-run")
        as_bob(daemon, "guest", "end", "gil", "--reason", "the case is closed")
        for client in (gil, gil_again):
            wait_until(partial(getattr, client, "error"), what="the session to end")
            assert client.error is not None and client.error.code == "E219"
    daemon.chatd("restart")
    again = daemon.run("chat", "--identity", str(path), "send", "legal", "me again", check=False)
    assert again.returncode == 4
    assert "the time of gil as a guest has ended: the case is closed (E219)" in again.stderr
    assert "E219" in daemon.run("chatctl", "explain", "E219").stdout


def test_the_box_adds_a_guest_while_nothing_runs(daemon: Daemon) -> None:
    daemon.chatd("stop")
    daemon.chatd("user", "add", "hal", "--ends", "48h", "--sponsor", "bob")
    daemon.start()
    listed = json.loads(as_bob(daemon, "guest", "list", "--json"))["guests"]
    assert {"user": "hal", "sponsor": "bob", "state": "here"}.items() <= listed[-1].items()
    assert daemon.chatd("user", "add", "ida", "--sponsor", "bob", check=False).returncode == 2


def test_a_team_of_guests_from_a_file(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "team.csv").write_text("ken\nlea\n")
    made = daemon.chatctl("invite", "create", "--file", str(tmp_path / "team.csv"), "--ends", "2d").stdout
    assert [line.split(":")[0] for line in made.splitlines()] == ["ken", "lea"]
    listed = json.loads(daemon.chatctl("invite", "list", "--json").stdout)["invites"]
    assert {one["sponsor"] for one in listed if one["user"] in ("ken", "lea")} == {"alice"}
