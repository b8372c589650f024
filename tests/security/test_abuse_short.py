"""A short run of `make abuse`, without its times: all attacks at once harm no bystander."""

from __future__ import annotations

from pathlib import Path

from tests.abuse import abuse_trial
from tests.abuse.attackers import ATTACKS


def test_bystanders_are_served_while_a_guest_a_user_and_a_host_do_their_worst(tmp_path: Path) -> None:
    figures = abuse_trial.run(tmp_path, seconds=6.0, who=list(ATTACKS))
    assert abuse_trial.broken_rules(figures) == []
    attacked = {
        who: {name.partition(",")[0] for name in counts} for who, counts in figures["attacks"].items()
    }
    expected = {who: {attack.__name__ for attack in attacks} for who, attacks in ATTACKS.items()}
    assert attacked == expected, "an attack was not carried out"
