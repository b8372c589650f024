"""Guests in the hub: their time ends by itself, sponsors are reminded, extend it and end it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatctl.model import render
from chatctl.model.chat_model import ChatModel
from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.hub.state import guests, invites
from chatd.hub.state.context import OPERATOR
from chatd.hub.state.guest_book import HOUR_MS
from chatd.hub.state.model import State, audience_of
from chatd.hub.state.user_standing import check_standing
from chatd.proto import events as ev
from chatd.proto.invite_code import secret_hash
from tests.support.hub_harness import HubHarness
from tests.support.hubworld import World

DAY_MS = 24 * HOUR_MS
KEY = "aa" * 32


@pytest.fixture
def world() -> World:
    """alice is an admin; bob and dan are users; gil is bob's guest for 48 hours, in #lobby and #team."""
    world = World(Settings.model_validate({"rooms": [{"name": "#lobby", "autojoin": True, "guests": True}]}))
    world.create_configured_rooms()
    for name, role in (("alice", "admin"), ("bob", None), ("dan", None)):
        world.add_user(name, role)
    world.ask("bob", "create", room="#team", guests=True)
    join(world, "gil", guest_seconds=48 * 3600, sponsor="bob", rooms=["#team"])
    return world


def join(world: World, user: str, *, serial: str = "c1", **fields: Any) -> None:
    secret = secret_hash(f"{user}{serial}".encode())
    world.ask("alice", "invite_create", user=user, secret_hash=secret, seconds=86_400, **fields)
    context = world.context(OPERATOR)
    invites.check(context, secret, serial * 32, "")
    invites.redeem(context, secret, serial * 32, "", serial, world.now, world.now + 400 * DAY_MS)
    world.log += context.events


def advance(world: World, ms: int = 0) -> list[str]:
    """Let time pass; return the kinds of the events that the hub's clock emits."""
    world.now += ms
    context = world.context(OPERATOR)
    guests.advance(context)
    world.log += context.events
    return [event["type"] for event in context.events]


def standing(world: World, user: str = "gil", device: str = "laptop") -> str:
    try:
        check_standing(world.context(OPERATOR), user, device)
    except ChatdError as error:
        return error.code
    return "ok"


def test_a_guest_has_the_role_guest_and_ends_with_everything(world: World) -> None:
    gil = world.state.users["gil"]
    assert (gil.role, list(gil.rooms)) == ("guest", ["#lobby", "#team"])
    assert standing(world) == "ok"
    assert advance(world, 48 * HOUR_MS - 1) == ["guest_reminded"]
    assert standing(world) == "ok"
    assert advance(world, 1) == ["parted", "parted", "guest_ended"]
    assert standing(world) == "E219"
    assert list(gil.rooms) == []
    assert all(device.revoked for device in gil.devices.values())
    assert advance(world, DAY_MS) == []


def test_the_time_counts_before_its_event_is_there(world: World) -> None:
    world.now += 48 * HOUR_MS
    assert world.outcome("gil", "rooms") == "E219"


def test_a_clock_that_is_set_back_revives_nobody(world: World) -> None:
    advance(world, 48 * HOUR_MS)
    world.now -= 47 * HOUR_MS
    assert standing(world) == "E219"


def test_a_replay_and_a_snapshot_give_the_same_guests(world: World) -> None:
    advance(world, 24 * HOUR_MS)
    for state in (State.restore(world.state.snapshot()), replayed(world)):
        assert state == world.state
        assert state.guests.next_due() == world.state.guests.next_due()
    advance(world, 24 * HOUR_MS)
    assert replayed(world) == State.restore(world.state.snapshot()) == world.state


def replayed(world: World) -> State:
    state = State()
    for event in world.log:
        state.apply(event)
    return state


def test_the_sponsor_is_reminded_a_day_and_an_hour_before_once(world: World) -> None:
    assert advance(world, 24 * HOUR_MS - 1) == []
    assert advance(world, 1) == ["guest_reminded"]
    assert advance(world) == []
    assert audience_of(world.log[-1]) == "=bob"
    world.state = State.restore(world.state.snapshot())
    assert advance(world, 22 * HOUR_MS) == []
    assert advance(world, HOUR_MS) == ["guest_reminded"]
    assert advance(world) == []


def test_a_server_that_was_down_reminds_once_of_what_is_left(world: World) -> None:
    assert advance(world, 47 * HOUR_MS + 1) == ["guest_reminded"]
    assert advance(world, HOUR_MS // 2) == []


def test_a_short_guest_has_no_reminder_of_the_day_before(world: World) -> None:
    join(world, "hal", serial="c2", guest_seconds=2 * 3600)
    assert advance(world, HOUR_MS - 1) == []
    assert advance(world, 1) == ["guest_reminded"]
    assert world.log[-1]["user"] == "alice", "whoever invites is the sponsor"


@pytest.mark.parametrize(
    ("who", "outcome"), [("bob", "ok"), ("alice", "ok"), ("dan", "E405"), ("gil", "E300")]
)
def test_only_the_sponsor_and_admins_extend_and_end(world: World, who: str, outcome: str) -> None:
    assert world.outcome(who, "guest_extend", user="gil", seconds=24 * 3600) == outcome
    assert world.outcome(who, "guest_end", user="gil", dry_run=True) == outcome
    assert world.outcome(who, "guest_end", user="gil") == outcome
    assert standing(world) == ("E219" if outcome == "ok" else "ok")
    if outcome == "E405":
        told = world.refusal_text(who, "guest_end", user="gil")
        assert told == world.refusal_text(who, "guest_end", user="nil").replace("nil", "gil")


def test_each_lists_their_own_guests_and_admins_all(world: World) -> None:
    join(world, "hal", serial="c2", guest_seconds=3600, sponsor="dan")
    listed = {
        who: [one["user"] for one in world.ask(who, "guest_list")["guests"]]
        for who in ("bob", "dan", "alice")
    }
    assert listed == {"bob": ["gil"], "dan": ["hal"], "alice": ["gil", "hal"]}


def test_an_extended_guest_stays_and_the_sponsor_is_reminded_again(world: World) -> None:
    advance(world, 47 * HOUR_MS)
    world.ask("bob", "guest_extend", user="gil", seconds=48 * 3600)
    assert advance(world, 24 * HOUR_MS) == []
    assert advance(world, HOUR_MS) == ["guest_reminded"]
    assert advance(world, 24 * HOUR_MS)[-1] == "guest_ended"
    assert standing(world) == "E219"
    assert world.outcome("bob", "guest_extend", user="gil", seconds=3600) == "E410"


def test_nobody_stays_for_more_than_ninety_days(world: World) -> None:
    assert world.outcome("bob", "guest_extend", user="gil", seconds=89 * 86_400) == "E409"
    assert world.outcome("bob", "guest_extend", user="gil", seconds=87 * 86_400) == "ok"


def test_an_ended_guest_can_be_invited_again_with_the_same_name(world: World) -> None:
    secret = secret_hash(b"x" * 16)
    ask = {"user": "gil", "secret_hash": secret, "seconds": 3600, "guest_seconds": 7200}
    assert world.outcome("alice", "invite_create", **ask) == "E406", "gil is still here"
    advance(world, 48 * HOUR_MS)
    join(world, "gil", serial="c3", guest_seconds=3600, rooms=["#team"])
    assert sorted(world.state.users["gil"].devices) == ["laptop", "laptop-2"]
    assert standing(world, device="laptop-2") == "ok"
    assert standing(world) == "E206", "the old certificate stays ended"
    assert "#team" in world.state.users["gil"].rooms
    assert advance(world, HOUR_MS)[-1] == "guest_ended"


def test_an_ended_guest_can_become_a_user_who_stays(world: World) -> None:
    advance(world, 48 * HOUR_MS)
    join(world, "gil", serial="c3", role="user")
    assert world.outcome("alice", "guest_end", user="gil") == "E405"
    assert advance(world, 400 * DAY_MS) == []
    assert standing(world, device="laptop-2") == "ok"


def test_a_role_that_an_ended_guest_had_needs_the_rights_to_give_it() -> None:
    permissions = {"admin": ["*"], "user": ["guest.sponsor"], "guest": []}
    permissions["host"] = ["invite.create", "user.list", "guest.sponsor"]
    world = World(Settings.model_validate({"roles": {"permissions": permissions}}))
    for name, role in (("alice", "admin"), ("hugo", "host")):
        world.add_user(name, role)
    join(world, "gil", role="admin", guest_seconds=3600)
    advance(world, HOUR_MS)
    ask = {"user": "gil", "secret_hash": secret_hash(b"y" * 16), "seconds": 3600}
    assert world.outcome("hugo", "invite_create", **ask) == "E304"
    assert world.outcome("hugo", "invite_create", **ask, role="guest") == "ok"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"sponsor": "nil"}, "E405"),
        ({"sponsor": "hal"}, "E405"),
        ({"sponsor": "gil"}, "E304"),
        ({"user": "alice"}, "E304"),
        ({"guest_seconds": None, "sponsor": "bob"}, "E403"),
    ],
)
def test_a_guest_has_a_sponsor_who_stays(world: World, fields: dict[str, Any], code: str) -> None:
    ask = {"user": "hal", "secret_hash": secret_hash(b"z" * 16), "seconds": 3600, "guest_seconds": 3600}
    assert world.outcome("alice", "invite_create", **ask | fields) == code


def test_a_code_ends_no_later_than_its_guest(world: World) -> None:
    result = world.ask(
        "alice", "invite_create", user="hal", secret_hash=secret_hash(b"z"), seconds=86_400, guest_seconds=60
    )
    assert result["until"] == world.now + 60_000


def test_the_operator_adds_a_guest(world: World) -> None:
    world.ask(OPERATOR, "user_add", user="hal", device="laptop", serial="d1", guest_seconds=60, sponsor="bob")
    world.ask(OPERATOR, "user_add", user="ida", device="laptop", serial="d2", guest_seconds=60)
    advance(world, 60_000)
    assert standing(world, "hal") == standing(world, "ida") == "E219"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubHarness]:
    """A hub with bob and his guest gil, each with a session; gil's on both workers."""
    harness = HubHarness(tmp_path, Settings())
    harness.operator.link.operator = OPERATOR
    for name, fields in (("bob", {}), ("gil", {"guest_seconds": 7200, "sponsor": "bob", "role": "guest"})):
        add = {"user": name, "device": "laptop", "serial": f"{ord(name[0]):x}"}
        harness.ask(harness.operator, 0, "user_add", **add, **fields)
    first, second = harness.workers
    assert harness.open_session(first, 1, "bob", "laptop", "62")
    assert harness.open_session(first, 2, "gil", "laptop", "67")
    assert harness.open_session(second, 3, "gil", "laptop", "67")
    harness.ask(first, 1, "resume")
    yield harness
    harness.close()


def tick(harness: HubHarness) -> None:
    harness.hub.before_commit()
    harness.run_iteration()


def test_sessions_on_all_workers_end_at_the_time(hub: HubHarness) -> None:
    first, second = hub.workers
    hub.now += 3_600_000
    tick(hub)
    assert [event["type"] for sid, event in first.delivered if sid == 1][-1] == "guest_reminded"
    assert hub.hub.idle_seconds(1.0) == 1.0
    hub.now += 3_599_900
    tick(hub)
    assert (first.sessions, second.sessions) == ({1, 2}, {3})
    assert hub.hub.idle_seconds(1.0) == 0.1
    hub.now += 100
    tick(hub)
    assert (first.sessions, second.sessions) == ({1}, set())
    assert not hub.open_session(first, 4, "gil", "laptop", "67")


def test_sessions_end_on_a_full_disk_too(hub: HubHarness) -> None:
    hub.now += 7_200_000
    hub.hub.writable = False
    hub.hub._space._has_space = lambda: False
    tick(hub)
    assert [worker.sessions for worker in hub.workers] == [{1}, set()]
    assert not hub.open_session(hub.workers[0], 4, "gil", "laptop", "67")
    assert hub.hub.idle_seconds(1.0) == 1.0, "no spinning"


def test_both_clients_show_the_reminder() -> None:
    event = ev.GuestReminded(type="guest_reminded", seq=5, at=0, user="bob", guest="gil\x1b", ends=DAY_MS)
    model = ChatModel("bob")
    model.take(event)
    [alert] = model.alerts
    assert "gil" in alert.title and "chatctl guest extend" in alert.text
    shown = render.plain(render.render(event, render.Viewer()))
    assert "1970-01-02 00:00:00Z" in shown and "\x1b" not in shown
