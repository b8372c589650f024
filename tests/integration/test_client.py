"""The client library against a real daemon: cuts, crashes and refusals."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chatctl.client import AnyEvent, CaughtUp, Client, Connected
from chatd.errors import ChatdError
from chatd.pki.authority import Authority
from chatd.pki.identity import Identity, read_identity, write_identity
from chatd.proto.events import Message, Parted, Standing
from tests.support.certificates import DEVICE, forge, signer
from tests.support.daemon import Daemon, running, wait_until
from tests.support.lines import next_line
from tests.support.proxy import Proxy

TIMEOUT = 30.0


@pytest.fixture(scope="module")
def daemon(shared_daemon: Daemon) -> Daemon:
    shared_daemon.add_user("bob")
    return shared_daemon


@pytest.fixture(scope="module")
def bob(daemon: Daemon) -> Identity:
    return read_identity(daemon.identity("bob"))


@pytest.fixture(scope="module")
def alice(daemon: Daemon) -> Identity:
    return read_identity(daemon.identity("alice", "console"))


def bodies(client: Client, count: int) -> list[str]:
    """Return the bodies of the next ``count`` messages."""
    received: list[str] = []
    while len(received) < count:
        event = client.next_event(TIMEOUT)
        assert event is not None, f"only {received} arrived"
        if isinstance(event, Message):
            received.append(event.body)
    return received


def caught_up(client: Client) -> None:
    while not isinstance(event := client.next_event(TIMEOUT), CaughtUp):
        assert event is not None


def logged_bodies(daemon: Daemon, start: str) -> list[str]:
    """Return the logged bodies in #lobby that begin with ``start``."""
    with Client(read_identity(daemon.identity("alice", "console")), live=False) as client:
        events: list[dict[str, Any]] = client.request("history", room="#lobby", limit=500)["events"]
    return [e["body"] for e in events if e["type"] == "message" and e["body"].startswith(start)]


def test_two_clients_exchange_messages(alice: Identity, bob: Identity) -> None:
    with Client(alice) as one, Client(bob) as two:
        for client in (one, two):
            assert client.wait_connected(TIMEOUT).envelope
            caught_up(client)
        one.send("#lobby", "talk 1").wait(TIMEOUT)
        two.send("#lobby", "talk 2").wait(TIMEOUT)
        assert bodies(one, 2) == bodies(two, 2) == ["talk 1", "talk 2"]
        assert one.unsent == 0


def test_the_welcome_has_the_role_of_now(daemon: Daemon, bob: Identity) -> None:
    """Clients show it, and offer what it permits."""
    with Client(bob) as client:
        client.wait_connected(TIMEOUT)
        daemon.chatctl("role", "set", "bob", "guest")
        wait_until(lambda: client.welcome is not None and client.welcome.role == "guest")
        assert client.welcome is not None
        assert "room.create" not in client.welcome.permissions
        daemon.chatctl("role", "set", "bob", "user")
        wait_until(lambda: client.welcome is not None and "room.create" in client.welcome.permissions)


def test_a_removal_comes_after_the_role_that_is_its_reason(daemon: Daemon, bob: Identity) -> None:
    with Client(bob) as client:
        caught_up(client)
        client.request("create", room="#nook")
        daemon.chatctl("role", "set", "bob", "guest")
        told: list[str] = []
        while "parted" not in told:
            event = client.next_event(TIMEOUT)
            assert event is not None
            if isinstance(event, Standing | Parted):
                told.append(event.type)
        assert told == ["standing", "parted"]
        daemon.chatctl("role", "set", "bob", "user")


def test_messages_between_welcome_and_going_live_are_delivered(alice: Identity, bob: Identity) -> None:
    bodies: list[str] = []
    live = threading.Event()

    def on_event_of_two(event: AnyEvent) -> None:
        if isinstance(event, Connected):
            one.send("#lobby", "before two is live").wait(TIMEOUT)
        elif isinstance(event, Message):
            bodies.append(event.body)
        elif isinstance(event, CaughtUp):
            live.set()

    with Client(alice, live=False) as one:
        two = Client(bob)
        two.on_event(on_event_of_two)
        with two:
            assert live.wait(TIMEOUT)
            assert bodies == ["before two is live"]


def test_many_long_messages_keep_their_order(daemon: Daemon, bob: Identity) -> None:
    with Client(bob) as client:
        caught_up(client)
        sent = [client.send("#lobby", f"many {n} " + "é" * 400) for n in range(20)]
        seqs = [one.wait(TIMEOUT).seq for one in sent]
        assert seqs == sorted(seqs)
        assert [body.split()[1] for body in bodies(client, 20)] == [str(n) for n in range(20)]


def test_a_message_whose_reply_was_lost_is_in_the_log_once(daemon: Daemon, bob: Identity) -> None:
    proxy = Proxy(bob.servers[0])
    with Client(dataclasses.replace(bob, servers=(proxy.address,)), rand=lambda: 0.0) as client:
        caught_up(client)
        proxy.drop_replies = True
        sent = [client.send("#lobby", f"lost {n}") for n in range(5)]
        wait_until(lambda: len(logged_bodies(daemon, "lost")) == 5, what="the messages in the log")
        assert {one.state for one in sent} == {"pending"}
        proxy.drop_replies = False
        proxy.cut_connections()
        for one in sent:
            one.wait(TIMEOUT)
        assert bodies(client, 5) == [f"lost {n}" for n in range(5)]
    proxy.close()
    assert logged_bodies(daemon, "lost") == [f"lost {n}" for n in range(5)]


@pytest.mark.parametrize("victim", ["worker", "hub"])
def test_nothing_is_lost_or_duplicated_when_a_process_is_killed(
    daemon: Daemon, bob: Identity, alice: Identity, victim: str
) -> None:
    with Client(bob, rand=lambda: 0.01) as client, Client(alice, rand=lambda: 0.01) as reader:
        caught_up(client)
        caught_up(reader)
        sent = [client.send("#lobby", f"{victim} {n}") for n in range(10)]
        sent[2].wait(TIMEOUT)
        for child in daemon.status()["children"]:
            if child["kind"] == victim:
                os.kill(child["pid"], signal.SIGKILL)
        sent += [client.send("#lobby", f"{victim} {n}") for n in range(10, 20)]
        for one in sent:
            one.wait(TIMEOUT)
        expected = [f"{victim} {n}" for n in range(20)]
        assert bodies(client, 20) == expected
        assert bodies(reader, 20) == expected
    assert logged_bodies(daemon, victim) == expected


SENDER = """
import sys
from pathlib import Path
from chatctl.client import Client
from chatd.pki.identity import read_identity
client = Client(read_identity(Path(sys.argv[1])), state=Path(sys.argv[2]))
for n in range(5):
    client.send("#lobby", f"kept {n}")
print("ready", flush=True)
sys.stdin.read()
"""


def test_unsent_messages_survive_a_killed_client(daemon: Daemon, bob: Identity, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SENDER, str(bob.path), str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert next_line(child, "the confirmation that all are stored") == b"ready\n"
        child.kill()
    assert logged_bodies(daemon, "kept") == []
    with Client(bob, state=tmp_path) as client:
        assert client.unsent == 5
        client.close(drain=TIMEOUT)
        assert client.unsent == 0
    assert logged_bodies(daemon, "kept") == [f"kept {n}" for n in range(5)]


def test_messages_missed_between_two_runs_are_delivered(
    bob: Identity, alice: Identity, tmp_path: Path
) -> None:
    with Client(bob, state=tmp_path) as client:
        caught_up(client)
    with Client(alice) as other:
        for n in range(3):
            other.send("#lobby", f"missed {n}").wait(TIMEOUT)
    with Client(bob, state=tmp_path) as client:
        assert bodies(client, 3) == [f"missed {n}" for n in range(3)]
    with Client(bob, state=tmp_path) as client:
        event = client.next_event(TIMEOUT)
        while not isinstance(event, CaughtUp):
            assert not isinstance(event, Message), "delivered twice"
            event = client.next_event(TIMEOUT)


def forge_identity(
    path: Path, daemon: Daemon, issuer: Authority, end: timedelta = timedelta(hours=1)
) -> Identity:
    """Write and read an unregistered identity file with bob's name, issued by ``issuer``."""
    write_identity(
        path,
        forge(signer(issuer), DEVICE, end=end),
        issuer.certificate,
        instance="lab",
        user="bob",
        device="laptop",
        servers=[f"127.0.0.1:{daemon.port}"],
    )
    return read_identity(path)


def test_unregistered_certificates_are_refused_with_a_reason(
    daemon: Daemon, bob: Identity, tmp_path: Path
) -> None:
    own, foreign = Authority.load(daemon.home / "certs"), Authority.create("lab", now=datetime.now(UTC))
    stranger = forge_identity(tmp_path / "foreign.pem", daemon, foreign)
    expired = forge_identity(tmp_path / "expired.pem", daemon, own, end=-timedelta(minutes=30))
    cases = [
        (forge_identity(tmp_path / "unregistered.pem", daemon, own), "E205"),
        (expired, "E202"),
        # With the foreign CA pinned, the client rejects the server; with the server's CA, the server
        # rejects the client.
        (stranger, "E209"),
        (dataclasses.replace(stranger, ca_pem=bob.ca_pem), "E201"),
    ]
    for identity, code in cases:
        with Client(identity, live=False) as client, pytest.raises(ChatdError) as refusal:
            client.wait_connected(TIMEOUT)
        assert refusal.value.code == code, (identity.path.name, str(refusal.value))


def test_a_session_without_the_envelope_says_so(tmp_path: Path) -> None:
    with running(tmp_path / "home", CHATD_SECURITY__ENCRYPTION_ENABLED="false") as daemon:
        identity = read_identity(daemon.identity("alice", "console"))
        with Client(identity) as client:
            assert client.wait_connected(TIMEOUT).envelope is False
            caught_up(client)
            client.send("#lobby", "plain").wait(TIMEOUT)
            assert bodies(client, 1) == ["plain"]
        daemon.stop()
        with Client(identity, reconnect=False) as client, pytest.raises(ChatdError, match="E607"):
            client.wait_connected(TIMEOUT)


def test_a_client_reconnects_after_a_restart_and_ends_after_a_kick(daemon: Daemon, bob: Identity) -> None:
    with Client(bob, rand=lambda: 0.01) as client:
        client.wait_connected(TIMEOUT)
        daemon.chatd("stop")
        daemon.start()
        sent = client.send("#lobby", "after the restart")
        sent.wait(TIMEOUT)
        daemon.chatctl("kick", "bob", "--reason", "enough")
        while client.next_event(TIMEOUT) is not None:
            pass
        assert client.error is not None
        assert (client.error.code, "enough" in client.error.reason) == ("E208", True)
        daemon.chatctl("unban", "bob")
