"""Lists of devices and certificates: what they say, their pages, what they tell to whom."""

from __future__ import annotations

from typing import Any

import pytest

from chatd.hub.sessions import Sessions
from chatd.hub.state import certificate_list, invites
from chatd.hub.state.context import OPERATOR, Principal
from chatd.hub.state.model import State
from chatd.proto.frames import JsonObject, encode
from chatd.proto.invite_code import secret_hash
from chatd.proto.text import NAME_CHARS
from tests.support.hubworld import World

DAY_MS = 86_400_000
KEY, SECRET = "ab" * 32, secret_hash(b"first")


@pytest.fixture
def world() -> World:
    world = World()
    world.create_configured_rooms()
    world.add_user("alice", "admin")
    for name, device in (("bob", "laptop"), ("bob", "phone"), ("carol", "laptop")):
        world.add_user(name, device=device)
    return world


def listed(world: World, who: str = "alice", kind: str = "certificates", **fields: Any) -> list[JsonObject]:
    """Return all pages of a list."""
    found: list[JsonObject] = []
    after = ""
    while True:
        page = world.ask(who, kind, after=after, **fields)
        found += page["certificates"]
        if not page["more"]:
            return found
        after = page["next"]


def ids(entries: list[JsonObject]) -> list[str]:
    return [f"{one['user']}/{one['device']}" for one in entries]


def test_a_list_tells_of_each_certificate_who_let_it_in_and_its_state(world: World) -> None:
    world.ask("alice", "invite_create", user="dora", secret_hash=SECRET, seconds=3600)
    issued, ends = world.now - 5000, world.now + DAY_MS
    context = world.context(OPERATOR)
    invites.redeem(context, SECRET, KEY, "tablet", "c1", issued, ends)
    world.ask("alice", "revoke", user="bob", device="phone")
    assert ids(listed(world)) == [
        "alice/laptop", "bob/laptop", "bob/phone", "carol/laptop", "dora/tablet"
    ]  # fmt: skip
    [dora] = listed(world, user="dora")
    assert dora == {
        "user": "dora", "device": "tablet", "serial": "c1", "state": "valid", "issued": issued, "ends": ends,
        "by": "alice", "sessions": 0, "seen": None,
    }  # fmt: skip
    laptop, phone = listed(world, user="bob")
    assert (laptop["state"], phone["state"]) == ("valid", "revoked")
    assert (laptop["issued"], laptop["ends"], laptop["by"]) == (world.now, None, "server")
    world.now = ends
    assert [one["state"] for one in listed(world, user="dora")] == ["expired"]
    assert State.restore(world.state.snapshot()) == world.state


def test_the_event_of_an_issued_certificate_tells_serial_dates_and_invite(world: World) -> None:
    world.ask("alice", "invite_create", user="dora", secret_hash=SECRET, seconds=3600)
    context = world.context(OPERATOR)
    invites.redeem(context, SECRET, KEY, "", "c1", world.now, world.now + DAY_MS)
    [event] = [one for one in context.events if one["type"] == "device_added"]
    told = {name: event[name] for name in ("user", "device", "serial", "issued", "ends", "by", "invite")}
    assert told == {
        "user": "dora", "device": "laptop", "serial": "c1", "issued": world.now, "ends": world.now + DAY_MS,
        "by": "alice", "invite": SECRET[:16],
    }  # fmt: skip


def test_expiring_leaves_out_what_is_revoked_expired_or_without_an_end(world: World) -> None:
    for number, days in enumerate((1, 6, 8)):
        ends = world.now + days * DAY_MS
        world.ask_as_operator("user_add", user="bob", device=f"d{number}", serial=f"b{number}", ends=ends)
    week = 7 * 86_400
    assert ids(listed(world, expiring=week)) == ["bob/d0", "bob/d1"]
    world.ask("alice", "revoke", user="bob", device="d1")
    assert ids(listed(world, expiring=week)) == ["bob/d0"]
    world.now += DAY_MS
    assert ids(listed(world, expiring=week, user="bob")) == ["bob/d2"]


def test_one_lists_own_devices_and_nobody_elses(world: World) -> None:
    assert ids(listed(world, "bob", "devices")) == ["bob/laptop", "bob/phone"]
    assert {one: world.outcome("bob", "certificates", user=one) for one in ("alice", "bob", "nil")} == {
        "alice": "E300", "bob": "E300", "nil": "E300"
    }  # fmt: skip
    assert world.outcome("alice", "certificates", user="nil") == "E405"


def test_pages_are_bounded_and_leave_nothing_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate_list, "PAGE_CERTIFICATES", 2)
    monkeypatch.setattr(certificate_list, "LOOKED_AT", 3)
    first = world.ask("alice", "certificates")
    assert (ids(first["certificates"]), first["more"], first["next"]) == (
        ["alice/laptop", "bob/laptop"], True, "bob/laptop"
    )  # fmt: skip
    assert ids(listed(world)) == ["alice/laptop", "bob/laptop", "bob/phone", "carol/laptop"]
    assert ids(listed(world, "bob", "devices")) == ["bob/laptop", "bob/phone"]
    # A page without any entry says where to go on.
    empty = world.ask("alice", "certificates", expiring=60)
    assert (empty["certificates"], empty["more"], empty["next"]) == ([], True, "bob/phone")
    assert listed(world, expiring=60) == []


def test_a_page_of_the_longest_entries_fits_a_frame(world: World) -> None:
    world.now = 9_999_999_999_999
    for number in range(certificate_list.PAGE_CERTIFICATES):
        user = f"{number:03}".ljust(NAME_CHARS, "x")
        serial = f"{number:03}".ljust(40, "f")
        world.ask_as_operator("user_add", user=user, device=user, serial=serial, ends=world.now)
    for known in world.state.users.values():
        for device in known.devices.values():
            device.by = "y" * NAME_CHARS
    page = world.ask("alice", "certificates")
    assert len(page["certificates"]) == certificate_list.PAGE_CERTIFICATES
    assert len(encode({"type": "ok", "id": 2**53, "result": page})) < 64 * 1024


def test_last_seen_is_the_end_of_the_last_session(world: World) -> None:
    assert isinstance(world.presence, Sessions)
    world.presence.note_seen(Principal("bob", "phone"), world.now - 1000)
    laptop, phone = listed(world, "bob", "devices")
    assert (laptop["seen"], phone["seen"]) == (None, world.now - 1000)


def test_revoking_tells_how_many_invites_it_ends(world: World) -> None:
    world.ask("bob", "device_add", secret_hash=SECRET, seconds=3600)
    assert world.ask("alice", "revoke", user="bob", device="phone", dry_run=True)["invites"] == 1
    assert world.ask("alice", "revoke", user="bob", device="phone")["invites"] == 1
    assert world.ask("alice", "revoke", user="bob", device="laptop")["invites"] == 0


def test_a_page_of_users_with_devices_fits_a_frame(world: World) -> None:
    """Names and the hashes of keys as long as they may be."""
    for number in range(30):
        user = f"{number:03}".ljust(NAME_CHARS, "x")
        for device in range(20):
            name, serial = f"{device:03}".ljust(NAME_CHARS, "y"), f"{number:x}0{device:x}"
            world.ask_as_operator("user_add", user=user, device=name, serial=serial, key="f" * 64)
    page = world.ask("alice", "users", devices=True)
    assert page["more"]
    assert len(encode({"type": "ok", "id": 2**53, "result": page})) < 64 * 1024
