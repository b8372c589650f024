"""``chatd user add --file``: many users in one process, all judged before anything is done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chatctl.client import Client, read_identity
from tests.support.daemon import Daemon


def identities(daemon: Daemon) -> set[str]:
    return {path.name for path in (daemon.home / "certs" / "identities").iterdir()}


def add(daemon: Daemon, text: str, *options: str, check: bool = True) -> tuple[int, str, str]:
    done = daemon.run("chatd", "user", "add", "--file", "-", *options, check=check, input=text)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_users_of_a_file(daemon: Daemon, running: bool) -> None:
    if not running:
        daemon.run("chatd", "stop")
    names = [f"u{number}" for number in range(150)]
    path = daemon.home / "team.csv"
    path.write_text("name,role\n" + "".join(f"{name},guest\n" for name in names))
    done = daemon.run("chatd", "user", "add", "--file", str(path))
    paths = [Path(line) for line in done.stdout.splitlines()]
    assert [read_identity(path).user for path in paths] == names
    assert "added 150 of 150" in done.stderr
    _, out, _ = add(daemon, "ann,,phone\nann,,tablet\n", "--json")
    assert [(row["user"], row["device"]) for row in json.loads(out)["users"]] == [
        ("ann", "phone"),
        ("ann", "tablet"),
    ]
    if not running:
        daemon.run("chatd", "start")
    with Client(read_identity(paths[-1])) as client:
        assert client.wait_connected(15).role == "guest"


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_one_wrong_line_and_nothing_is_done(daemon: Daemon, running: bool) -> None:
    daemon.add_user("bob", device="phone")
    daemon.add_user("bob", device="laptop")
    (daemon.home / "certs" / "identities" / "bob-phone.pem").unlink()
    if not running:
        daemon.run("chatd", "stop")
    before = identities(daemon)
    for text, line in (
        ("ann\nBAD\n", 2),
        ("ann\nben\ncid,king\n", 3),  # the hub knows the roles
        ("ann\nbob,,phone\n", 2),  # the hub knows the devices
        ("ann\nbob,,laptop\n", 2),  # the file exists
        ("ann\nann\n", 2),
    ):
        code, out, err = add(daemon, text, check=False)
        assert (code, out) == (1, ""), err
        assert "nothing was done" in err
        assert f"line {line}" in err
        assert identities(daemon) == before
    if not running:
        daemon.run("chatd", "start")
    users = json.loads(daemon.run("chatctl", "users", "--json").stdout)["users"]
    assert not {row["user"] for row in users} & {"ann", "ben", "cid"}


@pytest.mark.parametrize(
    "arguments", [("bob", "--file", "-"), ("--file", "-", "--out", "x.pem"), ()], ids=["name", "out", "none"]
)
def test_name_and_file_exclude_each_other(shared_daemon: Daemon, arguments: tuple[str, ...]) -> None:
    done = shared_daemon.run("chatd", "user", "add", *arguments, check=False, input="")
    assert done.returncode == 2
