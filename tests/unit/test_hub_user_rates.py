"""The rate of a user over all sessions, workers and logins."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatd.config.schema import Settings
from chatd.config.sections import LimitsSection, RoleLimits
from chatd.hub import user_rates
from chatd.hub.user_rates import UNTOLD_DEBT, UserRates
from chatd.policy.ratelimit import TokenBucket
from tests.support.hub_harness import START, HubHarness, WorkerEnd

RATE, BURST = 2.0, 5


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[HubHarness]:
    """A hub with a guest, gus, and a user, bob; its rates follow the harness's clock."""
    limits = LimitsSection(
        per_role={
            "guest": RoleLimits(messages_per_second=RATE, burst=BURST),
            "user": RoleLimits(messages_per_second=10 * RATE, burst=10 * BURST),
        }
    )
    harness = HubHarness(tmp_path / "data", Settings(limits=limits))
    harness.hub._door.rates = UserRates(harness.hub.sessions, clock=lambda: harness.now / 1000)
    for user, role in (("gus", "guest"), ("bob", "user")):
        assert harness.ask(harness.operator, 0, "user_add", user=user, device="d", serial="a1", role=role)
    yield harness
    harness.close()


def open_gus(harness: HubHarness, worker: WorkerEnd, sid: int) -> float:
    """Open a session of gus; return the tokens it was admitted with."""
    assert harness.open_session(worker, sid, "gus", "d", "a1")
    return float(worker.terms[sid]["tokens"])


def ask(harness: HubHarness, worker: WorkerEnd, sid: int, times: int = 1) -> None:
    """Ask something that costs one token."""
    for _ in range(times):
        assert harness.ask(worker, sid, "rooms")


def test_a_session_begins_with_the_tokens_that_its_user_has_left(harness: HubHarness) -> None:
    first, second = harness.workers
    assert open_gus(harness, first, 1) == BURST
    ask(harness, first, 1, 3)
    assert open_gus(harness, second, 1) == BURST - 3
    # Neither hanging up nor another worker brings a token back; time does.
    harness.close_session(first, 1)
    harness.close_session(second, 1)
    assert open_gus(harness, second, 2) == BURST - 3
    harness.close_session(second, 2)
    harness.now += 500
    assert open_gus(harness, first, 2) == BURST - 3 + RATE * 0.5


def test_a_user_who_owes_tokens_is_told_in_each_session_that_sends_more(harness: HubHarness) -> None:
    first, second = harness.workers
    open_gus(harness, first, 1)
    open_gus(harness, second, 1)
    ask(harness, first, 1, BURST)
    ask(harness, second, 1, int(UNTOLD_DEBT))
    assert (first.debts_told, second.debts_told) == (0, 0)
    ask(harness, second, 1, BURST - 1)
    assert (first.debts_told, second.debts_told) == (0, BURST - 1)
    assert second.terms[1] == {"rate": RATE, "burst": BURST, "tokens": -BURST}
    ask(harness, first, 1)
    assert first.terms[1]["tokens"] == -BURST - 1


def test_within_the_rate_the_hub_sends_nothing_about_it(harness: HubHarness) -> None:
    first, second = harness.workers
    open_gus(harness, first, 1)
    open_gus(harness, second, 1)
    for _ in range(50):
        ask(harness, first, 1)
        ask(harness, second, 1)
        harness.now += round(2000 / RATE)
    assert (first.debts_told, second.debts_told) == (0, 0)


def test_each_kind_of_request_costs_what_its_row_says_and_a_bad_one_a_message(harness: HubHarness) -> None:
    worker = harness.workers[0]
    open_gus(harness, worker, 1)
    frames: list[tuple[Any, bytes]] = [
        (["request", 1], json.dumps({"type": "resume", "id": 1}).encode()),
        (["request", 1], b"not json"),
        (["charge", 1, 1.5], b""),
        (["charge", 99, 1.5], b""),
    ]
    harness.hub.take(worker.link, frames)
    assert open_gus(harness, worker, 2) == pytest.approx(BURST - 0.1 - 1 - 1.5)


def test_a_user_pays_for_nobody_else_and_the_operator_is_exempt(harness: HubHarness) -> None:
    worker = harness.workers[0]
    open_gus(harness, worker, 1)
    ask(harness, worker, 1, 4 * BURST)
    for _ in range(20 * BURST):
        harness.ask(harness.operator, 0, "users")
    assert harness.open_session(worker, 2, "bob", "d", "a1")
    assert worker.terms[2]["tokens"] == 10 * BURST
    assert harness.operator.debts_told == 0


def test_another_role_changes_the_rate_of_all_sessions(harness: HubHarness) -> None:
    first, second = harness.workers
    open_gus(harness, first, 1)
    open_gus(harness, second, 1)
    ask(harness, first, 1, 3)
    harness.ask(harness.operator, 0, "role_set", user="gus", role="user")
    for worker in (first, second):
        terms = worker.terms[1]
        assert (terms["rate"], terms["burst"]) == (10 * RATE, 10 * BURST)
        assert terms["tokens"] == 10 * BURST - 3
    harness.ask(harness.operator, 0, "role_set", user="gus", role="guest")
    assert first.terms[1]["tokens"] == second.terms[1]["tokens"] == BURST


def test_buckets_of_absent_users_are_dropped_once_full(
    harness: HubHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_rates, "SWEEP_SECONDS", 0.0)
    first, second = harness.workers
    open_gus(harness, first, 1)
    ask(harness, first, 1, 3)
    harness.close_session(first, 1)
    assert harness.open_session(first, 2, "bob", "d", "a1")
    assert len(harness.hub._door.rates) == 2
    harness.now += 10_000
    # Bob's stays, because his session has it.
    assert harness.open_session(second, 2, "bob", "d", "a1")
    assert len(harness.hub._door.rates) == 1
    assert harness.now > START


class Session:
    """A session as its worker holds it back: requests leave at once when its own bucket has tokens."""

    def __init__(self, hub: TokenBucket, now: float) -> None:
        self._hub = hub
        self._bucket = TokenBucket(1.0, 1)
        self._bucket.change(now, RATE, BURST, hub.level(now))

    def send(self, now: float, wanted: int) -> int:
        """Send as much of ``wanted`` as the worker lets pass before the hub can answer."""
        sent = 0
        while sent < wanted and self._bucket.take(now) == 0:
            sent += 1
        for _ in range(sent):
            left = self._hub.charge(now, 1.0)
            if left < -UNTOLD_DEBT:
                self._bucket.change(now, RATE, BURST, left)
        return sent


@settings(deadline=None, max_examples=300)
@given(
    st.integers(1, 6),
    st.lists(st.tuples(st.integers(0, 5), st.floats(0, 5), st.integers(0, 9), st.booleans()), max_size=150),
)
def test_all_sessions_together_exceed_the_rate_by_a_burst_each_at_most(
    count: int, steps: list[tuple[int, float, int, bool]]
) -> None:
    """Whatever the sessions do, and however often they come back."""
    hub = TokenBucket(RATE, BURST)
    now = 0.0
    sessions = [Session(hub, now) for _ in range(count)]
    sent = 0
    for number, pause, wanted, again in steps:
        now += pause
        if again:
            sessions[number % count] = Session(hub, now)
        sent += sessions[number % count].send(now, wanted)
    assert sent <= RATE * now + count * (BURST + UNTOLD_DEBT) + 1e-6 * (1 + sent)
