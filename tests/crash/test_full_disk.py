"""A full disk: no write is acknowledged, reads continue, and writes resume once there is space."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatctl.client import Client, Message, Sent
from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.hub.hub import Hub
from chatd.hub.query_threads import QueryThreads
from chatd.hub.recovery import recover
from chatd.hub.state.context import OPERATOR
from chatd.hub.state.names import SortedNames
from chatd.pki.identity import Identity, read_identity
from chatd.proto.frames import JsonObject
from chatd.store.event_log import EventLog
from chatd.store.reserve import (
    MODERATION_BYTES,
    MODERATION_NAME,
    MODERATION_STEP,
    RESERVE_BYTES,
    RESERVE_NAME,
    release_reserve,
    spend_reserve,
    take_reserve,
)
from chatd.store.verifier import verify
from tests.crash.test_store_power import _disk_error
from tests.support.daemon import Daemon, running, wait_until
from tests.support.hub_harness import WorkerEnd
from tests.support.storelog import NOW
from tests.support.vfs import Disk, mounted

DISK_BYTES = 64 * 1024 * 1024
# Attempts to fill the disk: freed pages leave space again.
FILLS_LIMIT = 10


class HubRun:
    """One run of a hub on ``data``; ``has_space`` tells it whether the disk has space."""

    def __init__(
        self, data: Path, vfs: str, *, has_space: bool, settings: Settings | None = None, steps: int = 0
    ) -> None:
        self.has_space = has_space
        self.steps = steps
        self.worker = WorkerEnd()
        self.operator = WorkerEnd()
        self.operator.link.operator = OPERATOR
        self.log = EventLog.open(data, now=NOW, vfs=vfs)
        self._reader = QueryThreads(data)
        self.hub = Hub(
            self.log,
            recover(self.log),
            settings or Settings(),
            self._reader,
            lambda: NOW,
            lambda: self.has_space,
            self.spend,
        )
        self.hub.links |= {end.link.number: end.link for end in (self.worker, self.operator)}
        self.settle()

    def spend(self) -> bool:
        """Use one of the ``steps`` of moderation's reserve."""
        self.steps -= 1
        return self.steps >= 0

    def settle(self) -> None:
        self.hub.before_commit()
        self.hub.recorder.commit()
        self.worker.receive()
        self.operator.receive()

    def ask(self, sid: int, kind: str, /, **fields: Any) -> JsonObject:
        """Return the reply; replies to reads come from another thread. ``sid`` 0 is the operator."""
        end = self.worker if sid else self.operator
        end.reply = None
        frame = json.dumps({"type": kind, "id": 1} | fields).encode()
        self.hub.take(end.link, [(["request", sid], frame)])

        def answered() -> JsonObject | None:
            self.settle()
            self._reader.deliver()
            return end.reply

        reply: JsonObject = wait_until(answered, what=kind)
        return reply

    def log_in(self) -> None:
        self.hub.take(self.worker.link, [(["open", 1, "alice", "laptop", "a1", "127.0.0.1", False], b"")])
        self.settle()
        assert 1 in self.worker.sessions

    def admits(self) -> bool:
        self.hub.take(self.worker.link, [(["open", 1, "alice", "laptop", "a1", "127.0.0.1", False], b"")])
        self.settle()
        return 1 in self.worker.sessions

    def is_writable(self) -> bool:
        self.settle()
        return self.hub.writable

    def say(self, number: int) -> JsonObject:
        return self.ask(1, "send", msg_id=f"{number:032x}", to="#lobby", body=f"number {number}")

    def close(self) -> None:
        self._reader.close()
        self.log.close()
        self.worker.close()
        self.operator.close()


def test_the_hub_ends_at_the_first_write_and_the_next_one_serves_reads(tmp_path: Path) -> None:
    full = False

    def before(_: int) -> None:
        if full:
            raise _disk_error(errno.ENOSPC)

    with mounted(Disk(before)) as vfs:
        first = HubRun(tmp_path, vfs, has_space=True)
        first.ask(0, "user_add", user="alice", device="laptop", serial="a1")
        first.log_in()
        acknowledged = first.say(1)
        full = True
        with pytest.raises(ChatdError, match="E504"):
            first.say(2)
        assert first.worker.reply is None, "a message was acknowledged that is not on the disk"
        first.close()
        full = False  # the reserve is released; only a new hub uses that space
        second = HubRun(tmp_path, vfs, has_space=False)
        second.log_in()
        head = second.log.head
        assert [e.get("body") for e in second.ask(1, "history", room="#lobby")["result"]["events"]][-1:] == [
            "number 1"
        ]
        assert second.ask(1, "search", query="number")["result"]["events"]
        assert second.ask(1, "who", room="#lobby")["result"]["members"]
        assert second.ask(0, "stats")["result"]["writable"] is False
        # Only messages already in the log are acknowledged.
        assert second.say(1)["result"] == acknowledged["result"]
        assert second.say(2)["code"] == "E504"
        assert second.ask(0, "ban", user="alice", dry_run=True)["type"] == "ok"
        assert second.ask(0, "user_add", user="bob", device="x", serial="b2")["code"] == "E504"
        assert second.log.head == head
        second.has_space = True
        wait_until(second.is_writable, what="the hub to write again")
        second.log_in()  # the session was ended, so that later messages do not overtake the refused one
        assert second.say(2)["result"]["seq"] == second.log.head
        assert second.ask(0, "ban", user="alice")["type"] == "ok"
        second.close()
    assert verify(tmp_path, full=True).ok


def test_moderation_is_recorded_on_a_full_disk_while_its_reserve_lasts(tmp_path: Path) -> None:
    with mounted(Disk()) as vfs:
        first = HubRun(tmp_path, vfs, has_space=True)
        first.ask(0, "user_add", user="alice", device="laptop", serial="a1")
        first.ask(0, "user_add", user="bob", device="laptop", serial="b1")
        first.log_in()
        message = first.say(1)["result"]["seq"]
        first.close()
        run = HubRun(tmp_path, vfs, has_space=False, steps=4)
        run.log_in()
        assert run.ask(0, "mute", user="alice")["type"] == "ok"
        assert run.ask(0, "redact", room="#lobby", seq=message)["type"] == "ok"
        assert run.ask(0, "role_set", user="bob", role="guest")["type"] == "ok"
        assert run.ask(0, "ban", user="nobody")["code"] == "E405"
        assert run.ask(0, "ban", user="bob", dry_run=True)["type"] == "ok"
        assert run.ask(0, "ban", user="bob")["type"] == "ok"
        assert run.say(2)["code"] == "E302"
        # Nothing of the reserve is left.
        head = run.log.head
        assert run.ask(0, "unban", user="bob")["code"] == "E504"
        reply = run.ask(0, "ban", user="alice", reason="spam")
        assert (reply["code"], "hub restarts" in reply["reason"]) == ("E504", True)
        assert (run.log.head, list(run.hub.state.bans)) == (head, ["bob"])
        assert not run.worker.sessions
        assert not run.admits()
        run.has_space = True
        wait_until(run.is_writable, what="the hub to write again")
        assert not run.admits()
        assert run.ask(0, "ban", user="alice", seconds=60)["type"] == "ok"
        assert run.ask(0, "unban", user="alice")["type"] == "ok"
        assert run.admits()
        run.close()
    assert verify(tmp_path, full=True).ok


def test_users_who_log_in_on_a_full_disk_join_rooms_once_there_is_space(tmp_path: Path) -> None:
    with mounted(Disk()) as vfs:
        run = HubRun(tmp_path, vfs, has_space=True)
        run.ask(0, "user_add", user="alice", device="laptop", serial="a1")
        run.close()
        rooms = [{"name": "#lobby", "autojoin": True}, {"name": "#new", "autojoin": True}]
        run = HubRun(tmp_path, vfs, has_space=False, settings=Settings.model_validate({"rooms": rooms}))
        run.log_in()
        assert run.hub.state.users["alice"].rooms == SortedNames({"#lobby"})
        run.has_space = True
        wait_until(run.is_writable, what="the hub to write again")
        run.settle()
        assert run.hub.state.users["alice"].rooms == SortedNames({"#lobby", "#new"})
        run.close()


def test_the_reserve_occupies_disk_blocks_until_it_is_released(tmp_path: Path) -> None:
    assert take_reserve(tmp_path)
    status = (tmp_path / RESERVE_NAME).stat()
    assert status.st_size == RESERVE_BYTES
    assert status.st_blocks * 512 >= RESERVE_BYTES
    assert status.st_mode & 0o777 == 0o600
    assert take_reserve(tmp_path)
    release_reserve(tmp_path)
    release_reserve(tmp_path)
    kept = tmp_path / MODERATION_NAME
    assert list(tmp_path.iterdir()) == [kept]
    sizes = []
    while spend_reserve(tmp_path):
        sizes.append(kept.stat().st_size)
    assert sizes == list(range(MODERATION_BYTES - MODERATION_STEP, -1, -MODERATION_STEP))
    assert take_reserve(tmp_path)
    assert kept.stat().st_size == MODERATION_BYTES <= kept.stat().st_blocks * 512
    kept.unlink()
    assert not spend_reserve(tmp_path)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_reserve_that_cannot_be_allocated_leaves_no_file(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    if number == errno.EIO:
        with pytest.raises(ChatdError, match="E504"):
            take_reserve(tmp_path)
    else:
        assert not take_reserve(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system; skips the test if mounting is not permitted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "chatd-test", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_server_on_a_full_disk_answers_reads_and_stores_pending_messages_later(
    small_disk: Path, tmp_path: Path
) -> None:
    with running(small_disk / "home") as daemon:
        bob = read_identity(daemon.add_user("bob"))
        banned = [read_identity(daemon.add_user(name)) for name in ("carol", "dave", "erin")]
        with Client(bob, state=tmp_path / "bob") as client:
            client.send("#lobby", "before").wait(30)
            stored, pending = _say_until_full(daemon, client, small_disk / "other")
            assert "disk is full" in daemon.chatd("status").stdout
            assert "E504" in daemon.chatd("check", check=False).stdout
            history = client.request("history", room="#lobby")["events"]
            assert [e["body"] for e in history if e["type"] == "message"] == ["before", *stored]
            assert client.request("who", room="#lobby")["members"]
            _fill(small_disk / "other")
            daemon.chatctl("ban", "carol", "--yes")
            _fill(small_disk / "other")
            daemon.chatctl("ban", "dave", "--yes")
            (small_disk / "home" / "data" / MODERATION_NAME).unlink()
            _fill(small_disk / "other")
            refused = daemon.chatctl("ban", "erin", "--yes", check=False)
            assert refused.returncode
            assert "until the hub restarts" in refused.stderr
            assert [_refusal(identity) for identity in banned] == ["E207"] * 3
            assert pending.state == "pending"
            (small_disk / "other").unlink()
            assert pending.wait(60).seq
            assert client.connected
            assert _next_bodies(client, len(stored) + 2) == ["before", *stored, pending.body]
        assert "DISK FULL" not in daemon.chatctl("stats").stdout
        assert "disk is full" not in _status_of_children(daemon)
        assert daemon.chatd("verify").stdout.startswith("ok")
        disk_events = [line["event"] for line in daemon.log_lines() if line["event"].startswith("disk_")]
        assert disk_events == ["disk_full", "disk_has_space"]
        worker = daemon.child("worker-1")
        assert worker["restarts"] == 0


def _refusal(identity: Identity) -> str:
    with Client(identity) as client, pytest.raises(ChatdError) as caught:
        client.wait_connected(30)
    return caught.value.code


def test_reads_and_logins_go_on_when_something_else_takes_the_reserve(
    small_disk: Path, tmp_path: Path
) -> None:
    logs = tmp_path / "logs"  # on another disk: a log file on the full one drops lines
    with running(small_disk / "home", CHATD_LOGGING__DIRECTORY=str(logs)) as daemon:
        bob = read_identity(daemon.add_user("bob"))
        data, other = small_disk / "home" / "data", small_disk / "other"
        with Client(bob, state=tmp_path / "bob") as client:
            client.send("#lobby", "before").wait(30)
            _, pending = _say_until_full(daemon, client, other)
            (data / MODERATION_NAME).unlink()
            _fill(other)
            before = daemon.child("hub")
            os.kill(before["pid"], signal.SIGKILL)
            _fill(other)
            wait_until(lambda: _is_another(daemon.child("hub"), before["pid"]), what="the next hub")
            _fill(other)
            assert "disk is full" in daemon.chatd("status").stdout
            assert client.request("history", room="#lobby")["events"]
            with Client(bob) as second:
                assert second.wait_connected(30).user == "bob"
            assert daemon.child("hub")["restarts"] == before["restarts"] + 1
            lines = [json.loads(line) for line in (logs / "server.log").read_text().splitlines()]
            assert any(line["event"] == "log_read_only" for line in lines)
            assert pending.state == "pending"
            other.unlink()
            assert pending.wait(60).seq
        assert daemon.chatd("verify").stdout.startswith("ok")


def _is_another(hub: dict[str, Any], pid: int) -> bool:
    return bool(hub) and hub["state"] == "running" and hub["pid"] != pid


def _say_until_full(daemon: Daemon, client: Client, path: Path) -> tuple[list[str], Sent]:
    """Fill the disk with ``path``; return the bodies stored since, and the message that did not fit.

    Several attempts may be needed: after indexing, the search index deletes its journal, and the pages it
    frees hold another message.
    """

    def is_stored_or_disk_full() -> bool:
        return sent.state != "pending" or "DISK FULL" in daemon.chatctl("stats", check=False).stdout

    stored: list[str] = []
    while len(stored) < FILLS_LIMIT:
        # Do not fill the space that the hub releases for its successor.
        _fill(path)
        sent = client.send("#lobby", f"on a full disk, after {len(stored)} others")
        wait_until(is_stored_or_disk_full, what="the stats")
        if sent.state == "pending":
            return stored, sent
        stored.append(sent.body)
    raise AssertionError(f"the disk does not stay full: {stored}")


def _fill(path: Path) -> None:
    """Use up all remaining space."""
    with path.open("ab", buffering=0) as file:
        for size in (1024 * 1024, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError as error:
                assert error.errno == errno.ENOSPC


def _next_bodies(client: Client, count: int) -> list[str]:
    bodies: list[str] = []
    while len(bodies) < count:
        event = client.next_event(30)
        assert event is not None, bodies
        if isinstance(event, Message):
            bodies.append(event.body)
    return bodies


def _status_of_children(daemon: Daemon) -> str:
    lines = daemon.chatd("status").stdout.splitlines()
    return "\n".join(line for line in lines if "nothing is written" in line)
