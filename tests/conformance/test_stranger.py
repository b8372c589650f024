"""A client written from docs/protocol.md alone talks to the server.

A failure means that the document or the server is wrong.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conformance.stranger import Ended, Stranger
from tests.support.daemon import Daemon

Connect = Callable[..., Stranger]


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Connect]:
    """A function that connects with an identity file."""
    with ExitStack() as stack:

        def stranger(identity: Path, **options: int) -> Stranger:
            client = Stranger(identity, tmp_path / os.urandom(4).hex(), **options)
            stack.callback(client.tls.drop)
            return client

        yield stranger


def test_the_binding_value_from_the_own_finished_is_the_librarys(
    shared_daemon: Daemon, connect: Connect
) -> None:
    client = connect(shared_daemon.add_user("stranger1"))
    assert client.binding == client.tls.library_says
    assert client.next()["type"] == "welcome"


def test_the_welcome_has_what_the_document_says(shared_daemon: Daemon, connect: Connect) -> None:
    client = connect(shared_daemon.add_user("stranger2"))
    welcome = client.next()
    assert (welcome["type"], welcome["user"], welcome["protocol"]) == ("welcome", "stranger2", 1)
    assert "#lobby" in welcome["rooms"]
    names = {
        *("message_chars", "snippet_bytes", "topic_chars", "rooms", "history_on_join"),
        *("idle_seconds", "messages_per_minute", "burst"),
    }
    assert names <= set(welcome["limits"])
    assert all(type(welcome["limits"][name]) is int for name in names)
    assert welcome["lineage"][-1].keys() == {"id", "began"}
    client.go_live(None)
    assert (client.events, client.cursor) == ([], welcome["head"])


def test_two_strangers_send_receive_and_resume(shared_daemon: Daemon, connect: Connect) -> None:
    one, other = (connect(shared_daemon.add_user(name)) for name in ("stranger3", "stranger4"))
    for client in (one, other):
        client.until("welcome")
        client.go_live(None)
    msg_id = os.urandom(16).hex()
    first = one.say("hello", msg_id=msg_id)["result"]
    one.rekey()
    assert one.say("hello", msg_id=msg_id)["result"]["seq"] == first["seq"]
    assert one.say("changed", msg_id=msg_id)["code"] == "E408"
    received = other.until("message")
    assert (received["body"], received["user"], received["seq"]) == ("hello", "stranger3", first["seq"])
    cursor = other.cursor
    other.close()
    missed = [one.say(f"missed {number}")["result"]["seq"] for number in range(3)]
    again = connect(other.identity_path)
    again.until("welcome")
    again.go_live(cursor)
    assert [event["seq"] for event in again.events if event["type"] == "message"] == missed
    assert one.answer(one.ask(type="ping"))["result"]["time"] > 0


def test_pages_of_history_go_back_with_more(shared_daemon: Daemon, connect: Connect) -> None:
    client = connect(shared_daemon.add_user("stranger5"))
    client.until("welcome")
    client.go_live(None)
    seqs = [client.say(f"page {number}")["result"]["seq"] for number in range(5)]
    found: list[int] = []
    fields: dict[str, int] = {}
    while seqs[0] not in found:
        page = client.answer(client.ask(type="history", room="#lobby", limit=2, **fields))["result"]
        assert page["events"]
        assert page["more"]
        found = [event["seq"] for event in page["events"]] + found
        fields = {"before": page["events"][0]["seq"]}
    assert found[-5:] == seqs
    newer = client.answer(client.ask(type="history", room="#lobby", limit=2, after=seqs[2]))["result"]
    assert ([event["seq"] for event in newer["events"]], newer["more"]) == (seqs[3:], False)


def test_lengths_count_code_points(shared_daemon: Daemon, connect: Connect) -> None:
    client = connect(shared_daemon.add_user("stranger6"))
    limit = client.until("welcome")["limits"]["message_chars"]
    client.go_live(None)
    assert client.say("\U0001f642" * limit)["result"]["notes"] == []
    assert client.say("\U0001f642" * (limit + 1))["result"]["notes"] == []
    page = client.answer(client.ask(type="history", room="#lobby", limit=2))["result"]
    assert [(event["kind"], len(event["body"])) for event in page["events"]] == [
        ("text", limit),
        ("snippet", limit + 1),
    ]


def test_behind_bye_come_the_close_record_and_close_notify(shared_daemon: Daemon, connect: Connect) -> None:
    client = connect(shared_daemon.add_user("stranger7"))
    client.until("welcome")
    client.tls.write(b"\xff" * 32)
    assert client.until("bye")["code"] == "E100"
    assert client.rest()


def test_the_server_ends_the_connection_after_the_clients_close(
    shared_daemon: Daemon, connect: Connect
) -> None:
    client = connect(shared_daemon.add_user("stranger8"))
    client.until("welcome")
    client.go_live(None)
    client.tls.write(client.out.seal(3, b""))
    with pytest.raises(Ended):
        while client.next():
            pass
    assert not client.closed


def test_a_stranger_that_offers_suite_2_falls_back_to_what_the_server_speaks(
    shared_daemon: Daemon, connect: Connect
) -> None:
    identity = shared_daemon.add_user("stranger9")
    refused = connect(identity, suite=2)
    assert refused.refused_by == bytes.fromhex("00010001")
    with pytest.raises(Ended) as ended:
        refused.tls.read()
    assert ended.value.cleanly
    again = connect(identity, suite=int.from_bytes(refused.refused_by[2:], "big"))
    assert again.until("welcome")["user"] == "stranger9"
