"""Properties of gathering: never longer than the window, never ended while events arrive in step."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import example, given, settings
from hypothesis import strategies as st

from chatd.hub.commit_policy import FULL_BATCH, CommitPolicy
from chatd.link.arrivals import LONGEST_GAP_SECONDS, PAUSE_GAPS, SHORTEST_PAUSE_SECONDS, Arrivals

EVENT_BYTES = 200
# What the clock's floating-point sums may be off.
SLACK = 1e-6

GAPS = st.lists(
    st.one_of(
        st.just(0.0),
        st.floats(0, 0.0005),
        st.floats(0, 0.01),
        st.floats(0, 1.0),
        st.sampled_from((0.001, 0.3)),
    ),
    min_size=1,
    max_size=200,
)
WINDOWS = st.sampled_from((0.0, 0.0005, 0.005, 0.01, 0.025))


class Committed(NamedTuple):
    arrived: float
    at: float
    # Of the commit before.
    last: float


def _commits(gaps: list[float], window: float) -> list[Committed]:
    """Run the hub's loop over arrivals, ``gaps`` apart, on a simulated clock; work takes no time."""
    now = [100.0]
    policy = CommitPolicy(window, lambda: now[0])
    arrivals, done, batch = [100.0], [], list[float]()
    for gap in gaps:
        arrivals.append(arrivals[-1] + gap)
    last = float("-inf")
    while arrivals or batch:
        if batch:
            while pause := policy.sleep_seconds(len(batch)):
                now[0] += pause
                policy.look(sum(EVENT_BYTES for at in arrivals if at <= now[0]))
            timeout = policy.wait_seconds(len(batch))
            if timeout:
                now[0] = min([now[0] + timeout, *(at for at in arrivals[:1] if at > now[0])])
        else:
            now[0] = max(now[0], arrivals[0])
        read = [at for at in arrivals if at <= now[0]]
        del arrivals[: len(read)]
        batch += read
        policy.arrived(len(read))
        if batch and not policy.wait_seconds(len(batch)):
            done += [Committed(at, now[0], last) for at in batch]
            policy.committed(len(batch))
            batch, last = [], now[0]
    return done


@settings(deadline=None, max_examples=300)
@given(GAPS, WINDOWS)
@example([0.00005] * FULL_BATCH, 0.01)
@example([0.0001] * 20 + [0.05], 0.025)
def test_no_event_waits_longer_than_for_the_window(gaps: list[float], window: float) -> None:
    commits = _commits(gaps, window)
    assert len(commits) == len(gaps) + 1
    for event in commits:
        assert event.at <= max(event.arrived, event.last + window) + SLACK


@settings(deadline=None)
@given(st.lists(st.floats(0, 2.0), min_size=1, max_size=60), st.integers(1, 50))
def test_a_pause_is_longer_than_four_mean_gaps(gaps: list[float], count: int) -> None:
    arrivals, now = Arrivals(), 50.0
    for gap in gaps:
        now += gap
        arrivals.arrived(count, now)
        assert now + SHORTEST_PAUSE_SECONDS <= arrivals.pause_at <= now + PAUSE_GAPS * LONGEST_GAP_SECONDS


@settings(deadline=None)
@given(st.floats(0.0002, 0.05), st.integers(100, 300))
def test_arrivals_in_step_do_not_pause_between_two_of_them(gap: float, count: int) -> None:
    arrivals, now = Arrivals(), 50.0
    for _ in range(count):
        now += gap
        assert arrivals.pause_at > now
        arrivals.arrived(1, now)


def test_senders_that_wait_for_answers_end_the_window() -> None:
    """Forty messages in a row, then silence until they are answered: the hub must not wait for more."""
    gaps = ([0.0001] * 39 + [0.05]) * 20
    late = [event.at - event.arrived for event in _commits(gaps, 0.025)]
    assert sorted(late)[len(late) // 2] < 0.005
