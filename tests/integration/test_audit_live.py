"""Acts on a real server: their lines in audit.log, and `chatctl audit`."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chatd.child.peers import login_name
from chatd.cli.audit_lines import note_act
from chatd.supervisor.pid_lock import PidLock
from tests.support.daemon import Daemon, wait_until


@pytest.fixture(scope="module")
def daemon(shared_daemon: Daemon) -> Daemon:
    shared_daemon.add_user("bob")
    return shared_daemon


def listed(daemon: Daemon, *options: str) -> list[dict[str, Any]]:
    """The acts that `chatctl audit --json` prints."""
    return [json.loads(line) for line in daemon.chatctl("audit", "--json", *options).stdout.splitlines()]


def test_acts_are_listed_with_author_target_and_reason(daemon: Daemon) -> None:
    daemon.chatctl("mute", "bob", "--reason", "spam")
    daemon.chatctl("unmute", "bob", "--reason", "sorry")
    daemon.chatctl("role", "set", "bob", "guest", "--reason", "too loud")
    daemon.chatctl("announce", "a secret")
    acts = listed(daemon, "--actor", "alice")[-4:]
    assert [(act["type"], act.get("user"), act.get("reason")) for act in acts] == [
        ("muted", "bob", "spam"),
        ("unmuted", "bob", "sorry"),
        ("role_set", "bob", "too loud"),
        ("announcement", None, None),
    ]
    assert "secret" not in str(acts)
    table = daemon.chatctl("audit", "--since", "2h", "--target", "bob", "--limit", "2")
    heading, first, second = table.stdout.splitlines()
    assert heading.split() == ["at", "by", "event", "target", "details"]
    assert first.endswith("sorry") and second.endswith("role guest: too loud")
    assert "  role set  " in second
    assert "role set" in daemon.chatctl("audit", "--type", "role set").stdout
    assert "there are more" in table.stderr
    assert not listed(daemon, "--until", "2020-01-01")


def test_others_and_wrong_options_are_refused(daemon: Daemon) -> None:
    refused = daemon.run("chatctl", "--identity", str(daemon.identity("bob")), "audit", check=False)
    assert refused.returncode == 4 and "audit.read" in refused.stderr
    unknown = daemon.chatctl("audit", "--type", "nonsense", check=False)
    assert unknown.returncode == 1 and "role_set" in unknown.stderr


def lines(daemon: Daemon, event: str) -> list[dict[str, Any]]:
    return [line for line in daemon.log_lines("audit.log") if line["event"] == event]


def by_me(line: dict[str, Any]) -> bool:
    return (line["by"], line["by_uid"]) == ("server", os.getuid()) and bool(line["by_login"])


@pytest.fixture
def own_daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that the test may stop; not started yet."""
    daemon = Daemon(tmp_path / "home")
    daemon.init()
    (tmp_path / "secret").write_text("correct horse battery\n")
    yield daemon
    daemon.stop()


# Act -> (arguments of chatd; FILE is new), fields of its line.
BOX_ACTS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "backed_up": (("backup", "create", "FILE", "--passphrase-file", "SECRET"), {"identities": False}),
    "exported": (("export", "--output", "FILE", "--room", "lobby"), {"room": "#lobby"}),
    "certificates_renewed": (("cert", "renew"), {}),
    "user_added": (("user", "add", "dave"), {"user": "dave"}),
}


def test_a_new_record_key_leaves_a_line_of_its_own(own_daemon: Daemon) -> None:
    own_daemon.chatd("cert", "renew", "--record-key")
    first, second = lines(own_daemon, "certificates_renewed")
    assert "record_key" not in first
    assert second["record_key"] in own_daemon.chatd("cert", "show").stdout


@pytest.mark.parametrize("running", [True, False])
def test_each_act_on_the_box_leaves_one_line_with_uid_and_login(own_daemon: Daemon, running: bool) -> None:
    if running:
        own_daemon.start()
    for act, (arguments, fields) in BOX_ACTS.items():
        folder = own_daemon.home.parent
        places = {"FILE": str(folder / act), "SECRET": str(folder / "secret")}
        before = len(lines(own_daemon, act))
        done = own_daemon.chatd(*(places.get(word, word) for word in arguments))
        assert "audit.log" not in done.stderr
        (line,) = wait_until(partial(_new_lines, own_daemon, act, before), what=act)
        assert line.items() >= fields.items()
        assert by_me(line)
    if not running:
        own_daemon.start()
        return
    listed_acts = {act["type"]: act for act in listed(own_daemon, "--actor", login_name(os.getuid()))}
    assert set(BOX_ACTS) <= set(listed_acts)
    assert "file" not in listed_acts["exported"] and listed_acts["exported"]["by_uid"] == os.getuid()


def _new_lines(daemon: Daemon, act: str, before: int) -> list[dict[str, Any]]:
    return lines(daemon, act)[before:]


def test_lifecycle_commands_leave_lines(own_daemon: Daemon) -> None:
    own_daemon.start()
    own_daemon.write_settings(lambda tree: tree.setdefault("limits", {}).update(message_chars=77))
    own_daemon.chatd("reload")
    own_daemon.chatd("restart", "--rolling")
    (change,) = wait_until(lambda: listed(own_daemon, "--type", "settings_changed")[1:], what="the event")
    assert {"setting": "limits.message_chars", "before": 500, "after": 77} in change["changes"]
    assert change["cause"] == "reload" and by_me(change)
    own_daemon.chatd("stop")
    for event in ("started", "reloaded", "restart", "stopping"):
        (line,) = lines(own_daemon, event)
        assert by_me(line), event


def test_lines_of_commands_and_rotation_lose_nothing(own_daemon: Daemon) -> None:
    own_daemon.write_settings(lambda tree: tree.update(logging={"max_bytes": 10_000, "backups": 100}))
    for start in (False, True):
        if start:
            own_daemon.start()
        for number in range(40):
            note_act(own_daemon.home, "certificates_renewed", number=number, padding="x" * 900)
    files = sorted((own_daemon.home / "logs").glob("audit.log*"))
    assert len(files) > 4
    found = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    numbers = [line["number"] for line in found if line["event"] == "certificates_renewed"]
    assert sorted(numbers) == sorted([*range(40), *range(40)])
    assert all(file.stat().st_size <= 10_000 for file in files)


def test_a_supervisor_that_starts_waits_for_a_line(own_daemon: Daemon) -> None:
    lock = PidLock(own_daemon.home / "run")
    own_daemon_start = threading.Thread(target=own_daemon.start)
    own_daemon_start.start()
    threading.Timer(0.3, lock.release).start()
    own_daemon_start.join()
    assert own_daemon.status()["state"] == "running"
