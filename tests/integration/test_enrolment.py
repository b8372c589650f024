"""Invites in a real server: from `chatctl invite create` to chatting, and what every failure says."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatd.console.qr_code import qr_lines
from chatd.pki.identity import read_identity
from chatd.proto.invite_code import parse_code
from tests.support.daemon import Daemon, free_port, running, wait_until
from tests.support.joining import devices_of, invite, join


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(tmp_path_factory.mktemp("enrolment") / "home") as daemon:
        daemon.add_user("bob")
        yield daemon


def test_one_paste_lets_a_new_user_chat(daemon: Daemon, tmp_path: Path) -> None:
    daemon.run("chatctl", "--identity", str(daemon.identity("bob")), "room", "create", "team")
    code = invite(daemon, "carol", "--rooms", "lobby,team")
    path = tmp_path / "new" / "carol.pem"
    done = join(daemon, code, path, "--device", "phone")
    assert done.returncode == 0, done.stderr
    assert "SHA256:" in done.stderr
    assert "you are carol/phone (user) on lab" in done.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["carol.pem"]
    bobs = read_identity(daemon.identity("bob"))
    carols = read_identity(path)
    assert (carols.user, carols.device, carols.instance) == ("carol", "phone", "lab")
    assert (carols.ca_pem, carols.record_key) == (bobs.ca_pem, bobs.record_key)
    assert set(bobs.servers) <= set(carols.servers)
    daemon.run("chat", "--identity", str(path), "send", "team", "hello team")
    shown = daemon.run("chat", "--identity", str(daemon.identity("bob")), "history", "team").stdout
    assert "hello team" in shown


def test_a_user_adds_a_device_with_one_paste(daemon: Daemon, tmp_path: Path) -> None:
    daemon.add_user("pia")
    server = ("--server", f"127.0.0.1:{daemon.port}")
    made = daemon.run("chat", "--identity", str(daemon.identity("pia")), "device", "add", "phone", *server)
    code = made.stdout.strip().removeprefix("chat join ")
    done = join(daemon, code, tmp_path / "phone.pem")
    assert "you are pia/phone (user) on lab" in done.stderr
    assert devices_of(daemon, "pia") == ["laptop", "phone"]
    assert daemon.run("chat", "--identity", str(tmp_path / "phone.pem"), "whoami").stdout.startswith(
        "pia/phone"
    )


def test_the_identity_is_where_chat_looks_for_it(daemon: Daemon, tmp_path: Path) -> None:
    environ = daemon.environ | {"XDG_CONFIG_HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    new = Daemon(tmp_path)  # the machine of somebody who has no home of a server
    new.environ = environ
    code = invite(daemon, "dora")
    assert new.run("chat", "join", code, "--no-chat").stdout == ""
    assert new.run("chat", "whoami").stdout.startswith("dora/laptop")
    again = new.run("chat", "join", code, "--no-chat", check=False)
    assert again.returncode == 1
    assert "already exists" in again.stderr


def test_a_code_survives_being_typed(daemon: Daemon, tmp_path: Path) -> None:
    server, _, code = invite(daemon, "erin").partition("/")
    loose = code.lower().replace("-", " ").replace("0", "o").replace("1", "l").split()
    done = daemon.run(
        "chat", "join", "--no-chat", "--json", "--identity", str(tmp_path / "e.pem"), f"{server}/", *loose
    )
    assert json.loads(done.stdout)["user"] == "erin"


def test_json_and_list_and_cancel(daemon: Daemon, tmp_path: Path) -> None:
    made = json.loads(daemon.chatctl("invite", "create", "fay", "--role", "guest", "--json").stdout)
    assert made["command"].startswith("chat join ")
    listed = json.loads(daemon.chatctl("invite", "list", "--json").stdout)["invites"]
    (fay,) = (one for one in listed if one["user"] == "fay")
    assert {"role": "guest", "state": "open"}.items() <= fay.items()
    states = [one["state"] == "open" for one in listed]
    assert states == sorted(states, reverse=True)
    ends = [one["until"] for one in listed if one["state"] == "open"]
    assert ends == sorted(ends)
    assert "fay" in daemon.chatctl("invite", "list").stdout
    daemon.chatctl("invite", "cancel", "fay")
    done = join(daemon, made["command"].split()[-1], tmp_path / "fay.pem")
    assert done.returncode == 4
    assert "was cancelled (E214)" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_team_from_a_file(daemon: Daemon, tmp_path: Path) -> None:
    names = [f"t{number}" for number in range(12)]
    path = tmp_path / "names.csv"
    path.write_text("name,role\n" + "".join(f"{name},user\n" for name in names))
    lines = daemon.chatctl("invite", "create", "--file", str(path)).stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == names
    assert join(daemon, lines[3].split()[-1], tmp_path / "t3.pem").returncode == 0
    path.write_text("fresh\nbob\nalice,guest\n")
    done = daemon.chatctl("invite", "create", "--file", str(path), check=False)
    assert "2 lines are wrong" in done.stderr
    assert "fresh" not in daemon.chatctl("invite", "list").stdout, "nothing is done"


def test_a_list_goes_on_where_it_was_cut(daemon: Daemon, tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    path.write_text("u1,user,lobby\nu2\n")
    first = daemon.chatctl("invite", "create", "--file", str(path)).stdout.splitlines()
    assert join(daemon, first[0].split()[-1], tmp_path / "u1.pem").returncode == 0
    path.write_text("u1,user,lobby\nu2\nu3,,lobby\n")
    again = daemon.chatctl("invite", "create", "--file", str(path))
    assert [line.partition(":")[0] for line in again.stdout.splitlines()] == ["u3"]
    assert "left out u1" in again.stderr and "left out u2" in again.stderr
    listed = json.loads(daemon.chatctl("invite", "list", "--json").stdout)["invites"]
    assert {one["user"]: one["rooms"] for one in listed}["u3"] == ["#lobby"]


def test_an_invite_as_a_qr_code(daemon: Daemon) -> None:
    done = daemon.chatctl("invite", "create", "qara", "--qr")
    line, *code = done.stdout.splitlines()
    assert line.startswith("chat join ")
    assert code == qr_lines(line)
    assert "\x1b" not in done.stdout
    assert daemon.chatctl("invite", "create", "qbert", "--qr", "--json", check=False).returncode == 2


def test_a_plain_user_sees_no_invites(daemon: Daemon) -> None:
    invite(daemon, "gina")
    bob = ("chatctl", "--identity", str(daemon.identity("bob")))
    for arguments in (("list",), ("create", "hal"), ("cancel", "gina")):
        done = daemon.run(*bob, "invite", *arguments, check=False)
        assert done.returncode == 4
        assert "gina" not in done.stdout


def test_every_failure_says_what_to_do_and_leaves_nothing(daemon: Daemon, tmp_path: Path) -> None:
    code = invite(daemon, "ivy")
    assert join(daemon, code, tmp_path / "ivy.pem").returncode == 0
    (tmp_path / "ivy.pem").unlink()
    parsed = parse_code(code)
    unknown = str(parsed._replace(secret=b"?" * 16))
    stranger = str(parsed._replace(authority=b"?" * 16))
    nowhere = str(parsed._replace(server=f"127.0.0.1:{free_port()}"))
    wrong = code[:-1] + ("A" if code[-1] != "A" else "B")
    for text, exit_code, words in (
        (code, 4, "was used (E213)"),
        (unknown, 4, "does not know this invite (E211)"),
        (stranger, 4, "is not the server of this invite"),
        (wrong, 4, "is mistyped (E215)"),
        (code[:-3], 4, "characters instead of 58"),
        (nowhere, 5, "cannot connect to"),
    ):
        done = join(daemon, text, tmp_path / "ivy.pem")
        assert (done.returncode, words in done.stderr) == (exit_code, True), done.stderr
        assert done.stderr.splitlines()[-1].startswith("error: ")
        assert list(tmp_path.iterdir()) == [], text
    assert devices_of(daemon, "ivy") == ["laptop"]


def test_admins_bring_another_device_and_nobody_elses(daemon: Daemon, tmp_path: Path) -> None:
    done = join(daemon, invite(daemon, "alice", "--device", "phone"), tmp_path / "a.pem")
    assert "you are alice/phone (admin)" in done.stderr
    refused = daemon.chatctl("invite", "create", "bob", check=False)
    assert "only the user and the operator add devices" in refused.stderr


def test_without_the_cas_key_nothing_is_issued(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        key, away = daemon.home / "certs" / "ca.key", tmp_path / "ca.key"
        key.rename(away)
        daemon.chatd("reload")
        code = invite(daemon, "kim")
        done = join(daemon, code, tmp_path / "kim.pem")
        assert "the CA's key is not on the server (E216)" in done.stderr
        away.rename(key)
        daemon.chatd("reload")
        wait_until(lambda: join(daemon, code, tmp_path / "kim.pem").returncode == 0, what="the key's return")
        assert daemon.child("enrol")["restarts"] == 0


def test_switched_off_nobody_enrols(tmp_path: Path) -> None:
    with running(tmp_path / "home", CHATD_SERVER__ENROL="false") as daemon:
        assert daemon.child("enrol") == {}
        code = invite(daemon, "kim")
        done = join(daemon, code, tmp_path / "kim.pem")
        assert done.returncode == 4
        assert "redeems no invites (E216)" in done.stderr


def test_the_secret_is_in_no_file_of_the_server(daemon: Daemon, tmp_path: Path) -> None:
    code = invite(daemon, "lea")
    secret = parse_code(code).secret
    assert join(daemon, code, tmp_path / "lea.pem").returncode == 0
    text = code.partition("/")[2].encode()
    for path in daemon.home.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert secret not in content and secret.hex().encode() not in content, path
            assert text not in content, path
    key = (tmp_path / "lea.pem").read_text().split("-----")[2].replace("\n", "").encode()
    assert not any(key in path.read_bytes() for path in daemon.home.rglob("*.pem"))
