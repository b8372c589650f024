"""Restoring a backup on a new server: clients reconnect, continue, and miss no new message."""

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

TIMEOUT = 30.0
PASSPHRASE = "correct horse battery staple\n"


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Daemon]:
    """The server to be replaced; bob and mallory have identities."""
    with running(tmp_path / "old") as daemon:
        daemon.add_user("bob")
        daemon.add_user("mallory")
        yield daemon


@pytest.fixture
def new(tmp_path: Path, old: Daemon) -> Iterator[Daemon]:
    """The replacement at the same address; its home is still empty."""
    daemon = Daemon(tmp_path / "new")
    (tmp_path / "new").mkdir()
    daemon.port = old.port
    yield daemon
    daemon.stop()


def back_up(daemon: Daemon) -> Path:
    file = daemon.home.parent / "backup"
    daemon.chatd(
        "backup", "create", str(file), "--with-identities", "--passphrase-file", "-", input=PASSPHRASE
    )
    return file


def replace(old: Daemon, new: Daemon, file: Path) -> None:
    """Stop the old server and start the restored one."""
    old.stop()
    new.chatd("restore", str(file), "--passphrase-file", "-", input=PASSPHRASE)
    new.start()


def send_as_alice(daemon: Daemon, *texts: str) -> None:
    """Send messages to #lobby as alice."""
    with Client(read_identity(daemon.identity("alice", "console")), live=False) as client:
        for text in texts:
            client.send("#lobby", text).wait(TIMEOUT)


def events_until_caught_up(client: Client) -> list[AnyEvent]:
    events: list[AnyEvent] = []
    while not isinstance(event := client.next_event(TIMEOUT), CaughtUp):
        assert event is not None, f"bodies_until_caught_up only {events}"
        events.append(event)
    return events


def bodies(events: list[AnyEvent]) -> list[str]:
    return [event.body for event in events if isinstance(event, Message)]


def bodies_until_caught_up(client: Client) -> list[str]:
    """Return the bodies bodies_until_caught_up until the client has caught up with the log."""
    return bodies(events_until_caught_up(client))


def has_messages(client: Client, events: list[AnyEvent], count: int) -> bool:
    """Receive one more event; return whether ``events`` now has ``count`` messages."""
    if (event := client.next_event(0.1)) is not None:
        events.append(event)
    return len(bodies(events)) >= count


def history(daemon: Daemon) -> list[JsonObject]:
    with Client(read_identity(daemon.identity("alice", "console")), live=False) as client:
        events: list[JsonObject] = client.request("history", room="#lobby", limit=500)["events"]
        return events


def next_message(client: Client) -> str:
    while not isinstance(event := client.next_event(TIMEOUT), Message):
        assert event is not None
    return event.body


def test_clients_continue_at_their_cursor(old: Daemon, new: Daemon, tmp_path: Path) -> None:
    bob = read_identity(old.identity("bob"))
    with Client(bob, state=tmp_path / "bob") as client:
        bodies_until_caught_up(client)
        send_as_alice(old, "one", "two")
        assert [next_message(client), next_message(client)] == ["one", "two"]
        client.send("#lobby", "mine").wait(TIMEOUT)
        assert next_message(client) == "mine"
    send_as_alice(old, "while bob is away")
    old.chatctl("ban", "mallory", "--reason", "spam", "--yes")
    file = back_up(old)
    replace(old, new, file)
    send_as_alice(new, "on the new server")
    with Client(bob, state=tmp_path / "bob") as client:
        assert bodies_until_caught_up(client) == ["while bob is away", "on the new server"]
        client.send("#lobby", "still here").wait(TIMEOUT)
        assert next_message(client) == "still here"
    mallory = read_identity(new.identity("mallory"))
    with Client(mallory, reconnect=False) as client, pytest.raises(ChatdError) as refusal:
        client.wait_connected(TIMEOUT)
    assert refusal.value.code == "E207"
    shown = new.run("chat", "--identity", str(new.identity("bob")), "history", "--json", "#lobby").stdout
    assert all(text in shown for text in ("one", "two", "mine"))
    found = new.run("chat", "--identity", str(new.identity("bob")), "search", "away")
    assert "while bob is away" in found.stdout
    assert new.chatd("verify").stdout.startswith("ok")


def test_client_with_a_cursor_beyond_the_backup_misses_no_new_message(
    old: Daemon, new: Daemon, tmp_path: Path
) -> None:
    """The client stays open during the restore and reconnects."""
    send_as_alice(old, "in the backup")
    file = back_up(old)
    with Client(read_identity(old.identity("bob")), state=tmp_path / "bob") as client:
        bodies_until_caught_up(client)
        send_as_alice(old, *(f"lost with the old server {n}" for n in range(5)))
        assert [next_message(client) for _ in range(5)][-1] == "lost with the old server 4"
        replace(old, new, file)
        assert bodies_until_caught_up(client) == []
        send_as_alice(new, "first", "second")
        assert [next_message(client), next_message(client)] == ["first", "second"]
    with Client(read_identity(new.identity("bob")), state=tmp_path / "bob") as client:
        assert bodies_until_caught_up(client) == []


def test_client_whose_cursor_the_restored_log_has_passed_misses_no_new_message(
    old: Daemon, new: Daemon, tmp_path: Path
) -> None:
    """New events are delivered even if the client has seen their seq on the old server."""
    bob = read_identity(old.identity("bob"))
    send_as_alice(old, "in the backup")
    file = back_up(old)
    with Client(bob, state=tmp_path / "bob") as client:
        bodies_until_caught_up(client)
        send_as_alice(old, *(f"lost with the old server {n}" for n in range(5)))
        assert [next_message(client) for _ in range(5)][-1] == "lost with the old server 4"
        wait_until(lambda: client.next_event(0.1) is None, what="the last event")
    old.stop()
    # Sent while no server runs: it is not acknowledged, so the outbox keeps it.
    with Client(bob, state=tmp_path / "bob") as client:
        unsent = client.send("#lobby", "typed in between")
    new.chatd("restore", str(file), "--passphrase-file", "-", input=PASSPHRASE)
    new.start()
    after = [f"on the new server {n}" for n in range(10)]
    send_as_alice(new, *after)
    for restored, expected in ((True, [*after, "typed in between"]), (False, [])):
        with Client(bob, state=tmp_path / "bob") as client:
            events = events_until_caught_up(client)
            wait_until(partial(has_messages, client, events, len(expected)), what="every message")
            client.close(drain=TIMEOUT)
            assert bodies(events) == expected
            assert any(isinstance(event, Restored) for event in events) is restored
    messages = [(e["msg_id"], e["body"]) for e in history(new) if e["type"] == "message"]
    assert messages.count((unsent.msg_id, "typed in between")) == 1


def test_session_that_spans_the_restore_misses_no_new_message(
    old: Daemon, new: Daemon, tmp_path: Path
) -> None:
    """The client has no state folder, so its cursor is only in memory."""
    file = back_up(old)
    with Client(read_identity(old.identity("bob"))) as client:
        bodies_until_caught_up(client)
        send_as_alice(old, "lost one", "lost two")
        assert [next_message(client), next_message(client)] == ["lost one", "lost two"]
        old.stop()
        new.chatd("restore", str(file), "--passphrase-file", "-", input=PASSPHRASE)
        new.start()
        # These are usually sent before bob has reconnected.
        send_as_alice(new, "first", "second", "third")
        assert [next_message(client) for _ in range(3)] == ["first", "second", "third"]


def test_backup_under_load_contains_every_acknowledged_message(old: Daemon, new: Daemon) -> None:
    """Messages acknowledged before the backup are in the restored log, once and in order."""
    talkers = [Talker(old.identity("bob")), Talker(old.identity("alice", "console"))]
    try:
        for talker in talkers:
            talker.start()
        wait_until(lambda: all(len(t.acknowledged) >= 20 for t in talkers), what="messages")
        before = [list(talker.acknowledged) for talker in talkers]
        file = back_up(old)
        after = [len(talker.acknowledged) for talker in talkers]
        wait_until(
            lambda: all(len(t.acknowledged) > n for t, n in zip(talkers, after, strict=True)),
            what="messages after the backup",
        )
        for talker in talkers:
            talker.finish()
            assert not talker.refused
    finally:
        for talker in talkers:
            talker.close()
    old.stop()
    report = new.chatd("restore", str(file), "--json", "--passphrase-file", "-", input=PASSPHRASE).stdout
    head = json.loads(report)["head"]
    new.start()
    logged: list[tuple[int, str]] = []
    with Client(read_identity(new.identity("bob")), live=False) as client:
        while not logged or logged[-1][0] < head:
            last = logged[-1][0] if logged else 0
            page = client.request("history", room="#lobby", after=last, limit=200)["events"]
            if not page:
                break
            logged += [(event["seq"], event.get("body", "")) for event in page]
    messages = [entry for entry in logged if "-" in entry[1]]
    for talker, acknowledged in zip(talkers, before, strict=True):
        assert {tuple(sent) for sent in acknowledged} <= set(messages)
        own = [body for _, body in messages if body.startswith(f"{talker.user}-")]
        assert own == [f"{talker.user}-{n}" for n in range(len(own))]
