"""Reloading: changes that apply at once and changes that need a restart."""

from __future__ import annotations

from typing import Any

import pytest

from chatd.config.reloading import NEEDS_RESTART, compare, in_force
from chatd.config.schema import Settings


@pytest.mark.parametrize(
    ("tree", "applied", "needs_restart"),
    [
        ({}, [], []),
        ({"server": {"port": 5000}}, [], []),
        ({"server": {"port": 1}}, [], ["server.port"]),
        ({"server": {"timeout": 9}, "filter": {"words": []}}, ["server.timeout", "filter.words"], []),
        ({"server": {"port": 1, "max_connections": 9}}, ["server.max_connections"], ["server.port"]),
        ({"rooms": [{"name": "#lobby"}]}, ["rooms"], []),
        ({"limits": {"per_role": {}}}, ["limits.per_role"], []),
        ({"roles": {"assigned": {"al": "admin"}}}, ["roles.assigned"], []),
        ({"workers": {"count": 3, "heartbeat_timeout": 9}}, ["workers.heartbeat_timeout"], ["workers.count"]),
    ],
)
def test_changes_are_applied_or_need_a_restart(
    tree: dict[str, Any], applied: list[str], needs_restart: list[str]
) -> None:
    old, new = Settings(), Settings.model_validate(tree)
    assert compare(old, new) == (applied, needs_restart)
    assert compare(new, old) == (applied, needs_restart)


def test_a_reload_keeps_what_needs_a_restart() -> None:
    new = Settings.model_validate({"server": {"port": 1, "timeout": 9}, "workers": {"count": 3}})
    kept = in_force(Settings(), new)
    assert compare(kept, new) == ([], ["server.port", "workers.count"])
    assert (kept.server.port, kept.server.timeout, kept.workers.count) == (5000, 9, 0)


def test_every_key_that_needs_a_restart_exists() -> None:
    for key in NEEDS_RESTART:
        section, _, name = key.partition(".")
        assert name in type(getattr(Settings(), section)).model_fields
