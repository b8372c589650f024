"""The bytes that a user may write in one day: counted from the log, refused beyond, free the next day."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatd.config.schema import Settings
from chatd.config.sections import LimitsSection, RoleLimits, RoomSection
from chatd.hub.state.model import DAY_MS, State
from chatd.store.log_reader import LogReader
from tests.support.hub_harness import START, HubHarness

LIMIT = 3000
BODY = "x" * 400
TODAY = START // DAY_MS
# When the harness's day ends.
MIDNIGHT = (TODAY + 1) * DAY_MS


def settings(**rooms: Any) -> Settings:
    wide: dict[str, Any] = {"messages_per_second": 1e6, "burst": 1_000_000}
    lobby = RoomSection(name="#lobby", guests=True, autojoin=True)
    return Settings(
        rooms=[lobby, *rooms.values()],
        limits=LimitsSection(
            per_role={
                "guest": RoleLimits(**wide, bytes_per_day=LIMIT),
                "user": RoleLimits(**wide, bytes_per_day=2 * LIMIT),
                "admin": RoleLimits(**wide, bytes_per_day=0),
            }
        ),
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def harness(data: Path) -> Iterator[HubHarness]:
    """A hub with a guest, a user and an admin, each with a session of the number below."""
    harness = HubHarness(data, settings())
    for role in ("guest", "user", "admin"):
        assert harness.ask(
            harness.operator, 0, "user_add", user=f"{role}1", device="d", serial="a1", role=role
        )
    log_in(harness)
    yield harness
    harness.close()


GUEST, USER, ADMIN = 1, 2, 3


def log_in(harness: HubHarness) -> None:
    for sid, user in ((GUEST, "guest1"), (USER, "user1"), (ADMIN, "admin1")):
        assert harness.open_session(harness.workers[0], sid, user, "d", "a1")


def ask(harness: HubHarness, sid: int, kind: str, /, **fields: Any) -> dict[str, Any]:
    reply = harness.ask(harness.workers[0], sid, kind, **fields)
    assert reply is not None
    return reply


def say(harness: HubHarness, sid: int) -> dict[str, Any]:
    return ask(harness, sid, "send", to="#lobby", body=BODY, msg_id=f"{harness.log.head:032x}")


def write_until_refused(harness: HubHarness, sid: int) -> dict[str, Any]:
    """Send messages; return the refusal."""
    for _ in range(100):
        if (reply := say(harness, sid))["type"] == "error":
            return reply
    raise AssertionError("nothing was refused")


def logged_bytes(data: Path, user: str, head: int) -> int:
    """Sum the bodies of a user's entries."""
    reader = LogReader(data)
    entries = [reader.entry(seq) for seq in range(1, head + 1)]
    reader.close()
    return sum(len(e.body) for e in entries if e is not None and e.device == f"{user}/d")


def test_a_user_at_the_limit_is_refused_until_the_next_day(harness: HubHarness, data: Path) -> None:
    harness.now = MIDNIGHT - 5_400_000
    reply = write_until_refused(harness, GUEST)
    assert reply["code"] == "E413"
    assert f"the role guest may write {LIMIT} bytes a day" in reply["reason"]
    assert "1h 30m" in reply["fix"]
    written = logged_bytes(data, "guest1", harness.log.head)
    assert harness.hub.state.written["guest1"] == (TODAY, written)
    # The request that reaches the limit passes.
    assert LIMIT <= written < LIMIT + len(BODY) + 400
    harness.now = MIDNIGHT - 1
    assert say(harness, GUEST)["code"] == "E413"
    harness.now = MIDNIGHT
    assert say(harness, GUEST)["type"] == "ok"
    assert harness.hub.state.written["guest1"][0] == TODAY + 1


def test_at_the_limit_everything_that_writes_is_refused_and_nothing_else(harness: HubHarness) -> None:
    last = ask(harness, USER, "send", to="#lobby", body=BODY, msg_id="f" * 32)
    write_until_refused(harness, USER)
    head = harness.log.head
    for kind, fields in (
        ("create", {"room": "#mine"}),
        ("topic", {"room": "#lobby", "topic": "t"}),
        ("part", {"room": "#lobby"}),
        ("send", {"to": "@admin1", "body": "x", "msg_id": "e" * 32}),
    ):
        assert ask(harness, USER, kind, **fields)["code"] == "E413", kind
    assert harness.log.head == head
    assert "#mine" not in harness.hub.state.rooms
    for kind, fields in (("rooms", {}), ("whois", {"user": "user1"}), ("away", {"text": "out"})):
        assert ask(harness, USER, kind, **fields)["type"] == "ok", kind
    # A message that was accepted is acknowledged again.
    again = ask(harness, USER, "send", to="#lobby", body=BODY, msg_id="f" * 32)
    assert again["result"]["seq"] == last["result"]["seq"]


def test_each_role_has_its_limit_and_a_change_of_role_counts_at_once(harness: HubHarness) -> None:
    write_until_refused(harness, GUEST)
    assert ask(harness, ADMIN, "role_set", user="guest1", role="user")["type"] == "ok"
    assert say(harness, GUEST)["type"] == "ok"
    assert write_until_refused(harness, GUEST)["reason"].startswith("the role user")
    for _ in range(20):
        assert say(harness, ADMIN)["type"] == "ok"
    assert say(harness, USER)["type"] == "ok"
    # What the operator causes counts for nobody.
    assert set(harness.hub.state.written) == {"guest1", "user1", "admin1"}


@pytest.mark.parametrize("with_snapshot", [True, False])
def test_the_count_survives_a_restart_of_the_hub(
    harness: HubHarness, data: Path, with_snapshot: bool
) -> None:
    say(harness, USER)
    if with_snapshot:
        harness.hub.save_snapshot()
    write_until_refused(harness, GUEST)
    before = dict(harness.hub.state.written)
    harness.close()
    again = HubHarness(data, settings())
    try:
        assert again.hub.state.written == before
        log_in(again)
        assert say(again, GUEST)["code"] == "E413"
        assert say(again, USER)["type"] == "ok"
    finally:
        again.close()


def test_only_the_last_day_is_counted_again_after_a_restart(harness: HubHarness, data: Path) -> None:
    write_until_refused(harness, GUEST)
    harness.now = MIDNIGHT
    say(harness, USER)
    harness.close()
    again = HubHarness(data, settings())
    try:
        assert list(again.hub.state.written) == ["user1"]
    finally:
        again.close()


def test_a_user_at_the_limit_logs_in_and_is_joined_to_new_rooms(harness: HubHarness) -> None:
    write_until_refused(harness, GUEST)
    harness.close_session(harness.workers[0], GUEST)
    harness.hub.reload(settings(news=RoomSection(name="#news", guests=True, autojoin=True)))
    assert harness.open_session(harness.workers[0], GUEST, "guest1", "d", "a1")
    assert "guest1" in harness.hub.state.rooms["#news"].members
    assert say(harness, GUEST)["code"] == "E413"


def test_a_clock_that_is_set_back_does_not_give_the_day_again(harness: HubHarness) -> None:
    write_until_refused(harness, GUEST)
    harness.now -= DAY_MS
    assert say(harness, GUEST)["code"] == "E413"


def test_a_snapshot_keeps_the_newest_day_and_one_without_a_count_is_understood() -> None:
    state = State()
    state.add_written("bob", 5, 10)
    state.add_written("ann", 6, 7)
    state.add_written("ann", 6, 3)
    assert State.restore(state.snapshot()).written == {"ann": (6, 10)}
    old = json.loads(state.snapshot())
    del old["written"]
    assert State.restore(json.dumps(old).encode()).written == {}


def test_whois_tells_the_count_to_the_user_and_to_admins_only(harness: HubHarness) -> None:
    say(harness, USER)
    size = harness.hub.state.written["user1"][1]
    for sid, told in ((USER, {"today": size, "limit": 2 * LIMIT}), (GUEST, None)):
        assert ask(harness, sid, "whois", user="user1")["result"]["written"] == told
    assert ask(harness, ADMIN, "whois", user="user1")["result"]["written"]["today"] == size
    assert ask(harness, ADMIN, "whois", user="admin1")["result"]["written"] == {"today": 0, "limit": 0}
    harness.now = MIDNIGHT
    assert ask(harness, USER, "whois", user="user1")["result"]["written"]["today"] == 0
