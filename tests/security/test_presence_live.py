"""Presence events of logins, logouts and removals reach only members of a shared room with presence.read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from chatd.policy.roles import DEFAULT_ROLES
from tests.support.daemon import Daemon
from tests.support.rawclient import Json, RawClient
from tests.support.under_attack import daemon_under_attack, log_in, update_section

WITHOUT_PRESENCE = [name for name in DEFAULT_ROLES["user"] if name != "presence.read"]
USERS = ("bob", "carol", "dan", "erin")


def settings(tree: dict[str, Any]) -> None:
    update_section(tree, "server", timeout=300)
    update_section(tree, "roles", permissions={**DEFAULT_ROLES, "blind": WITHOUT_PRESENCE})


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemon_under_attack(tmp_path_factory.mktemp("presence") / "home", settings, *USERS) as daemon:
        yield daemon


@pytest.fixture
def people(daemon: Daemon) -> Iterator[dict[str, RawClient]]:
    """Live sessions of alice and all users; all but erin are in #lobby; dan may not read presence."""
    with contextlib.ExitStack() as stack:
        sessions: dict[str, RawClient] = {}
        for name, device in (("alice", "console"), *((name, "laptop") for name in USERS)):
            sessions[name] = stack.enter_context(log_in(daemon, name, device))
        sessions["alice"].ask("role_set", user="dan", role="blind")
        for client in sessions.values():
            client.ask("resume")
        sessions["erin"].ask("part", room="#lobby")
        yield sessions
        sessions["alice"].ask("unban", user="bob")
        sessions["erin"].ask("join", room="#lobby")


def presence_of_bob(people: dict[str, RawClient], *names: str) -> dict[str, list[Json]]:
    """Return the presence events of bob that each of these users has received since the last call."""
    people["alice"].ask("announce", body="now")
    received = {}
    for name in names:
        events: list[Json] = []
        while (event := people[name].receive()).get("type") != "announcement":
            events.append(event)
        received[name] = [e for e in events if e["type"] == "presence" and e["user"] == "bob"]
    return received


@pytest.mark.parametrize(("kind", "cause"), [("kick", "kicked"), ("ban", "banned")])
@pytest.mark.parametrize("reason", ["cool\x1b down", ""])
def test_the_presence_event_of_a_removal_says_who_did_it_and_why(
    people: dict[str, RawClient], kind: str, cause: str, reason: str
) -> None:
    presence_of_bob(people, "carol", "dan", "erin")
    people["alice"].ask(kind, user="bob", reason=reason)
    assert people["bob"].read_bye()["code"] in ("E207", "E208")
    heard = presence_of_bob(people, "carol", "dan", "erin")
    shown = reason.replace("\x1b", "\\x1b")
    because = {"cause": cause, "by": "alice", "reason": shown}
    assert heard["carol"] == [
        {"type": "presence", "room": "#lobby", "user": "bob", "state": "offline", "text": ""} | because
    ]
    assert heard["dan"] == heard["erin"] == []


@pytest.mark.parametrize(("kind", "cause"), [("kick", "kicked"), ("ban", "banned")])
def test_the_removal_of_an_offline_user_sends_a_presence_event(
    people: dict[str, RawClient], kind: str, cause: str
) -> None:
    people["bob"].sock.close()
    people["carol"].until(type="presence", user="bob", state="offline")
    presence_of_bob(people, "carol", "dan", "erin")
    assert people["alice"].ask(kind, user="bob", reason="spam", dry_run=True)["type"] == "ok"
    assert presence_of_bob(people, "carol") == {"carol": []}
    assert people["alice"].ask(kind, user="bob", reason="spam")["type"] == "ok"
    heard = presence_of_bob(people, "carol", "dan", "erin")
    (notice,) = heard["carol"]
    assert (notice["state"], notice["cause"], notice["by"], notice["reason"]) == (
        "offline", cause, "alice", "spam"
    )  # fmt: skip
    assert heard["dan"] == heard["erin"] == []


def test_revoking_an_offline_device_sends_no_presence_event(
    daemon: Daemon, people: dict[str, RawClient]
) -> None:
    daemon.add_user("bob", device="lost")
    presence_of_bob(people, "carol")
    assert people["alice"].ask("revoke", user="bob", device="lost", reason="stolen")["type"] == "ok"
    assert presence_of_bob(people, "carol") == {"carol": []}


def test_the_presence_event_of_a_logout_has_no_cause(people: dict[str, RawClient]) -> None:
    people["bob"].sock.close()
    left = {"type": "presence", "room": "#lobby", "user": "bob", "state": "offline", "text": ""}
    assert people["carol"].until(type="presence", user="bob", state="offline") == left
    assert presence_of_bob(people, "dan", "erin") == {"dan": [], "erin": []}


def test_a_change_of_role_grants_and_withdraws_presence_at_once(
    daemon: Daemon, people: dict[str, RawClient]
) -> None:
    people["bob"].sock.close()
    people["carol"].until(type="presence", user="bob", state="offline")
    people["alice"].ask("role_set", user="dan", role="user")
    with log_in(daemon, "bob"):
        assert people["dan"].until(type="presence")["state"] == "online"
    people["dan"].until(type="presence", state="offline")
    people["alice"].ask("role_set", user="dan", role="blind")
    presence_of_bob(people, "dan")
    with log_in(daemon, "bob") as bob:
        bob.ask("away", text="tea")
        assert presence_of_bob(people, "dan") == {"dan": []}


def test_the_removal_of_a_user_with_two_sessions_sends_one_presence_event(
    daemon: Daemon, people: dict[str, RawClient]
) -> None:
    with log_in(daemon, "bob") as second:
        presence_of_bob(people, "carol")
        people["alice"].ask("kick", user="bob")
        second.read_bye()
        (notice,) = presence_of_bob(people, "carol")["carol"]
        assert (notice["cause"], notice["by"], notice["reason"]) == ("kicked", "alice", "")
