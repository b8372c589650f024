"""The supervisor's reloads of settings that the nodes of a cluster share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chatd.config.reloading import compare
from chatd.config.schema import Settings
from chatd.config.shared import shared_of
from chatd.errors import ChatdError
from chatd.supervisor.shared_reload import PENDING_LIMIT, PendingReload, SharedReload
from tests.support.memory_cluster import MEMBERS

CLUSTER = {"cluster": {"node": "alpha", "members": MEMBERS}}
CURRENT = Settings.model_validate(CLUSTER)
KEY = "limits.message_chars"


class Supervisor:
    """What a supervisor has of it, with a hub that only notes what it is sent."""

    def __init__(self, home: Path) -> None:
        (home / "config").mkdir()
        (home / "config" / "settings.json").write_text(json.dumps(CLUSTER))
        self.home = home
        self.hub_runs = True
        self.sent: list[dict[str, Any]] = []
        self.reload = SharedReload(home, self._send)

    def _send(self, message: dict[str, object]) -> bool:
        if self.hub_runs:
            self.sent.append(message)
        return self.hub_runs

    def begin(self, limits: dict[str, Any], current: Settings = CURRENT) -> bool:
        settings = Settings.model_validate(current.model_dump() | {"limits": limits})
        changes = compare(current, settings)
        return self.reload.begin(
            current, PendingReload(settings, changes, {"by": "server"}, lambda _: None, until=8.0)
        )

    def answer(self, code: str = "") -> PendingReload:
        outcome = {"number": self.sent[-1]["number"], "code": code, "reason": "why", "fix": "how"}
        pending = self.reload.answered(outcome)
        assert pending is not None
        return pending


@pytest.fixture
def supervisor(tmp_path: Path) -> Supervisor:
    return Supervisor(tmp_path)


def test_only_what_changes_is_asked(supervisor: Supervisor) -> None:
    assert supervisor.begin({"message_chars": 77, "handshakes": 9})
    assert supervisor.sent[0]["shared"] == {KEY: 77}
    assert supervisor.answer().refusal is None
    assert not supervisor.reload.waits


def test_keys_of_this_machine_are_not_asked(supervisor: Supervisor) -> None:
    assert not supervisor.begin({"handshakes": 9})
    assert not supervisor.begin({"message_chars": 77}, current=Settings())
    assert supervisor.sent == []


def test_a_refusal_is_that_of_the_leader(supervisor: Supervisor) -> None:
    supervisor.begin({"message_chars": 77})
    refusal = supervisor.answer("E506").refusal
    assert refusal is not None
    assert (refusal.code, refusal.reason, refusal.fix) == ("E506", "why", "how")


def test_without_a_hub_nothing_is_shared(supervisor: Supervisor) -> None:
    supervisor.hub_runs = False
    with pytest.raises(ChatdError, match="E506"):
        supervisor.begin({"message_chars": 77})
    assert not supervisor.reload.waits


def test_reloads_that_nobody_answers_are_bounded_and_end(supervisor: Supervisor) -> None:
    for _ in range(PENDING_LIMIT):
        supervisor.begin({"message_chars": 77})
    with pytest.raises(ChatdError, match="E506"):
        supervisor.begin({"message_chars": 77})
    assert supervisor.reload.overdue(7.9) == []
    found = supervisor.reload.overdue(8.0)
    assert [pending.refusal and pending.refusal.code for pending in found] == ["E503"] * PENDING_LIMIT
    assert supervisor.reload.answered({"number": 1, "code": ""}) is None


def test_a_reload_that_a_hub_did_not_live_to_answer_holds_if_the_next_one_says_so(
    supervisor: Supervisor,
) -> None:
    supervisor.begin({"message_chars": 77})
    supervisor.reload.take(CURRENT, shared_of(CURRENT), fresh=False)
    assert supervisor.reload.overdue(1.0) == []
    supervisor.reload.take(CURRENT, shared_of(CURRENT) | {KEY: 77}, fresh=False)
    (pending,) = supervisor.reload.overdue(1.0)
    assert pending.refusal is None


def test_an_unknown_outcome_is_known_once_the_settings_hold(supervisor: Supervisor) -> None:
    supervisor.begin({"message_chars": 77})
    supervisor.reload.take(CURRENT, shared_of(CURRENT) | {KEY: 77}, fresh=True)
    assert supervisor.answer("E503").refusal is None


def test_what_others_share_holds_although_the_file_is_not_valid(supervisor: Supervisor) -> None:
    file = supervisor.home / "config" / "settings.json"
    file.write_text("{")
    settings = supervisor.reload.take(CURRENT, shared_of(CURRENT) | {KEY: 77}, fresh=True)
    assert settings.limits.message_chars == 77
    assert file.read_text() == "{"
    with pytest.raises(ChatdError, match="E600"):
        supervisor.reload.bring_file_in_line()
    file.write_text(json.dumps(CLUSTER))
    supervisor.reload.bring_file_in_line()
    assert json.loads(file.read_bytes())["limits"] == {"message_chars": 77}


def test_shared_settings_that_this_version_cannot_take_change_nothing(supervisor: Supervisor) -> None:
    assert supervisor.reload.take(CURRENT, {KEY: "as needed"}, fresh=True) == CURRENT
