"""The hub is killed while messages are held and approved: each is held once and published once."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from chatctl.client import Client
from chatd.errors import ChatdError
from chatd.pki.identity import read_identity
from tests.support.daemon import running, wait_until
from tests.support.under_attack import update_section

WAIT = 60.0
TEXTS = [f"merger {number}" for number in range(12)]
# The hub is killed after every so many steps.
STEPS = 5
RULE = {"words": ["merger"], "action": "hold", "roles": ["user"]}


def waiting(alice: Client) -> dict[int, str]:
    return {one["seq"]: one["body"] for one in alice.request("held_list")["held"]}


def approve(alice: Client, seq: int) -> bool:
    """Approve a message, if it still waits; whether it is decided now. The hub may die meanwhile."""
    try:
        if seq in waiting(alice):
            alice.request("held_approve", seq=seq)
        return seq not in waiting(alice)
    except ChatdError as error:
        assert error.code in ("E502", "E503", "E410"), error
        return False


def test_each_held_message_is_held_once_and_published_once(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        daemon.write_settings(lambda tree: update_section(tree, "filter", rules=[RULE]))
        daemon.chatd("reload")
        bob_path, alice_path = daemon.add_user("bob"), daemon.identity("alice", "console")
        with Client(read_identity(bob_path)) as bob, Client(read_identity(alice_path)) as alice:
            bob.wait_connected(WAIT)
            alice.wait_connected(WAIT)
            sent = []
            for number, text in enumerate(TEXTS):
                sent.append(bob.send("#lobby", text))
                if number % STEPS == 2:
                    daemon.kill_child("hub")
            results = [one.wait(WAIT) for one in sent]
            assert all(one.held for one in results)
            seqs = [one.seq for one in results]
            assert waiting(alice) == dict(zip(seqs, TEXTS, strict=True))
            for number, seq in enumerate(seqs):
                if number % STEPS == 2:
                    daemon.kill_child("hub")
                wait_until(partial(approve, alice, seq), WAIT, f"the decision about {seq}")
            events = alice.request("history", room="#lobby")["events"]
            assert [one["body"] for one in events if one["type"] == "message"] == TEXTS
        assert daemon.chatd("verify").stdout.startswith("ok")
