"""Who is told that somebody came, went or was made to go: members of a shared room whose role may know it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from chatd.policy.roles import DEFAULT_ROLES
from tests.support.abused import abused, changed
from tests.support.daemon import Daemon
from tests.support.rawclient import Json, RawClient

BLIND = [name for name in DEFAULT_ROLES["user"] if name != "presence.read"]
USERS = ("bob", "carol", "dan", "erin")


def settings(tree: dict[str, Any]) -> None:
    changed(tree, "server", timeout=300)
    changed(tree, "roles", permissions={**DEFAULT_ROLES, "blind": BLIND})


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with abused(tmp_path_factory.mktemp("presence") / "home", settings, *USERS) as daemon:
        yield daemon


@pytest.fixture
def people(daemon: Daemon) -> Iterator[dict[str, RawClient]]:
    """All of them live in #lobby, except erin; dan may not see who is there."""
    with contextlib.ExitStack() as stack:
        found = {}
        for name, device in (("alice", "console"), *((name, "laptop") for name in USERS)):
            client = RawClient(daemon.port, daemon.identity(name, device)).logged_in()
            found[name] = stack.enter_context(client)
        found["alice"].ask("role_set", user="dan", role="blind")
        for client in found.values():
            client.ask("resume")
        found["erin"].ask("part", room="#lobby")
        yield found
        found["alice"].ask("unban", user="bob")
        found["erin"].ask("join", room="#lobby")


def told(people: dict[str, RawClient], *names: str) -> dict[str, list[Json]]:
    """What each has heard of bob's presence by now."""
    people["alice"].ask("announce", body="now")
    found = {}
    for name in names:
        events: list[Json] = []
        while (event := people[name].receive()).get("type") != "announcement":
            events.append(event)
        found[name] = [e for e in events if e["type"] == "presence" and e["user"] == "bob"]
    return found


@pytest.mark.parametrize(("kind", "cause"), [("kick", "kicked"), ("ban", "banned")])
@pytest.mark.parametrize("reason", ["cool\x1b down", ""])
def test_a_removal_is_told_with_by_whom_and_why(
    people: dict[str, RawClient], kind: str, cause: str, reason: str
) -> None:
    told(people, "carol", "dan", "erin")
    people["alice"].ask(kind, user="bob", reason=reason)
    assert people["bob"].bye()["code"] in ("E207", "E208")
    heard = told(people, "carol", "dan", "erin")
    shown = reason.replace("\x1b", "\\x1b")
    because = {"cause": cause, "by": "alice", "reason": shown}
    assert heard["carol"] == [
        {"type": "presence", "room": "#lobby", "user": "bob", "state": "offline", "text": ""} | because
    ]
    assert heard["dan"] == heard["erin"] == []


@pytest.mark.parametrize(("kind", "cause"), [("kick", "kicked"), ("ban", "banned")])
def test_a_removal_of_somebody_who_is_offline_is_told(
    people: dict[str, RawClient], kind: str, cause: str
) -> None:
    people["bob"].sock.close()
    people["carol"].until(type="presence", user="bob", state="offline")
    told(people, "carol", "dan", "erin")
    assert people["alice"].ask(kind, user="bob", reason="spam", dry_run=True)["type"] == "ok"
    assert told(people, "carol") == {"carol": []}
    assert people["alice"].ask(kind, user="bob", reason="spam")["type"] == "ok"
    heard = told(people, "carol", "dan", "erin")
    (notice,) = heard["carol"]
    assert (notice["state"], notice["cause"], notice["by"], notice["reason"]) == (
        "offline", cause, "alice", "spam"
    )  # fmt: skip
    assert heard["dan"] == heard["erin"] == []


def test_a_revoked_device_is_not_told(daemon: Daemon, people: dict[str, RawClient]) -> None:
    daemon.add_user("bob", device="lost")
    told(people, "carol")
    assert people["alice"].ask("revoke", user="bob", device="lost", reason="stolen")["type"] == "ok"
    assert told(people, "carol") == {"carol": []}


def test_who_leaves_by_themselves_has_no_cause_and_a_role_counts_at_once(
    daemon: Daemon, people: dict[str, RawClient]
) -> None:
    people["bob"].sock.close()
    left = {"type": "presence", "room": "#lobby", "user": "bob", "state": "offline", "text": ""}
    assert people["carol"].until(type="presence", user="bob", state="offline") == left
    assert told(people, "dan", "erin") == {"dan": [], "erin": []}
    people["alice"].ask("role_set", user="dan", role="user")
    with RawClient(daemon.port, daemon.identity("bob")).logged_in():
        assert people["dan"].until(type="presence")["state"] == "online"
    people["dan"].until(type="presence", state="offline")
    people["alice"].ask("role_set", user="dan", role="blind")
    told(people, "dan")
    with RawClient(daemon.port, daemon.identity("bob")).logged_in() as bob:
        bob.ask("away", text="tea")
        assert told(people, "dan") == {"dan": []}


def test_who_was_connected_twice_is_told_of_once(daemon: Daemon, people: dict[str, RawClient]) -> None:
    with RawClient(daemon.port, daemon.identity("bob")).logged_in() as again:
        told(people, "carol")
        people["alice"].ask("kick", user="bob")
        again.bye()
        (notice,) = told(people, "carol")["carol"]
        assert (notice["cause"], notice["by"], notice["reason"]) == ("kicked", "alice", "")
