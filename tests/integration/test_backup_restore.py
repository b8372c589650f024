"""A server restored from a backup that was made while people talked: nobody notices more than a pause."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from chatctl.client import AnyEvent, CaughtUp, Client, Restored
from chatd.errors import ChatdError
from chatd.pki.identity import read_identity
from chatd.proto.events import Message
from chatd.proto.frames import JsonObject
from tests.support.daemon import Daemon, running, wait_until
from tests.support.steady_talkers import Talker

WAIT = 30.0
WORDS = "correct horse battery staple\n"


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Daemon]:
    """The server that is going to be replaced; bob and mallory have identities."""
    with running(tmp_path / "old") as daemon:
        daemon.add_user("bob")
        daemon.add_user("mallory")
        yield daemon


@pytest.fixture
def new(tmp_path: Path, old: Daemon) -> Iterator[Daemon]:
    """The box that takes its place, at the same address; nothing is on it yet."""
    daemon = Daemon(tmp_path / "new")
    (tmp_path / "new").mkdir()
    daemon.port = old.port
    yield daemon
    daemon.stop()


def back_up(daemon: Daemon) -> Path:
    file = daemon.home.parent / "backup"
    daemon.chatd("backup", "create", str(file), "--with-identities", "--passphrase-file", "-", input=WORDS)
    return file


def replace(old: Daemon, new: Daemon, file: Path) -> None:
    """End the old server and start the restored one."""
    old.stop()
    new.chatd("restore", str(file), "--passphrase-file", "-", input=WORDS)
    new.start()


def say(daemon: Daemon, *texts: str) -> None:
    """Alice says something in #lobby."""
    with Client(read_identity(daemon.identity("alice", "console")), live=False) as client:
        for text in texts:
            client.send("#lobby", text).wait(WAIT)


def heard(client: Client) -> list[str]:
    """Messages up to the point where the client has caught up."""
    found: list[str] = []
    while not isinstance(event := client.next_event(WAIT), CaughtUp):
        assert event is not None, f"only {found} came"
        if isinstance(event, Message):
            found.append(event.body)
    return found


def events_until_caught_up(client: Client) -> list[AnyEvent]:
    found: list[AnyEvent] = []
    while not isinstance(event := client.next_event(WAIT), CaughtUp):
        assert event is not None, f"only {found} came"
        found.append(event)
    return found


def more(client: Client, events: list[AnyEvent], count: int) -> bool:
    """Take one more event; whether there are ``count`` messages now."""
    if (event := client.next_event(0.1)) is not None:
        events.append(event)
    return sum(isinstance(event, Message) for event in events) >= count


def history(daemon: Daemon) -> list[JsonObject]:
    with Client(read_identity(daemon.identity("alice", "console")), live=False) as client:
        events: list[JsonObject] = client.request("history", room="#lobby", limit=500)["events"]
        return events


def next_message(client: Client) -> str:
    while not isinstance(event := client.next_event(WAIT), Message):
        assert event is not None
    return event.body


def test_clients_go_on_where_they_were(old: Daemon, new: Daemon, tmp_path: Path) -> None:
    bob = read_identity(old.identity("bob"))
    with Client(bob, state=tmp_path / "bob") as client:
        heard(client)
        say(old, "one", "two")
        assert [next_message(client), next_message(client)] == ["one", "two"]
        client.send("#lobby", "mine").wait(WAIT)
        assert next_message(client) == "mine"
    say(old, "while bob is away")
    old.chatctl("ban", "mallory", "--reason", "spam", "--yes")
    file = back_up(old)
    replace(old, new, file)
    say(new, "on the new box")
    with Client(bob, state=tmp_path / "bob") as client:
        assert heard(client) == ["while bob is away", "on the new box"]
        client.send("#lobby", "still here").wait(WAIT)
        assert next_message(client) == "still here"
    mallory = read_identity(new.identity("mallory"))
    with Client(mallory, reconnect=False) as client, pytest.raises(ChatdError) as refused:
        client.wait_connected(WAIT)
    assert refused.value.code == "E207"
    history = new.run("chat", "--identity", str(new.identity("bob")), "history", "--json", "#lobby").stdout
    assert all(text in history for text in ("one", "two", "mine"))
    found = new.run("chat", "--identity", str(new.identity("bob")), "search", "away")
    assert "while bob is away" in found.stdout
    assert new.chatd("verify").stdout.startswith("ok")


def test_a_client_that_has_seen_more_than_the_backup_has(old: Daemon, new: Daemon, tmp_path: Path) -> None:
    """It stays connected all the time: comes back by itself, and misses nothing that is said from then on."""
    say(old, "in the backup")
    file = back_up(old)
    with Client(read_identity(old.identity("bob")), state=tmp_path / "bob") as client:
        heard(client)
        say(old, *(f"lost with the old box {n}" for n in range(5)))
        assert [next_message(client) for _ in range(5)][-1] == "lost with the old box 4"
        replace(old, new, file)
        assert heard(client) == []
        say(new, "first", "second")
        assert [next_message(client), next_message(client)] == ["first", "second"]
    with Client(read_identity(new.identity("bob")), state=tmp_path / "bob") as client:
        assert heard(client) == []


def test_a_client_that_comes_back_when_the_restored_log_is_longer_than_its_cursor(
    old: Daemon, new: Daemon, tmp_path: Path
) -> None:
    """What the new server has under the numbers that the client had seen of the old one is shown."""
    bob = read_identity(old.identity("bob"))
    say(old, "in the backup")
    file = back_up(old)
    with Client(bob, state=tmp_path / "bob") as client:
        heard(client)
        say(old, *(f"lost with the old box {n}" for n in range(5)))
        assert [next_message(client) for _ in range(5)][-1] == "lost with the old box 4"
        wait_until(lambda: client.next_event(0.1) is None, what="the last event")
    old.stop()
    # Delivered while there is no server at all: what was not acknowledged is not lost with the old box.
    with Client(bob, state=tmp_path / "bob") as client:
        unsent = client.send("#lobby", "typed in between")
    new.chatd("restore", str(file), "--passphrase-file", "-", input=WORDS)
    new.start()
    after = [f"on the new box {n}" for n in range(10)]
    say(new, *after)
    for told, expected in ((True, [*after, "typed in between"]), (False, [])):
        with Client(bob, state=tmp_path / "bob") as client:
            events = events_until_caught_up(client)
            wait_until(partial(more, client, events, len(expected)), what="every message")
            client.close(drain=WAIT)
            assert [e.body for e in events if isinstance(e, Message)] == expected
            assert any(isinstance(event, Restored) for event in events) is told
    said = [(e["msg_id"], e["body"]) for e in history(new) if e["type"] == "message"]
    assert said.count((unsent.msg_id, "typed in between")) == 1


def test_a_client_stays_connected_through_a_restore_and_further_than_its_cursor(
    old: Daemon, new: Daemon, tmp_path: Path
) -> None:
    """The same without a file: a session that lives through it all knows what it has seen."""
    file = back_up(old)
    with Client(read_identity(old.identity("bob"))) as client:
        heard(client)
        say(old, "lost one", "lost two")
        assert [next_message(client), next_message(client)] == ["lost one", "lost two"]
        old.stop()
        new.chatd("restore", str(file), "--passphrase-file", "-", input=WORDS)
        # Before bob's client can be there.
        new.start()
        say(new, "first", "second", "third")
        found: list[str] = []
        while len(found) < 3:
            found.append(next_message(client))
        assert found == ["first", "second", "third"]


def test_people_talk_while_it_is_made(old: Daemon, new: Daemon) -> None:
    """What was acknowledged before the backup was begun is in it, each message once and in order."""
    talkers = [Talker(old.identity("bob")), Talker(old.identity("alice", "console"))]
    try:
        for talker in talkers:
            talker.start()
        wait_until(lambda: all(len(t.acknowledged) >= 20 for t in talkers), what="messages")
        before = [list(talker.acknowledged) for talker in talkers]
        file = back_up(old)
        after = [len(talker.acknowledged) for talker in talkers]
        wait_until(
            lambda: all(len(t.acknowledged) > n for t, n in zip(talkers, after, strict=True)), what="more"
        )
        for talker in talkers:
            talker.finish()
            assert not talker.refused
    finally:
        for talker in talkers:
            talker.close()
    old.stop()
    told = new.chatd("restore", str(file), "--json", "--passphrase-file", "-", input=WORDS).stdout
    head = json.loads(told)["head"]
    new.start()
    logged: list[tuple[int, str]] = []
    with Client(read_identity(new.identity("bob")), live=False) as client:
        while not logged or logged[-1][0] < head:
            last = logged[-1][0] if logged else 0
            page = client.request("history", room="#lobby", after=last, limit=200)["events"]
            if not page:
                break
            logged += [(event["seq"], event.get("body", "")) for event in page]
    messages = [said for said in logged if "-" in said[1]]
    for talker, acknowledged in zip(talkers, before, strict=True):
        assert {tuple(said) for said in acknowledged} <= set(messages)
        own = [body for _, body in messages if body.startswith(f"{talker.user}-")]
        assert own == [f"{talker.user}-{n}" for n in range(len(own))]
