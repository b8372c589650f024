"""A message that must be sent again is never overtaken by a later one of its sender."""

from __future__ import annotations

from pathlib import Path

from chatctl.client import Client
from chatd.pki.identity import read_identity
from tests.crash.test_full_disk import HubRun
from tests.support.daemon import running, wait_until
from tests.support.vfs import Disk, mounted

MESSAGES = 30


def test_a_message_under_which_two_hubs_died_is_accepted_before_those_behind_it(tmp_path: Path) -> None:
    fired = tmp_path / "fired"
    fired.mkdir()
    with running(tmp_path / "home") as daemon:
        bob = read_identity(daemon.add_user("bob"))
        daemon.stop()
        # The first hub dies under the first message. The others wait for the second hub, which dies under
        # the first message again; a third one would accept those behind it.
        crashes = "hub.request.applied,hub.commit.before"
        daemon.environ |= {"CHATD_CRASH_AT": crashes, "CHATD_CRASH_ONCE": str(fired)}
        daemon.start()
        with Client(bob, state=tmp_path / "bob") as client:
            sent = [client.send("#lobby", f"number {number}") for number in range(MESSAGES)]
            seqs = [message.wait(60).seq for message in sent]
        assert sorted(path.name for path in fired.iterdir()) == sorted(crashes.split(","))
        assert seqs == sorted(seqs)


def test_a_message_refused_on_a_full_disk_is_not_overtaken_when_there_is_space(tmp_path: Path) -> None:
    with mounted(Disk()) as vfs:
        run = HubRun(tmp_path, vfs, has_space=True)
        run.ask(0, "user_add", user="alice", device="laptop", serial="a1")
        run.ask(0, "user_add", user="bob", device="laptop", serial="b1")
        run.close()
        run = HubRun(tmp_path, vfs, has_space=False)
        run.log_in()
        run.hub.take(run.worker.link, [(["open", 2, "bob", "laptop", "b1", "127.0.0.1", False], b"")])
        run.settle()
        assert run.say(1)["code"] == "E504"
        run.has_space = True
        wait_until(run.is_writable, what="the hub to write again")
        assert [session.sid for session in run.hub.sessions] == [2], "the wrong sessions were ended"
        head = run.hub.state.head
        second = b'{"type": "send", "id": 2, "msg_id": "%032x", "to": "#lobby", "body": "two"}' % 2
        run.hub.take(run.worker.link, [(["request", 1], second)])
        assert run.hub.state.head == head, "a later message overtook the refused one"
        run.close()
