"""Every limit of the settings holds on a real server, tells the user, and affects no one else."""

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
from tests.support.daemon import Daemon, wait_until
from tests.support.rawclient import Json, RawClient, frame, new_id
from tests.support.under_attack import (
    UNLIMITED,
    daemon_under_attack,
    login_bye,
    open_live_session,
    session_count,
    update_section,
)

MAX_CONNECTIONS = 12
ADMIN_RESERVE = 4
SESSIONS_PER_USER = 9
MESSAGE_CHARS = 80
OUTBOX_BYTES = 65_536
# Clients of these tests may be silent for a second or two on a busy machine.
IDLE_SECONDS = 8


def settings(tree: dict[str, Any]) -> None:
    update_section(tree, "server", timeout=IDLE_SECONDS, max_connections=MAX_CONNECTIONS)
    update_section(
        tree,
        "limits",
        sessions_per_user=SESSIONS_PER_USER,
        rooms_per_user=3,
        message_chars=MESSAGE_CHARS,
        long_text="truncate",
        topic_chars=20,
        outbox_bytes=OUTBOX_BYTES,
        per_role={
            "admin": UNLIMITED,
            "user": UNLIMITED,
            "guest": {"messages_per_second": 20, "burst": 5},
            "snail": {"messages_per_second": 0.5, "burst": 2},
        },
    )
    update_section(tree, "roles", permissions=DEFAULT_ROLES | {"snail": DEFAULT_ROLES["guest"]})
    update_section(tree, "filter", words=["hack", "drop table"])


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemon_under_attack(tmp_path_factory.mktemp("limits") / "home", settings, "bob", "carol") as daemon:
        daemon.add_user("gus", role="guest")
        daemon.add_user("snail", role="snail")
        yield daemon


@pytest.fixture(autouse=True)
def no_sessions(daemon: Daemon) -> None:
    """Wait for the sessions of the previous test to end; most of these tests count sessions."""
    wait_until(lambda: session_count(daemon) == 0, what="all sessions to end")


# --- connections and rooms ---------------------------------------------------------------------------


def test_a_full_server_admits_only_admins_up_to_their_reserve(daemon: Daemon) -> None:
    with contextlib.ExitStack() as stack:
        for user in ["bob"] * SESSIONS_PER_USER + ["carol"] * (MAX_CONNECTIONS - SESSIONS_PER_USER):
            stack.enter_context(open_live_session(daemon, user))
        bye = login_bye(daemon, "carol")
        assert (bye["code"], bye["retry"]) == ("E501", True)
        assert str(MAX_CONNECTIONS) in bye["reason"]
        admins = [
            stack.enter_context(open_live_session(daemon, "alice", "console")) for _ in range(ADMIN_RESERVE)
        ]
        assert login_bye(daemon, "alice", "console")["code"] == "E501"
        assert admins[0].ask("stats")["result"]["connections"]["now"] == MAX_CONNECTIONS + ADMIN_RESERVE
        # Free the places for the session below.
        for client in admins[1:]:
            client.sock.close()
    wait_until(lambda: session_count(daemon) == 0, what="all sessions to end")
    with open_live_session(daemon, "carol") as client:
        assert client.ask("ping")["type"] == "ok"


def test_a_user_has_no_more_than_sessions_per_user(daemon: Daemon) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(SESSIONS_PER_USER):
            stack.enter_context(open_live_session(daemon, "bob"))
        bye = login_bye(daemon, "bob")
        assert (bye["code"], bye["retry"]) == ("E505", True)
        stack.enter_context(open_live_session(daemon, "carol"))


def test_a_user_is_in_no_more_than_rooms_per_user(daemon: Daemon) -> None:
    with open_live_session(daemon, "bob") as bob:
        # The limit is three, and #lobby is the first.
        assert bob.ask("create", room="#one")["type"] == "ok"
        assert bob.ask("create", room="#two")["type"] == "ok"
        assert bob.ask("create", room="#three")["code"] == "E409"
        assert bob.ask("part", room="#two")["type"] == "ok"
        assert bob.ask("join", room="#two")["type"] == "ok"


# --- length ------------------------------------------------------------------------------------------


def test_a_message_over_message_chars_is_truncated_and_its_sender_told(daemon: Daemon) -> None:
    with open_live_session(daemon, "bob") as bob, open_live_session(daemon, "carol") as carol:
        assert bob.say("a" * MESSAGE_CHARS)["result"]["notes"] == []
        assert carol.until(type="message")["body"] == "a" * MESSAGE_CHARS
        (note,) = bob.say("b" * (MESSAGE_CHARS + 1))["result"]["notes"]
        assert note["rule"] == "truncated"
        assert str(MESSAGE_CHARS) in note["text"]
        body = carol.until(type="message")["body"]
        assert len(body) == MESSAGE_CHARS
        assert body.endswith("[truncated]")
        # The filter sees the text behind the cut; a string over the protocol's limit is not parsed.
        assert bob.say("c" * MESSAGE_CHARS + " hack")["code"] == "E400"
        assert bob.say("d" * 32_768)["result"]["notes"][0]["rule"] == "truncated"
        bob.send({"type": "send", "id": 99, "msg_id": new_id(), "to": "#lobby", "body": "e" * 32_769})
        assert bob.until(type="error")["code"] == "E101"
        assert bob.ask("topic", room="#lobby", topic="t" * 21)["code"] == "E401"
        assert bob.ask("topic", room="#lobby", topic="t" * 20)["type"] == "ok"


def test_a_reload_to_long_text_reject_applies_to_live_sessions(daemon: Daemon) -> None:
    with open_live_session(daemon, "bob") as bob:
        try:
            daemon.write_settings(lambda tree: update_section(tree, "limits", long_text="reject"))
            daemon.chatd("reload")
            wait_until(lambda: bob.say("r" * (MESSAGE_CHARS + 1)).get("code") == "E401", what="the reload")
            reply = bob.say("r" * (MESSAGE_CHARS + 1))
            assert str(MESSAGE_CHARS + 1) in reply["reason"]
            assert bob.say("r" * MESSAGE_CHARS)["type"] == "ok"
        finally:
            daemon.write_settings(lambda tree: update_section(tree, "limits", long_text="truncate"))
            daemon.chatd("reload")
        wait_until(lambda: bob.say("r" * (MESSAGE_CHARS + 1))["type"] == "ok", what="the second reload")


# --- forbidden words ---------------------------------------------------------------------------------

FORBIDDEN = ["hack", "HACK!", "ha\u0301ck", "ha\u200bck", "\uff48\uff41\uff43\uff4b", "so: drop table users"]


def test_a_filtered_message_is_refused_delivered_to_nobody_and_logged_without_its_text(
    daemon: Daemon,
) -> None:
    with open_live_session(daemon, "bob") as bob, open_live_session(daemon, "carol") as carol:
        for number, text in enumerate(FORBIDDEN):
            reply = bob.say(f"{text} zebra{number}")
            assert reply["code"] == "E400", text
            assert "'hack'" in reply["reason"] or "'drop table'" in reply["reason"]
        assert bob.say("hackathon, table")["type"] == "ok"
        assert carol.until(type="message")["body"] == "hackathon, table"
        assert bob.ask("topic", room="#lobby", topic="hack it")["code"] == "E400"

    def count() -> int:
        return sum(line.get("count", 1) for line in _filtered(daemon))

    wait_until(lambda: count() >= len(FORBIDDEN), what="the filter's lines in audit.log")
    assert {line["user"] for line in _filtered(daemon)} == {"bob"}
    assert "zebra" not in (daemon.home / "logs" / "server.log").read_text()
    assert "zebra" not in (daemon.home / "logs" / "audit.log").read_text()


def _filtered(daemon: Daemon) -> list[Json]:
    return [line for line in daemon.log_lines("audit.log") if line.get("code") == "E400"]


# --- rate --------------------------------------------------------------------------------------------


def test_messages_over_the_rate_limit_arrive_late_but_once_and_in_order(daemon: Daemon) -> None:
    count = 50
    with open_live_session(daemon, "gus") as gus, open_live_session(daemon, "carol") as carol:
        for number in range(count):
            gus.send(_message(number + 100, f"gus-{number}"))
        heard = [carol.until(type="message", user="gus")["body"] for _ in range(count)]
        assert heard == [f"gus-{number}" for number in range(count)]
        replies = [gus.until(type="ok") for _ in range(count)]
        assert [reply["id"] for reply in replies] == [number + 100 for number in range(count)]


def test_a_flood_by_one_guest_slows_nobody_else(daemon: Daemon) -> None:
    with (
        open_live_session(daemon, "gus") as gus,
        open_live_session(daemon, "bob") as bob,
        open_live_session(daemon, "carol") as carol,
    ):
        # Each frame takes a token, also when many come in one record.
        gus.send_payload(b"".join(frame({"type": "rooms", "id": n}) for n in range(1, 101)))
        for number in range(20):
            bob.say(f"bob-{number}")
            carol.until(type="message", body=f"bob-{number}")
        assert gus.until(id=1)["type"] == "ok"


def test_a_user_held_back_for_a_second_or_more_is_told(daemon: Daemon) -> None:
    with open_live_session(daemon, "snail") as snail:
        snail.send(*({"type": "rooms", "id": n} for n in (11, 12, 13)))
        assert snail.until(type="slowed")["seconds"] >= 1
        assert snail.until(id=13)["type"] == "ok"


def _message(request_id: int, body: str) -> Json:
    return {"type": "send", "id": request_id, "msg_id": new_id(), "to": "#lobby", "body": body}


# --- silent and slow clients -------------------------------------------------------------------------


def test_an_idle_session_is_pinged_and_ended_unless_it_answers(daemon: Daemon) -> None:
    with open_live_session(daemon, "bob") as silent, open_live_session(daemon, "carol") as answering:
        assert silent.until(type="ping") == {"type": "ping"}
        answering.until(type="ping")
        answering.ask("ping")
        bye = silent.read_bye()
        assert (bye["code"], bye["retry"]) == ("E106", True)
        answering.until(type="ping")
        assert answering.ask("ping")["type"] == "ok"


def test_a_slow_consumer_is_cut_delays_nobody_and_resumes_without_loss(daemon: Daemon) -> None:
    # 20,000 events of 400 bytes are far more than all buffers on the way to the client hold.
    text = "\u3042" * MESSAGE_CHARS
    with (
        open_live_session(daemon, "carol", receive_buffer=4096) as slow,
        open_live_session(daemon, "bob") as bob,
        open_live_session(daemon, "alice", "console") as alice,
    ):
        first = bob.say("start")["result"]["seq"]
        slow.until(seq=first)
        sent, before = 0, _cuts(daemon)
        while _cuts(daemon) == before:
            assert sent < 20_000, "the slow consumer was never cut"
            bob.send(*(_message(1_000 + sent + n, text) for n in range(50)))
            sent += 50
            for _ in range(50):
                bob.until(type="ok")
            alice.until(type="message", user="bob")
            alice.ask("ping")
            _keep_alive(slow)
        last = bob.say("end")["result"]["seq"]
        alice.until(seq=last)
        # The bye may not get through behind what the system has buffered.
        final = slow.read_to_end()[-1]
        assert final["type"] in ("message", "ok") or (final["type"], final["code"]) == ("bye", "E108")
    wait_until(lambda: session_count(daemon) == 0, what="all sessions to end")
    with RawClient(daemon.port, daemon.identity("carol")).logged_in() as again:
        seqs = list(_resumed(again, first))
    assert seqs == list(range(first + 1, last + 1))


def _keep_alive(client: RawClient) -> None:
    """Prevent an idle timeout: the client is slow, not silent."""
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


def test_a_burst_over_the_outbox_limit_does_not_cut_a_client_that_reads(daemon: Daemon) -> None:
    count = 400
    with open_live_session(daemon, "bob") as bob, open_live_session(daemon, "carol") as carol:
        before = _cuts(daemon)
        bob.send_payload(b"".join(frame(_message(n + 10, "x" * MESSAGE_CHARS)) for n in range(count // 2)))
        bob.send_payload(b"".join(frame(_message(n + 1000, "x" * MESSAGE_CHARS)) for n in range(count // 2)))
        for client in (bob, carol):
            for _ in range(count):
                client.until(type="message")
        assert _cuts(daemon) == before


def test_a_client_that_does_not_read_its_replies_is_cut(daemon: Daemon) -> None:
    with (
        open_live_session(daemon, "carol", receive_buffer=4096) as greedy,
        open_live_session(daemon, "bob") as bob,
    ):
        bob.send(*(_message(n + 10, "\u3042" * MESSAGE_CHARS) for n in range(150)))
        for _ in range(150):
            bob.until(type="ok")
        before = _cuts(daemon)
        with contextlib.suppress(OSError):
            for request_id in range(1, 200):
                greedy.send({"type": "history", "id": request_id, "room": "#lobby", "limit": 150})
        wait_until(lambda: _cuts(daemon) > before, what="the greedy client to be cut")
        assert bob.say("next")["type"] == "ok"


def test_a_session_held_back_by_the_rate_limit_ends_at_once_when_kicked_or_closed(daemon: Daemon) -> None:
    with open_live_session(daemon, "snail") as kicked, open_live_session(daemon, "alice", "console") as alice:
        kicked.send(*({"type": "rooms", "id": n} for n in range(1, 1000)))
        kicked.until(type="slowed")
        alice.ask("kick", user="snail")
        assert kicked.read_bye()["code"] == "E208"
        alice.ask("unban", user="snail")
    with open_live_session(daemon, "snail") as leaving:
        leaving.send(*({"type": "rooms", "id": n} for n in range(1, 1000)))
        leaving.until(type="slowed")
    wait_until(lambda: session_count(daemon) == 0, what="the session to end")


def test_the_client_library_reports_the_limit_that_refused_a_login(daemon: Daemon) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(SESSIONS_PER_USER):
            stack.enter_context(open_live_session(daemon, "bob"))
        identity = read_identity(daemon.identity("bob"))
        client = stack.enter_context(Client(identity, reconnect=False))
        with pytest.raises(ChatdError) as caught:
            client.wait_connected(30)
        assert caught.value.code == "E505"
        assert json.dumps(str(caught.value)).isascii()
