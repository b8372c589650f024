"""Renewals in the hub's state: which device may renew, what a lost answer costs, what each refusal says."""

from __future__ import annotations

import pytest

from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.hub.state import authorize, renewals
from chatd.hub.state.context import OPERATOR, Principal
from chatd.hub.state.entities import DAY_MS
from chatd.hub.state.model import State
from chatd.proto.frames import JsonObject
from tests.support.hubworld import START, World

KEY = "ab" * 32
ENDS = START + 30 * DAY_MS


@pytest.fixture
def world() -> World:
    """alice is an admin; bob's laptop has the certificate b1, which ends after 30 days."""
    world = World(Settings())
    world.add_user("alice", "admin")
    world.ask(OPERATOR, "user_add", user="bob", device="laptop", serial="b1", role=None, ends=ENDS)
    world.now = START + 21 * DAY_MS
    return world


def renew(
    world: World, shown: str = "b1", new: str = "b2", ends: int = ENDS, moves: bool = False
) -> JsonObject:
    """Renew as the enrol process does; the state must be unchanged after a refusal."""
    context = world.context(OPERATOR)
    before = world.state.snapshot()
    try:
        known = renewals.check(context, "bob", "laptop", shown, ends, KEY, moves)
        if "serial" in known:
            return known
        issued, new_ends = world.now, world.now + 30 * DAY_MS
        result = renewals.renew(context, "bob", "laptop", shown, ends, KEY, moves, new, issued, new_ends)
    except ChatdError:
        assert world.state.snapshot() == before
        raise
    world.log += context.events
    return result


def refusal(world: World, shown: str = "b1", ends: int = ENDS) -> str:
    with pytest.raises(ChatdError) as caught:
        renew(world, shown, ends=ends)
    assert caught.value.fix
    return caught.value.code


def login(world: World, serial: str) -> str:
    try:
        authorize.admit(world.context(Principal("bob", "laptop")), serial, total=0)
    except ChatdError as error:
        return error.code
    return "ok"


def test_both_certificates_log_in_after_a_renewal(world: World) -> None:
    assert renew(world)["serial"] == "b2"
    assert (login(world, "b1"), login(world, "b2"), login(world, "b3")) == ("ok", "ok", "E205")
    event = world.log[-1]
    assert (event["type"], event["replaces"], event["by"]) == ("device_renewed", "b1", "bob")
    assert event["ends"] == world.state.users["bob"].devices["laptop"].ends == world.now + 30 * DAY_MS
    assert State.restore(world.state.snapshot()).users["bob"].devices["laptop"].has("b1")


def test_an_empty_serial_is_nobodys(world: World) -> None:
    assert login(world, "") == "E205"
    assert refusal(world, shown="") == "E205"


def test_a_lost_answer_is_given_again(world: World) -> None:
    first = renew(world)
    events = len(world.log)
    world.now += DAY_MS // 2
    assert renew(world, new="other") == first
    assert len(world.log) == events


def test_a_device_renews_once_a_day(world: World) -> None:
    renew(world)
    assert refusal(world, shown="b2") == "E409"
    world.now += renewals.RENEWAL_PAUSE
    assert renew(world, shown="b2", new="b3", ends=world.now + DAY_MS)["serial"] == "b3"
    assert (login(world, "b1"), login(world, "b2"), login(world, "b3")) == ("E205", "ok", "ok")


def test_a_device_that_lost_its_answer_for_days_gets_a_new_certificate(world: World) -> None:
    renew(world)
    world.now += 2 * DAY_MS
    assert renew(world, new="b3")["serial"] == "b3"
    assert (login(world, "b1"), login(world, "b2"), login(world, "b3")) == ("ok", "E205", "ok")


@pytest.mark.parametrize(("late", "code"), [(-1, ""), (0, ""), (14 * DAY_MS - 1, ""), (14 * DAY_MS, "E202")])
def test_an_expired_certificate_is_renewed_within_the_grace(world: World, late: int, code: str) -> None:
    world.now = ENDS + late
    if code:
        assert refusal(world) == code
    else:
        assert renew(world)["serial"] == "b2"


def test_without_a_grace_an_expired_certificate_is_not_renewed(world: World) -> None:
    world.rules = world.rules.from_settings(Settings.model_validate({"security": {"renewal_grace_days": 0}}))
    world.now = ENDS
    assert refusal(world) == "E202"


@pytest.mark.parametrize(
    ("act", "fields", "code"),
    [
        ("revoke", {"user": "bob", "device": "laptop"}, "E206"),
        ("ban", {"user": "bob", "seconds": 60}, "E207"),
        ("kick", {"user": "bob"}, "E208"),
    ],
)
def test_whoever_is_out_does_not_renew(world: World, act: str, fields: JsonObject, code: str) -> None:
    world.ask("alice", act, **fields)
    assert refusal(world) == code


def test_a_guest_whose_time_has_ended_does_not_renew(world: World) -> None:
    world.ask(
        OPERATOR,
        "user_add",
        user="gil",
        device="laptop",
        serial="91",
        role="guest",
        guest_seconds=3600,
        sponsor="alice",
    )
    world.now += 3600 * 1000
    with pytest.raises(ChatdError) as caught:
        renewals.check(world.context(OPERATOR), "gil", "laptop", "91", ENDS, KEY, False)
    assert caught.value.code == "E219"


def test_a_device_revoked_while_its_certificate_is_issued_gets_none(world: World) -> None:
    context = world.context(OPERATOR)
    assert renewals.check(context, "bob", "laptop", "b1", ENDS, KEY, False) == {
        "user": "bob",
        "device": "laptop",
    }
    world.ask("alice", "revoke", user="bob", device="laptop")
    with pytest.raises(ChatdError) as caught:
        renewals.renew(
            world.context(OPERATOR), "bob", "laptop", "b1", ENDS, KEY, False, "b2", world.now, ENDS
        )
    assert caught.value.code == "E206"
    assert login(world, "b2") == "E205"


def test_a_revocation_holds_for_both_certificates(world: World) -> None:
    renew(world)
    world.ask("alice", "revoke", user="bob", device="laptop")
    assert (login(world, "b1"), login(world, "b2")) == ("E206", "E206")


def test_certificates_of_others_are_unknown(world: World) -> None:
    context = world.context(OPERATOR)
    for user, device, serial in (
        ("bob", "phone", "b1"),
        ("nobody", "laptop", "b1"),
        ("alice", "laptop", "b1"),
    ):
        with pytest.raises(ChatdError) as caught:
            renewals.check(context, user, device, serial, ENDS, KEY, False)
        assert caught.value.code == "E205"


def test_a_move_to_a_new_ca_does_not_wait_but_happens_once(world: World) -> None:
    assert renew(world)["serial"] == "b2"
    assert renew(world, shown="b2", new="c1", ends=world.now + DAY_MS, moves=True)["serial"] == "c1"
    # The former certificate gets the same answer again, and no third one.
    assert renew(world, shown="b2", new="c2", ends=world.now + DAY_MS, moves=True)["serial"] == "c1"
    with pytest.raises(ChatdError, match="E409"):
        renew(world, shown="c1", new="c3", ends=world.now + DAY_MS)
