"""Short chaos trials; ``make chaos`` runs the long one described in docs/reliability.md."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

import pytest

from chatd.crashpoints import POINTS
from tests.chaos import cluster_kills, kills, points
from tests.chaos.summary import evidence

KILLS = int(os.environ.get("CHATD_TEST_KILLS", "20"))
# Random by default; to replay a failure, set it to the seed in the failure's message.
SEED = int(os.environ.get("CHATD_TEST_SEED", "0")) or secrets.randbelow(1_000_000)
CHATD = Path(__file__).parents[2] / "chatd"


def test_random_kills_under_load_break_no_rule(tmp_path: Path) -> None:
    # With a breath between messages, the load does not take the processors from other tests.
    result = kills.run(
        tmp_path, kills=KILLS, seed=SEED, minutes=5, talkers=4, window=8, pause=0.2, breath=0.01
    )
    assert result["findings"] == {}, evidence(result, tmp_path)
    assert result["acknowledged"] > 0


def test_random_kills_of_a_node_of_a_cluster_break_no_rule(tmp_path: Path) -> None:
    kills_here = max(KILLS // 3, 1)
    result = kills.run(
        tmp_path, kills=kills_here, seed=SEED, minutes=5, talkers=4, window=8, pause=0.2, clustered=True
    )
    assert result["findings"] == {}, evidence(result, tmp_path)
    assert result["acknowledged"] > 0


def test_kills_in_a_cluster_of_three_break_no_rule(tmp_path: Path) -> None:
    result = cluster_kills.run(
        tmp_path, kills=max(KILLS // 4, 1), seed=SEED, minutes=1, talkers=2, window=4, pause=0.5
    )
    assert result["findings"] == {}, result
    assert result["acknowledged"] > 0


@pytest.mark.parametrize("group", points.GROUPS)
def test_a_crash_at_any_named_point_breaks_no_rule(tmp_path: Path, group: str) -> None:
    result = points.run(tmp_path, names=points.GROUPS[group], seed=SEED)
    assert result["findings"] == {}, evidence(result, tmp_path)


def test_the_table_lists_every_crash_point_in_the_code() -> None:
    used = [
        name
        for path in CHATD.rglob("*.py")
        for name in re.findall(r'crash_point\("([^"]+)"\)', path.read_text())
    ]
    assert sorted(used) == sorted(POINTS)
    # A conversation passes no point of an enrolment, a new CA or a cluster: test_enrol_crash.py,
    # test_new_ca.py, test_stream_backend.py and test_shared_settings.py try those.
    passed = [name for name in POINTS if not name.startswith(("enrol.", "pki.", "cluster."))]
    assert sorted(name for group in points.GROUPS.values() for name in group) == sorted(passed)
