"""Rooms by invitation, read-only rooms, owners, groups: what is permitted, and what a replay keeps."""

from __future__ import annotations

import json

import pytest

from chatd.config.schema import Settings
from chatd.hub.state import room_access, rooms
from chatd.hub.state.context import Principal
from chatd.hub.state.model import DAY_MS, State
from chatd.proto.text import GROUP_MEMBERS
from tests.support.hubworld import World

SETTINGS = Settings.model_validate(
    {
        "roles": {"assigned": {"ann": "admin", "gus": "guest"}},
        "rooms": [{"name": "#lobby", "autojoin": True, "guests": True}],
        "limits": {"conversations_per_user": 3, "per_role": {"user": {"rooms_per_day": 4}}},
    }
)
USERS = ("ann", "bob", "carl", "dora", "gus")


@pytest.fixture
def world() -> World:
    """Build a world in which all are in #lobby, and bob owns #team, a members room."""
    world = World(SETTINGS)
    world.create_configured_rooms()
    for name in USERS:
        world.add_user(name)
    world.ask("bob", "create", room="#team", mode="members")
    return world


def admit(world: World, *users: str) -> None:
    for user in users:
        world.ask("bob", "invite", room="#team", user=user)
        world.ask(user, "join", room="#team")


def listed(world: World, who: str) -> set[str]:
    return {entry["room"] for entry in world.ask(who, "rooms")["rooms"]}


def replayed(world: World) -> State:
    state = State()
    for event in world.log:
        state.apply(json.loads(json.dumps(event)))
    return state


def test_a_members_room_is_entered_by_invitation_and_listed_to_its_members(world: World) -> None:
    assert world.outcome("carl", "join", room="#team") == "E404"
    assert "#team" not in listed(world, "carl")
    world.ask("bob", "invite", room="#team", user="carl")
    assert "#team" in listed(world, "carl")
    assert world.outcome("carl", "history", room="#team") == "E301"
    joined = world.ask("carl", "join", room="#team")
    assert (joined["mode"], joined["history"]) == ("members", "all")
    assert world.outcome("dora", "join", room="#team") == "E404"


@pytest.mark.parametrize("way_out", ["part", "member_remove", "kick"])
def test_there_is_no_way_back_into_a_members_room_without_an_invitation(world: World, way_out: str) -> None:
    admit(world, "carl")
    who = {"part": "carl", "member_remove": "bob", "kick": "ann"}[way_out]
    world.ask(who, way_out, room="#team", **({} if way_out == "part" else {"user": "carl"}))
    for kind in ("join", "history", "who", "part", "room_info"):
        assert world.outcome("carl", kind, room="#team") == "E404", kind
    assert "#team" not in world.ask("carl", "search", query="x")["rooms"]
    assert "#team" not in world.ask("carl", "resume", after=0)["rooms"]


def test_an_invitation_ends_is_withdrawn_and_is_declined(world: World) -> None:
    world.ask("bob", "invite", room="#team", user="carl")
    world.now += room_access.INVITE_DAYS * DAY_MS
    assert world.outcome("carl", "join", room="#team") == "E404"
    for who in ("bob", "carl"):
        world.ask("bob", "invite", room="#team", user="carl")
        world.ask(who, "uninvite", room="#team", user="carl")
        assert world.outcome("carl", "join", room="#team") == "E404"
    assert world.outcome("bob", "uninvite", room="#team", user="carl") == "E410"


def test_invitations_are_bounded_and_ended_ones_make_space(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room_access, "INVITES_PER_ROOM", 2)
    for user in ("carl", "dora"):
        world.ask("bob", "invite", room="#team", user=user)
    assert world.outcome("bob", "invite", room="#team", user="ann") == "E409"
    world.ask("bob", "invite", room="#team", user="carl")
    world.now += room_access.INVITE_DAYS * DAY_MS
    world.ask("bob", "invite", room="#team", user="ann")
    assert world.state.rooms["#team"].invited == {"ann"}
    assert not world.state.users["carl"].invites
    monkeypatch.setattr(room_access, "INVITES_PER_USER", 1)
    world.ask("dora", "create", room="#other", mode="members")
    assert world.outcome("dora", "invite", room="#other", user="ann") == "E409"


def test_only_owners_invite_and_only_entitled_users_are_invited(world: World) -> None:
    admit(world, "carl")
    assert world.outcome("carl", "invite", room="#team", user="dora") == "E311"
    # An admin has to become an owner first, which the members see.
    assert world.outcome("ann", "invite", room="#team", user="ann") == "E301"
    assert world.outcome("bob", "invite", room="#team", user="gus") == "E303"
    assert world.outcome("bob", "invite", room="#team", user="nobody") == "E405"
    assert world.outcome("bob", "invite", room="#team", user="carl") == "E410"
    # To an open room every member invites, and everybody enters anyway.
    assert world.outcome("carl", "invite", room="#lobby", user="dora") == "E410"


def test_an_admin_lists_archives_and_takes_over_a_members_room_but_does_not_read_it(world: World) -> None:
    assert "#team" in listed(world, "ann")
    for kind in ("history", "part"):
        assert world.outcome("ann", kind, room="#team") == "E301"
    assert world.outcome("ann", "join", room="#team") == "E312"
    assert world.outcome("ann", "send", to="#team", body="x") == "E301"
    assert "#team" not in world.ask("ann", "resume", after=0)["rooms"]
    assert world.outcome("ann", "room_archive", room="#team", dry_run=True) == "ok"
    before = len(world.log)
    world.ask("ann", "owner", room="#team", user="ann")
    assert [event["type"] for event in world.log[before:]] == ["joined", "owner_set"]
    assert world.outcome("ann", "history", room="#team") == "ok"
    assert world.state.rooms["#team"].owners == {"ann", "bob"}


def test_a_new_user_is_invited_into_a_members_room_by_its_owners_only(world: World) -> None:
    invite = {"user": "eve", "secret_hash": "0a" * 32, "seconds": 3600, "rooms": ["#team"]}
    assert world.outcome("ann", "invite_create", **invite) == "E311"
    world.add_user("eve")
    context = world.context(Principal("ann", "laptop"))
    rooms.join_invited(context, "eve", ["#team"], by="ann")
    assert "eve" not in world.state.rooms["#team"].members
    rooms.join_invited(context, "eve", ["#team"], by="bob")
    assert "eve" in world.state.rooms["#team"].members


def test_owners_name_owners_and_the_last_one_stays(world: World) -> None:
    assert world.outcome("bob", "part", room="#team") == "ok"
    world.ask("bob", "create", room="#next", mode="members")
    for user in ("carl", "dora"):
        world.ask("bob", "invite", room="#next", user=user)
        world.ask(user, "join", room="#next")
    assert world.outcome("bob", "part", room="#next") == "E314"
    assert world.outcome("bob", "owner", room="#next", user="bob", on=False) == "E314"
    assert world.outcome("carl", "owner", room="#next", user="carl") == "E311"
    world.ask("bob", "owner", room="#next", user="carl")
    assert world.outcome("carl", "member_remove", room="#next", user="bob") == "E304"
    world.ask("carl", "owner", room="#next", user="bob", on=False)
    world.ask("carl", "member_remove", room="#next", user="bob", reason="done")
    assert world.state.rooms["#next"].owners == {"carl"}
    # Whoever is removed by an admin loses the room with all rights in it; then an admin names an owner.
    world.ask("ann", "kick", user="carl", room="#next")
    assert world.state.rooms["#next"].owners == set()
    world.ask("ann", "owner", room="#next", user="dora")
    assert world.outcome("dora", "invite", room="#next", user="carl") == "ok"


def test_in_a_read_only_room_owners_and_admins_write_and_everybody_reads(world: World) -> None:
    world.ask("bob", "create", room="#news", mode="read-only", guests=True)
    for user in ("carl", "gus", "ann"):
        world.ask(user, "join", room="#news")
    for user, outcome in {"bob": "ok", "ann": "ok", "carl": "E313", "gus": "E313"}.items():
        assert world.outcome(user, "send", to="#news", body="hello") == outcome
        assert world.outcome(user, "history", room="#news") == "ok"
    assert world.outcome("carl", "topic", room="#news", topic="mine") == "E311"
    assert world.outcome("bob", "topic", room="#news", topic="the news") == "ok"


def test_a_configured_room_becomes_read_only_but_not_a_members_room(world: World) -> None:
    assert world.outcome("ann", "room_mode", room="#lobby", mode="members") == "E308"
    assert world.outcome("bob", "room_mode", room="#lobby", mode="read-only") == "E311"
    assert world.ask("ann", "room_mode", room="#lobby", mode="read-only", dry_run=True)["mode"] == "read-only"
    assert world.outcome("carl", "send", to="#lobby", body="still open") == "ok"
    world.ask("ann", "room_mode", room="#lobby", mode="read-only")
    assert world.outcome("carl", "send", to="#lobby", body="no more") == "E313"


def test_what_a_joining_member_reads(world: World) -> None:
    """With "since_join" what follows the last join; after a members room was opened, what follows that."""
    world.ask("bob", "create", room="#short", history="since_join")
    world.ask("carl", "join", room="#short")
    first = world.state.head
    assert world.ask("carl", "resume", after=0)["rooms"]["#short"] == first - 1
    world.ask("carl", "part", room="#short")
    world.ask("bob", "send", to="#short", body="meanwhile")
    world.ask("carl", "join", room="#short")
    assert world.ask("carl", "resume", after=0)["rooms"]["#short"] == world.state.head - 1
    assert world.ask("carl", "room_info", room="#short")["reads_after"] == world.state.head - 1

    admit(world, "carl")
    begin = world.state.rooms["#team"].born - 1
    assert world.ask("carl", "resume", after=0)["rooms"]["#team"] == begin
    world.ask("bob", "room_mode", room="#team", mode="open")
    opened = world.state.head
    world.ask("dora", "join", room="#team")
    assert world.ask("dora", "resume", after=0)["rooms"]["#team"] == opened
    assert world.ask("carl", "resume", after=0)["rooms"]["#team"] == begin


def test_what_is_told_of_a_room(world: World) -> None:
    admit(world, "carl")
    world.ask("bob", "invite", room="#team", user="dora")
    told = {who: world.ask(who, "room_info", room="#team") for who in ("bob", "carl", "dora", "ann")}
    assert {who: info["owners"] for who, info in told.items()} == {
        "bob": ["bob"], "carl": ["bob"], "dora": None, "ann": ["bob"],
    }  # fmt: skip
    assert {who: info["invitations"] for who, info in told.items()} == {
        "bob": ["dora"], "carl": None, "dora": None, "ann": None,
    }  # fmt: skip
    assert told["dora"]["invited"] and not told["dora"]["joined"]


def test_a_group_is_opened_by_a_message_to_all_its_members(world: World) -> None:
    group = "@bob,carl,dora"
    world.ask("bob", "send", to="@dora,bob,carl", body="hello both")
    assert world.log[-1]["room"] == group
    for user in ("bob", "carl", "dora"):
        assert world.outcome(user, "send", to=group, body="hi") == "ok"
    for kind in ("history", "join", "part", "who", "topic", "owner", "invite", "room_mode"):
        fields = {"topic": {"topic": "x"}, "room_mode": {"mode": "open"}}.get(kind, {})
        fields |= {"user": "ann"} if kind in ("owner", "invite") else {}
        assert world.outcome("ann", kind, room=group, **fields) == "E404", kind
    assert world.outcome("ann", "send", to=group, body="me too") == "E405"
    assert world.outcome("gus", "send", to="@bob,carl,gus", body="hi") == "E300"
    assert world.outcome("bob", "send", to="@bob,carl,gus", body="hi") == "E303"
    assert world.outcome("bob", "send", to="@bob,carl,stranger", body="hi") == "E405"


def test_who_leaves_a_group_comes_back_by_writing_and_reads_what_follows(world: World) -> None:
    group = "@bob,carl,dora"
    world.ask("bob", "send", to=group, body="hello")
    world.ask("carl", "part", room=group)
    assert world.outcome("carl", "history", room=group) == "E404"
    world.ask("bob", "send", to=group, body="without carl")
    world.ask("carl", "send", to=group, body="back")
    assert [event["type"] for event in world.log[-2:]] == ["joined", "message"]
    assert world.ask("carl", "resume", after=0)["rooms"][group] == world.log[-2]["seq"] - 1
    world.ask("ann", "role_set", user="dora", role="guest")
    assert "dora" not in world.state.rooms[group].members


def test_groups_are_bounded(world: World) -> None:
    names = ",".join(["bob", *(f"user{n}" for n in range(GROUP_MEMBERS))])
    assert world.outcome("bob", "send", to=f"@{names}", body="x") == "E409"
    for group in ("@bob,carl,dora", "@ann,bob,carl", "@ann,bob,dora"):
        world.ask("bob", "send", to=group, body="x")
    # bob has created a room and three groups today.
    assert "4 rooms and groups a day" in world.refusal_text("bob", "create", room="#x")
    assert "bob has 3 conversations" in world.refusal_text("dora", "send", to="@ann,bob,carl,dora", body="x")


def test_a_replay_and_a_snapshot_keep_modes_owners_invitations_and_floors(world: World) -> None:
    admit(world, "carl", "dora")
    world.ask("dora", "part", room="#team")
    world.ask("bob", "invite", room="#team", user="dora")
    world.ask("bob", "owner", room="#team", user="carl")
    world.ask("bob", "create", room="#short", history="since_join")
    world.ask("carl", "join", room="#short")
    world.ask("bob", "send", to="@bob,carl,dora", body="x")
    world.ask("bob", "room_mode", room="#team", mode="read-only")
    assert replayed(world) == world.state == State.restore(world.state.snapshot())
    assert replayed(world).listed == world.state.listed
    world.ask("ann", "room_remove", room="#team")
    assert not world.state.users["dora"].invites
    assert replayed(world) == world.state


def test_rooms_of_older_logs_and_snapshots_are_open_and_have_no_owner(world: World) -> None:
    created = {"type": "room_created", "seq": 1, "at": 1, "room": "#old", "topic": "", "guests": True}
    state = State()
    state.apply({"type": "user_added", "seq": 1, "at": 1, "user": "bob", "role": None, "by": "server"})
    state.apply(created | {"by": "bob", "seq": 2})
    old = json.loads(state.snapshot())
    for name in ("mode", "history", "owners", "invited", "floors", "sealed"):
        del old["rooms"]["#old"][name]
    del old["users"]["bob"]["invites"]
    for known in (state, State.restore(json.dumps(old).encode())):
        room = known.rooms["#old"]
        assert (room.mode, room.history, room.owners) == ("open", "all", set())
    assert State.restore(json.dumps(old).encode()) == state


@pytest.mark.parametrize("steps", [("members",), ("read-only", "members")])
def test_invitations_of_ordinary_members_end_when_a_room_is_open_no_more(
    world: World, steps: tuple[str, ...]
) -> None:
    world.ask("bob", "create", room="#plan")
    world.ask("carl", "join", room="#plan")
    world.ask("carl", "invite", room="#plan", user="dora")
    for step in steps:
        world.ask("bob", "room_mode", room="#plan", mode=step, dry_run=True)
        world.ask("bob", "room_mode", room="#plan", mode=step)
    assert world.outcome("dora", "join", room="#plan") == "E404"
    world.ask("bob", "invite", room="#plan", user="dora")
    world.ask("bob", "room_mode", room="#plan", mode="read-only")
    world.ask("bob", "room_mode", room="#plan", mode="members")
    assert world.outcome("dora", "join", room="#plan") == "ok", "an owner's invitation stays"
    assert replayed(world) == world.state
