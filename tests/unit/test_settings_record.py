"""Roles and limits of the settings are in the log: at the first start, and whenever they have changed."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from chatd.config.schema import Settings
from chatd.hub.recovery import recover
from chatd.hub.state.model import State
from chatd.hub.state.settings_record import EVENT_BYTES, EVENT_CHANGES, recorded_settings
from chatd.logs.logger import PIPE_LINE, JsonLines
from chatd.policy.roles import DEFAULT_ROLES
from chatd.proto.frames import JsonObject, compact, decode
from chatd.store.event_log import EventLog
from tests.support.hub_harness import HubHarness

BY = {"by_uid": 1000, "by_login": "carol"}


def recorded(harness: HubHarness) -> list[JsonObject]:
    harness.run_iteration()
    return [event for event in harness.logged_events() if event["type"] == "settings_changed"]


def changes(events: list[JsonObject]) -> dict[str, tuple[Any, Any]]:
    return {c["setting"]: (c["before"], c["after"]) for e in events for c in e["changes"]}


def test_a_reload_records_before_and_after_and_who_did_it(tmp_path: Path) -> None:
    harness = HubHarness(tmp_path, Settings())
    first = recorded(harness)
    assert {event["cause"] for event in first} == {"start"}
    assert changes(first)["roles.permissions.admin"] == (None, ["*"])
    power = {**DEFAULT_ROLES, "user": ["message.send", "role.set", "message.send"]}
    roles = {"permissions": power, "assigned": {"bob": "admin"}}
    new = Settings.model_validate({"roles": roles, "limits": {"message_chars": 7}})
    harness.hub.reload(new, BY)
    (event,) = recorded(harness)[len(first) :]
    assert event.items() >= {"cause": "reload", "by": "server", **BY}.items()
    assert changes([event]) == {
        "limits.message_chars": (500, 7),
        "roles.assigned.bob": (None, "admin"),
        "roles.permissions.user": (sorted(DEFAULT_ROLES["user"]), ["message.send", "role.set"]),
    }
    harness.close()


def test_a_reload_or_restart_without_a_change_records_nothing(tmp_path: Path) -> None:
    harness = HubHarness(tmp_path, Settings())
    first = recorded(harness)
    harness.hub.reload(Settings.model_validate({"filter": {"words": ["zebra"]}}), BY)
    assert recorded(harness) == first
    harness.close()
    harness = HubHarness(tmp_path, Settings())
    assert recorded(harness) == first
    harness.close()


@pytest.mark.parametrize("snapshot", [True, False])
def test_a_start_records_what_was_changed_while_the_server_was_down(tmp_path: Path, snapshot: bool) -> None:
    harness = HubHarness(tmp_path, Settings.model_validate({"roles": {"assigned": {"bob": "guest"}}}))
    first = recorded(harness)
    if snapshot:
        harness.hub.save_snapshot()
    harness.close()
    harness = HubHarness(tmp_path, Settings())
    (event,) = recorded(harness)[len(first) :]
    assert changes([event]) == {"roles.assigned.bob": ("guest", None)}
    assert (event["cause"], event["by"]) == ("start", "server")
    harness.close()


def test_ten_thousand_pins_are_recorded_whole_in_bounded_events(tmp_path: Path) -> None:
    names = [f"{'x' * 26}{number:05}" for number in range(10_000)]
    many = Settings.model_validate({"roles": {"assigned": dict.fromkeys(names, "user")}})
    harness = HubHarness(tmp_path, many)
    events = recorded(harness)
    assert harness.hub.state.settings == recorded_settings(many)
    assert changes(events)[f"roles.assigned.{names[-1]}"] == (None, "user")
    line = JsonLines("hub").format
    for event in events:
        assert len(event["changes"]) <= EVENT_CHANGES and len(compact(event["changes"])) < EVENT_BYTES + 100
        decode(compact({"type": "ok", "result": {"events": [event]}}))
        fields = {key: value for key, value in event.items() if key not in ("type", "at")}
        record = logging.makeLogRecord({"name": "chatd.audit", "event": "e", "fields": fields})
        assert len(line(record)) < PIPE_LINE and '"..."' not in line(record)
    harness.close()
    log = EventLog.open(tmp_path, now=1)
    assert recover(log).settings == recorded_settings(many)
    log.close()


def test_a_snapshot_of_an_older_version_has_recorded_nothing() -> None:
    older = State().snapshot().replace(b'"settings": {}, ', b"")
    assert b"settings" not in older
    assert State.restore(older) == State()


def test_no_section_with_addresses_files_or_words_is_recorded() -> None:
    sections = {name.split(".")[0] for name in recorded_settings(Settings())}
    assert sections == {"roles", "limits", "retention"}
