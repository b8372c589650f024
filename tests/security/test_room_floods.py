"""Users make as many rooms and conversations as they can, and ask for every list all the time.

Admins can still create rooms, and an answer costs as much as its page, however much there is to list. The
cost is counted in steps of the interpreter and comparisons of names, not in time.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from chatd.config.schema import Settings
from chatd.hub.state.queries import PAGE_ENTRIES
from tests.support.daemon import Daemon
from tests.support.hubworld import World
from tests.support.rawclient import RawClient
from tests.support.under_attack import (
    UNLIMITED,
    daemon_under_attack,
    log_in,
    log_in_admin,
    update_section,
)

ROOMS, CONVERSATIONS = 30, 10


def settings(tree: dict[str, Any]) -> None:
    limits = {role: UNLIMITED | {"rooms_per_day": 1000} for role in ("user", "admin", "guest")}
    limits["guest"]["rooms_per_day"] = 0
    update_section(tree, "limits", rooms=ROOMS, conversations=CONVERSATIONS, per_role=limits)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    home = tmp_path_factory.mktemp("floods") / "home"
    users = [f"u{number}" for number in range(CONVERSATIONS)]
    with daemon_under_attack(home, settings, "mallory", "bob", *users) as daemon:
        daemon.add_user("gus", "guest")
        yield daemon


def until_refused(client: RawClient, begin: str) -> int:
    """Create rooms until the server refuses; return how many there are."""
    for number in range(ROOMS + 1):
        reply = client.ask("create", room=f"{begin}{number}", topic="t" * 256)
        if reply["type"] == "error":
            assert (reply["code"], reply["reason"][:12]) == ("E409", f"there are {ROOMS - 3}")
            return number
    raise AssertionError("the server creates any number of rooms")


def test_after_a_flood_of_rooms_an_admin_still_creates_and_removes_some(daemon: Daemon) -> None:
    with log_in(daemon, "mallory") as mallory, log_in(daemon, "bob") as bob, log_in_admin(daemon) as alice:
        made = until_refused(mallory, "#flood")
        assert bob.ask("create", room="#mine")["code"] == "E409"
        assert alice.ask("create", room="#ops")["type"] == "ok"
        listing = daemon.chatctl("room", "list").stdout
        assert f"#flood{made - 1}" in listing
        unwanted = [f"#flood{number}" for number in range(made)]
        assert (
            "would be removed: #flood0 with 1 member"
            in daemon.chatctl("room", "remove", "#flood0", "--dry-run").stdout
        )
        refused = daemon.chatctl("room", "remove", "#flood0", check=False)
        assert refused.returncode == 2 and "--yes" in refused.stderr
        for room in unwanted[:-1]:
            assert alice.ask("room_remove", room=room)["type"] == "ok"
        assert daemon.chatctl("room", "remove", unwanted[-1], "--yes").stdout.startswith("removed")
        while (reply := bob.ask("create", room="#mine"))["type"] == "error":
            assert reply["code"] == "E409"
        while (reply := bob.ask("create", room="#flood0"))["type"] == "error":
            assert reply["code"] == "E406"


def test_after_a_flood_of_conversations_rooms_and_an_admins_messages_are_possible(daemon: Daemon) -> None:
    with log_in(daemon, "mallory") as mallory, log_in(daemon, "bob") as bob, log_in_admin(daemon) as alice:
        replies = [mallory.say("x", to=f"@u{number}") for number in range(CONVERSATIONS)]
        assert [reply["type"] for reply in replies] == ["ok"] * (CONVERSATIONS - 1) + ["error"]
        assert bob.say("x", to="@u0")["code"] == "E409"
        assert bob.ask("create", room="#quiet")["type"] == "ok"
        assert alice.say("x", to="@bob")["type"] == "ok"


# --- the cost of lists -----------------------------------------------------------------------------------


class CountedName(str):
    """A name that counts how often it is compared."""

    compared = 0

    def __lt__(self, other: str) -> bool:
        CountedName.compared += 1
        return str.__lt__(self, other)


@contextmanager
def counted(steps: list[int]) -> Iterator[None]:
    """Count the lines that the interpreter executes, loops of expressions included, and comparisons."""
    lines = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal lines
        lines += 1
        frame.f_trace_opcodes = True
        return trace

    CountedName.compared = 0
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)
        steps.append(lines + CountedName.compared)


def crowded(size: int) -> World:
    """Build a world with so many rooms (one in 50 open to guests), users, bans and members of #lobby."""
    world = World(Settings.model_validate({"limits": {"per_role": {}, "rooms_per_user": 1000}}))
    world.create_configured_rooms()
    for name, role in (("alice", "admin"), ("gus", "guest"), ("bob", None)):
        world.add_user(name, role)
    apply = world.state.apply
    for number in range(size):
        event = {"seq": world.state.head + 1, "at": world.now, "by": "server"}
        user, room = CountedName(f"user{number}"), CountedName(f"#room{number}")
        apply(event | {"type": "user_added", "user": user, "role": None})
        apply(event | {"type": "joined", "user": user, "room": "#lobby", "role": "user"})
        apply(event | {"type": "room_created", "room": room, "topic": "", "guests": number % 50 == 0})
        ban = {"type": "banned", "user": user, "until": world.now + number % 2 * 10**6, "reason": ""}
        apply(event | ban)
    return world


LISTS: list[tuple[str, str, dict[str, Any]]] = [
    ("gus", "rooms", {}),
    ("gus", "rooms", {"archived": True}),
    ("bob", "rooms", {}),
    ("bob", "rooms", {"after": "#room1"}),
    ("gus", "who", {"room": "#lobby"}),
    ("bob", "who", {"room": "#lobby", "after": "user1"}),
    ("bob", "whois", {"user": "user5"}),
    ("alice", "whois", {"user": "user5"}),
    ("alice", "users", {}),
    ("alice", "users", {"after": "user1"}),
    ("alice", "bans", {}),
    ("alice", "role_show", {}),
    ("bob", "create", {"room": "#room1"}),
    ("bob", "join", {"room": "#lobby"}),
]


@pytest.fixture(scope="module")
def worlds() -> tuple[World, World]:
    """A world in which every list fills a page or more, and one 16 times as large."""
    return crowded(2 * PAGE_ENTRIES), crowded(32 * PAGE_ENTRIES)


@pytest.mark.parametrize(("who", "kind", "fields"), LISTS)
def test_an_answer_costs_as_much_as_its_page(
    worlds: tuple[World, World], who: str, kind: str, fields: dict[str, Any]
) -> None:
    steps: list[int] = []
    for world in worlds:
        # The first list of bans after some have ended removes these, once.
        world.outcome(who, kind, **fields)
        with counted(steps):
            world.outcome(who, kind, **fields)
    small, large = steps
    # The open rooms of the smaller world do not fill a page; binary search takes some steps more.
    entries = 2 * PAGE_ENTRIES // 50 if (who, kind) == ("gus", "rooms") else PAGE_ENTRIES
    assert large <= small * PAGE_ENTRIES / entries + 500


def test_the_count_tells_a_sorted_list_from_one_that_is_sorted_for_each_request(
    worlds: tuple[World, World],
) -> None:
    steps: list[int] = []
    for world in worlds:
        with counted(steps):
            sorted(name for name in world.state.users if name > "user5")
    assert steps[1] > steps[0] * 8
