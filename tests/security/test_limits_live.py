"""The bounds of the settings on a real server: each holds, says so, and costs nobody else anything."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from chatctl.client import Client
from chatd.errors import ChatdError
from chatd.pki.identity import read_identity
from chatd.policy.roles import DEFAULT_ROLES
from tests.support.abused import UNLIMITED, abused, changed, sessions_now
from tests.support.daemon import Daemon, wait_until
from tests.support.rawclient import Json, RawClient, frame, new_id

MAX_CONNECTIONS = 12
ADMIN_RESERVE = 4
SESSIONS_PER_USER = 9
MESSAGE_CHARS = 80
OUTBOX = 65_536
# Others in here are silent for a second or two on a busy machine.
IDLE_SECONDS = 8


def settings(tree: dict[str, Any]) -> None:
    changed(tree, "server", timeout=IDLE_SECONDS, max_connections=MAX_CONNECTIONS)
    changed(
        tree,
        "limits",
        sessions_per_user=SESSIONS_PER_USER,
        rooms_per_user=3,
        message_chars=MESSAGE_CHARS,
        topic_chars=20,
        outbox_bytes=OUTBOX,
        per_role={
            "admin": UNLIMITED,
            "user": UNLIMITED,
            "guest": {"messages_per_second": 20, "burst": 5},
            "snail": {"messages_per_second": 0.5, "burst": 2},
        },
    )
    changed(tree, "roles", permissions=DEFAULT_ROLES | {"snail": DEFAULT_ROLES["guest"]})
    changed(tree, "filter", words=["hack", "drop table"])


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with abused(tmp_path_factory.mktemp("limits") / "home", settings, "bob", "carol") as daemon:
        daemon.add_user("gus", role="guest")
        daemon.add_user("snail", role="snail")
        yield daemon


@pytest.fixture(autouse=True)
def alone(daemon: Daemon) -> None:
    """Sessions of the test before are gone; most of these tests count them."""
    wait_until(lambda: sessions_now(daemon) == 0, what="all sessions to end")


def live(daemon: Daemon, user: str, device: str = "laptop", *, receive_buffer: int = 0) -> RawClient:
    identity = daemon.identity(user, device)
    client = RawClient(daemon.port, identity, receive_buffer=receive_buffer).logged_in()
    client.ask("resume")
    return client


def refused(daemon: Daemon, user: str, device: str = "laptop") -> Json:
    """The goodbye to one session too many."""
    with RawClient(daemon.port, daemon.identity(user, device)).tls().envelope() as client:
        return client.bye()


# --- how many ----------------------------------------------------------------------------------------


def test_max_connections_and_the_admins_reserve(daemon: Daemon) -> None:
    with contextlib.ExitStack() as stack:
        for user in ["bob"] * SESSIONS_PER_USER + ["carol"] * (MAX_CONNECTIONS - SESSIONS_PER_USER):
            stack.enter_context(live(daemon, user))
        bye = refused(daemon, "carol")
        assert (bye["code"], bye["retry"]) == ("E501", True)
        assert str(MAX_CONNECTIONS) in bye["reason"]
        admins = [stack.enter_context(live(daemon, "alice", "console")) for _ in range(ADMIN_RESERVE)]
        assert refused(daemon, "alice", "console")["code"] == "E501"
        assert admins[0].ask("stats")["result"]["connections"]["now"] == MAX_CONNECTIONS + ADMIN_RESERVE
        # A place that is given back is there for the next.
        for client in admins[1:]:
            client.sock.close()
    wait_until(lambda: sessions_now(daemon) == 0, what="all sessions to end")
    with live(daemon, "carol") as client:
        assert client.ask("ping")["type"] == "ok"


def test_sessions_per_user(daemon: Daemon) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(SESSIONS_PER_USER):
            stack.enter_context(live(daemon, "bob"))
        bye = refused(daemon, "bob")
        assert (bye["code"], bye["retry"]) == ("E505", True)
        stack.enter_context(live(daemon, "carol"))


def test_rooms_per_user(daemon: Daemon) -> None:
    """The lobby is one of them; leaving one makes room."""
    with live(daemon, "bob") as bob:
        assert bob.ask("create", room="#one")["type"] == "ok"
        assert bob.ask("create", room="#two")["type"] == "ok"
        assert bob.ask("create", room="#three")["code"] == "E409"
        assert bob.ask("part", room="#two")["type"] == "ok"
        assert bob.ask("join", room="#two")["type"] == "ok"


# --- how long ----------------------------------------------------------------------------------------


def test_a_message_at_and_over_the_limit(daemon: Daemon) -> None:
    with live(daemon, "bob") as bob, live(daemon, "carol") as carol:
        assert bob.say("a" * MESSAGE_CHARS)["result"]["notes"] == []
        assert carol.until(type="message")["body"] == "a" * MESSAGE_CHARS
        (note,) = bob.say("b" * (MESSAGE_CHARS + 1))["result"]["notes"]
        assert note["rule"] == "truncated"
        assert str(MESSAGE_CHARS) in note["text"]
        body = carol.until(type="message")["body"]
        assert len(body) == MESSAGE_CHARS
        assert body.endswith("[truncated]")
        # A word behind the cut is still refused, and what is over every limit is not read at all.
        assert bob.say("c" * MESSAGE_CHARS + " hack")["code"] == "E400"
        assert bob.say("d" * 16_384)["result"]["notes"][0]["rule"] == "truncated"
        bob.send({"type": "send", "id": 99, "msg_id": new_id(), "to": "#lobby", "body": "e" * 16_385})
        assert bob.until(type="error")["code"] == "E101"
        assert bob.ask("topic", room="#lobby", topic="t" * 21)["code"] == "E401"
        assert bob.ask("topic", room="#lobby", topic="t" * 20)["type"] == "ok"


def test_rejecting_instead_of_truncating(daemon: Daemon) -> None:
    """A reload changes it under live sessions."""
    with live(daemon, "bob") as bob:
        try:
            daemon.write_settings(lambda tree: changed(tree, "limits", over_length="reject"))
            daemon.chatd("reload")
            wait_until(lambda: bob.say("r" * (MESSAGE_CHARS + 1)).get("code") == "E401", what="the reload")
            reply = bob.say("r" * (MESSAGE_CHARS + 1))
            assert str(MESSAGE_CHARS + 1) in reply["reason"]
            assert bob.say("r" * MESSAGE_CHARS)["type"] == "ok"
        finally:
            daemon.write_settings(lambda tree: changed(tree, "limits", over_length="truncate"))
            daemon.chatd("reload")
        wait_until(lambda: bob.say("r" * (MESSAGE_CHARS + 1))["type"] == "ok", what="the reload back")


# --- forbidden words ---------------------------------------------------------------------------------

FORBIDDEN = ["hack", "HACK!", "ha\u0301ck", "ha\u200bck", "\uff48\uff41\uff43\uff4b", "so: drop table users"]


def test_the_filter(daemon: Daemon) -> None:
    """Refused with the rule, heard by nobody, noted without the text."""
    with live(daemon, "bob") as bob, live(daemon, "carol") as carol:
        for number, text in enumerate(FORBIDDEN):
            reply = bob.say(f"{text} zebra{number}")
            assert reply["code"] == "E400", text
            assert "'hack'" in reply["reason"] or "'drop table'" in reply["reason"]
        assert bob.say("hackathon, table")["type"] == "ok"
        assert carol.until(type="message")["body"] == "hackathon, table"
        assert bob.ask("topic", room="#lobby", topic="hack it")["code"] == "E400"
    wait_until(lambda: len(_filtered(daemon)) >= len(FORBIDDEN), what="the filter's lines in security.log")
    assert {line["user"] for line in _filtered(daemon)} == {"bob"}
    assert "zebra" not in (daemon.home / "logs" / "server.log").read_text()
    assert "zebra" not in (daemon.home / "logs" / "security.log").read_text()


def _filtered(daemon: Daemon) -> list[Json]:
    return [line for line in daemon.log_lines("security.log") if line.get("code") == "E400"]


# --- how fast ----------------------------------------------------------------------------------------


def test_the_rate_limit_holds_back_and_loses_nothing(daemon: Daemon) -> None:
    """A burst far over a guest's rate: every message arrives, once, in order."""
    count = 50
    with live(daemon, "gus") as gus, live(daemon, "carol") as carol:
        for number in range(count):
            gus.send(_message(number + 100, f"gus-{number}"))
        heard = [carol.until(type="message", user="gus")["body"] for _ in range(count)]
        assert heard == [f"gus-{number}" for number in range(count)]
        answers = [gus.until(type="ok") for _ in range(count)]
        assert [a["id"] for a in answers] == [number + 100 for number in range(count)]


def test_a_flood_of_one_guest_is_told_and_slows_nobody_else(daemon: Daemon) -> None:
    with live(daemon, "gus") as gus, live(daemon, "bob") as bob, live(daemon, "carol") as carol:
        # One record with many frames: the bucket is asked for each of them.
        gus.send_payload(b"".join(frame({"type": "rooms", "id": n}) for n in range(1, 101)))
        for number in range(20):
            bob.say(f"bob-{number}")
            carol.until(type="message", body=f"bob-{number}")
        assert gus.until(id=1)["type"] == "ok"


def test_waiting_for_long_is_told(daemon: Daemon) -> None:
    """One notice for a second or more, then the answer."""
    with live(daemon, "snail") as snail:
        snail.send(*({"type": "rooms", "id": n} for n in (11, 12, 13)))
        assert snail.until(type="slowed")["seconds"] >= 1
        assert snail.until(id=13)["type"] == "ok"


def _message(label: int, body: str) -> Json:
    return {"type": "send", "id": label, "msg_id": new_id(), "to": "#lobby", "body": body}


# --- how silent --------------------------------------------------------------------------------------


def test_idle_sessions_are_pinged_then_ended(daemon: Daemon) -> None:
    with live(daemon, "bob") as silent, live(daemon, "carol") as answering:
        assert silent.until(type="ping") == {"type": "ping"}
        answering.until(type="ping")
        answering.ask("ping")
        bye = silent.bye()
        assert (bye["code"], bye["retry"]) == ("E106", True)
        # It goes on for as long as it answers.
        answering.until(type="ping")
        assert answering.ask("ping")["type"] == "ok"


# --- how slow ----------------------------------------------------------------------------------------


def test_a_slow_reader_is_cut_and_nobody_waits(daemon: Daemon) -> None:
    """Its outbox is bounded; the others hear everything meanwhile; it resumes and has lost nothing."""
    # 20,000 events of 400 bytes are far more than all buffers on the way to a reader that stopped.
    text = "\u3042" * MESSAGE_CHARS
    with (
        live(daemon, "carol", receive_buffer=4096) as slow,
        live(daemon, "bob") as bob,
        live(daemon, "alice", "console") as alice,
    ):
        first = bob.say("start")["result"]["seq"]
        slow.until(seq=first)
        sent, before = 0, _cuts(daemon)
        while _cuts(daemon) == before:
            assert sent < 20_000, "a reader that stopped was never cut"
            bob.send(*(_message(1_000 + sent + n, text) for n in range(50)))
            sent += 50
            for _ in range(50):
                bob.until(type="ok")
            alice.until(type="message", user="bob")
            alice.ask("ping")
            _keep_alive(slow)
        last = bob.say("end")["result"]["seq"]
        alice.until(seq=last)
        # The goodbye is behind what the system had buffered; it may come too late to be read.
        told = slow.drained()[-1]
        assert told["type"] in ("message", "ok") or (told["type"], told["code"]) == ("bye", "E108")
    wait_until(lambda: sessions_now(daemon) == 0, what="all sessions to end")
    with RawClient(daemon.port, daemon.identity("carol")).logged_in() as again:
        seqs = list(_resumed(again, first))
    assert seqs == list(range(first + 1, last + 1))


def _keep_alive(client: RawClient) -> None:
    """The reader is slow, not silent."""
    with contextlib.suppress(OSError):
        client.send({"type": "ping", "id": 5})


def _resumed(client: RawClient, after: int) -> Iterator[int]:
    more = True
    while more:
        page = client.ask("resume", after=after)["result"]
        yield from (event["seq"] for event in page["events"])
        after, more = page["cursor"], page["more"]


def _cuts(daemon: Daemon) -> int:
    return sum(line["event"] == "slow_consumer" for line in daemon.log_lines("connections.log"))


def test_a_burst_does_not_cut_those_who_read(daemon: Daemon) -> None:
    """Several times the outbox' limit may come from the hub at once; the network takes it at once too."""
    count = 400
    with live(daemon, "bob") as bob, live(daemon, "carol") as carol:
        before = _cuts(daemon)
        bob.send_payload(b"".join(frame(_message(n + 10, "x" * MESSAGE_CHARS)) for n in range(count // 2)))
        bob.send_payload(b"".join(frame(_message(n + 1000, "x" * MESSAGE_CHARS)) for n in range(count // 2)))
        for client in (bob, carol):
            for _ in range(count):
                client.until(type="message")
        assert _cuts(daemon) == before


def test_asking_without_reading_the_answers(daemon: Daemon) -> None:
    """The answers are bounded like everything else that waits for a client."""
    with live(daemon, "carol", receive_buffer=4096) as greedy, live(daemon, "bob") as bob:
        bob.send(*(_message(n + 10, "\u3042" * MESSAGE_CHARS) for n in range(150)))
        for _ in range(150):
            bob.until(type="ok")
        before = _cuts(daemon)
        with contextlib.suppress(OSError):
            for label in range(1, 200):
                greedy.send({"type": "history", "id": label, "room": "#lobby", "limit": 150})
        wait_until(lambda: _cuts(daemon) > before, what="the greedy reader to be cut")
        assert bob.say("next")["type"] == "ok"


def test_a_session_that_is_held_back_can_be_ended(daemon: Daemon) -> None:
    """By a moderator or by itself; it does not stay until its last request's turn has come."""
    with live(daemon, "snail") as kicked, live(daemon, "alice", "console") as alice:
        kicked.send(*({"type": "rooms", "id": n} for n in range(1, 1000)))
        kicked.until(type="slowed")
        alice.ask("kick", user="snail")
        assert kicked.bye()["code"] == "E208"
        alice.ask("unban", user="snail")
    with live(daemon, "snail") as leaving:
        leaving.send(*({"type": "rooms", "id": n} for n in range(1, 1000)))
        leaving.until(type="slowed")
    wait_until(lambda: sessions_now(daemon) == 0, what="the session to end")


def test_a_person_over_a_limit_reads_why(daemon: Daemon) -> None:
    """What the client library makes of it: words, a code, and it keeps trying where that can help."""
    with contextlib.ExitStack() as stack:
        for _ in range(SESSIONS_PER_USER):
            stack.enter_context(live(daemon, "bob"))
        identity = read_identity(daemon.identity("bob"))
        client = stack.enter_context(Client(identity, reconnect=False))
        with pytest.raises(ChatdError) as caught:
            client.wait_connected(30)
        assert caught.value.code == "E505"
        assert json.dumps(str(caught.value)).isascii()
