"""New devices are told to the rooms with the words of their keys, once; both people see the same words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chatctl.client import Client
from chatctl.model.render import describe_presence, plain
from chatctl.model.verifying import verification
from chatd.pki.identity import Identity, read_identity
from chatd.proto.events import Presence
from chatd.proto.frames import JsonObject
from chatd.proto.key_words import words_of_key
from tests.support.daemon import Daemon, running, wait_until
from tests.support.joining import invite, join


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(tmp_path_factory.mktemp("roster") / "home") as daemon:
        yield daemon


@pytest.fixture
def alice(daemon: Daemon) -> Iterator[Client]:
    with Client(read_identity(daemon.identity("alice", "console"))) as client:
        client.wait_connected(30)
        yield client


def news(client: Client, user: str) -> list[Presence]:
    """Take what the client was told of a user's new devices."""
    found = []
    while (event := client.next_event(0.2)) is not None:
        if isinstance(event, Presence) and event.user == user and event.cause == "new device":
            found.append(event)
    return found


def log_in(path: Path) -> Identity:
    identity = read_identity(path)
    with Client(identity) as client:
        client.wait_connected(30)
    return identity


def words(identity: Identity, mine: JsonObject, theirs: JsonObject) -> str:
    lines = verification(identity.key_hash, identity.ca_hash, mine, theirs)
    return "\n".join(plain([line]) for line in lines)


def test_a_new_device_is_told_once_with_its_words(daemon: Daemon, alice: Client, tmp_path: Path) -> None:
    path = tmp_path / "carol.pem"
    assert (
        join(daemon, invite(daemon, "carol", "--rooms", "lobby"), path, "--device", "phone").returncode == 0
    )
    identity = log_in(path)
    (event,) = wait_until(lambda: news(alice, "carol"), what="the news of carol's phone")
    assert (event.device, event.key, event.by, event.room) == ("phone", identity.key_hash, "alice", "#lobby")
    assert words_of_key(identity.key_hash) in describe_presence(event, "alice")
    log_in(path)
    assert news(alice, "carol") == []
    seen = [one for one in daemon.log_lines("audit.log") if one["event"] == "device_seen"]
    assert [one["key"] for one in seen if one["user"] == "carol"] == [identity.key_hash]


def test_a_device_added_on_the_box_is_told_with_a_guests_sponsor(daemon: Daemon, alice: Client) -> None:
    daemon.chatd("user", "add", "gil", "--device", "pad", "--ends", "2d", "--sponsor", "alice")
    log_in(daemon.identity("gil", "pad"))
    (event,) = wait_until(lambda: news(alice, "gil"), what="the news of gil's pad")
    assert event.sponsor == "alice"


def test_strangers_learn_nothing_of_a_new_device(daemon: Daemon) -> None:
    admin = ("--identity", str(daemon.identity("alice", "console")))
    for user in ("dora", "ed"):
        daemon.add_user(user)
        log_in(daemon.identity(user))
    for room, user in (("left", "dora"), ("right", "ed")):
        daemon.run("chatctl", *admin, "room", "create", room)
        daemon.run("chat", "--identity", str(daemon.identity(user)), "send", "lobby", "here")
    with Client(read_identity(daemon.identity("dora"))) as dora:
        dora.wait_connected(30)
        dora.request("part", room="#lobby")
        dora.request("join", room="#left")
        daemon.chatd("user", "add", "ed", "--device", "second")
        log_in(daemon.identity("ed", "second"))
        assert news(dora, "ed") == []


def test_both_people_see_the_same_words(daemon: Daemon, alice: Client) -> None:
    daemon.add_user("bob")
    bobs = read_identity(daemon.identity("bob"))
    with Client(bobs) as bob:
        bob.wait_connected(30)
        told = [
            words(one.identity, one.request("whois", user=me), one.request("whois", user=other))
            for one, me, other in ((alice, "alice", "bob"), (bob, "bob", "alice"))
        ]
    pairs = {next(line for line in text.splitlines() if line.startswith("  words")) for text in told}
    assert len(pairs) == 1, told
    assert words_of_key(bobs.key_hash) in told[0]
