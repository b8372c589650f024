"""Every kind of event is classified as audited or not, and audited ones leave a line in audit.log.

``CLASSIFIED`` shares nothing with the code: a new kind of event fails a test until it has a row here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatd.config.schema import Settings
from chatd.hub.state.model import KINDS, AuditRule
from tests.support.hub_harness import HubHarness

CLASSIFIED = {
    "message": AuditRule.NO,
    "message_held": AuditRule.NO,
    "message_approved": AuditRule.YES,
    "message_refused": AuditRule.OTHERS,
    "announcement": AuditRule.YES,
    "edited": AuditRule.NO,
    "reacted": AuditRule.NO,
    "redacted": AuditRule.NOT_OWN,
    "expired": AuditRule.NO,
    "held": AuditRule.YES,
    "user_added": AuditRule.YES,
    "device_added": AuditRule.YES,
    "device_seen": AuditRule.YES,
    "device_renewed": AuditRule.YES,
    "device_revoked": AuditRule.YES,
    "user_removed": AuditRule.YES,
    "display_named": AuditRule.YES,
    "role_set": AuditRule.YES,
    "room_created": AuditRule.YES,
    "room_removed": AuditRule.YES,
    "room_freed": AuditRule.NO,
    "archived": AuditRule.YES,
    "room_mode": AuditRule.YES,
    "owner_set": AuditRule.YES,
    "invited": AuditRule.NO,
    "uninvited": AuditRule.NO,
    "dm_opened": AuditRule.NO,
    "joined": AuditRule.OTHERS,
    "parted": AuditRule.OTHERS,
    "topic": AuditRule.NO,
    "banned": AuditRule.YES,
    "unbanned": AuditRule.YES,
    "kicked": AuditRule.YES,
    "muted": AuditRule.YES,
    "unmuted": AuditRule.YES,
    "read": AuditRule.NO,
    "invite_created": AuditRule.YES,
    "invite_cancelled": AuditRule.YES,
    "invite_redeemed": AuditRule.YES,
    "ask_denied": AuditRule.YES,
    "guest_set": AuditRule.YES,
    "guest_reminded": AuditRule.NO,
    "guest_ended": AuditRule.YES,
    "hook_created": AuditRule.YES,
    "hook_rotated": AuditRule.YES,
    "hook_removed": AuditRule.YES,
    "settings_changed": AuditRule.YES,
    "backed_up": AuditRule.BOX,
    "exported": AuditRule.BOX,
    "certificates_renewed": AuditRule.BOX,
    "ca_key_exported": AuditRule.BOX,
    "ca_key_imported": AuditRule.BOX,
    "ca_rotated": AuditRule.BOX,
    "ca_retired": AuditRule.BOX,
    "cluster_begun": AuditRule.BOX,
}
# Acts of alice, an admin, on bob, in this order: (request, fields, the event of its line in audit.log).
SEQ = object()
ACTS: list[tuple[str, dict[str, Any], str | None]] = [
    ("create", {"room": "#war"}, "room_created"),
    ("send", {"to": "#lobby", "body": "secret", "msg_id": "0a" * 16}, None),
    ("topic", {"room": "#lobby", "topic": "t"}, None),
    ("redact", {"room": "#lobby", "seq": SEQ, "reason": "why"}, "redacted"),
    ("hold", {"room": "#lobby", "reason": "why"}, "held"),
    ("hold", {"room": "#lobby", "on": False, "reason": "why"}, "held"),
    ("announce", {"body": "secret"}, "announcement"),
    ("role_set", {"user": "bob", "role": "guest", "reason": "why"}, "role_set"),
    ("mute", {"user": "bob", "reason": "why"}, "muted"),
    ("unmute", {"user": "bob", "reason": "why"}, "unmuted"),
    ("kick", {"user": "bob", "room": "#lobby", "reason": "why"}, "parted"),
    ("kick", {"user": "bob", "reason": "why"}, "kicked"),
    ("unban", {"user": "bob", "reason": "why"}, "unbanned"),
    ("ban", {"user": "bob", "reason": "why"}, "banned"),
    ("unban", {"user": "bob", "reason": "sorry"}, "unbanned"),
    ("revoke", {"user": "bob", "device": "dev", "reason": "why"}, "device_revoked"),
    ("display_name", {"user": "bob", "display": "Robert"}, "display_named"),
    ("room_mode", {"room": "#lobby", "mode": "read-only"}, "room_mode"),
    ("owner", {"room": "#lobby", "user": "alice"}, "owner_set"),
    ("invite", {"room": "#lobby", "user": "bob"}, None),
    ("uninvite", {"room": "#lobby", "user": "bob"}, None),
    ("part", {"room": "#war"}, None),
    ("room_archive", {"room": "#war", "reason": "why"}, "archived"),
    ("room_remove", {"room": "#war", "reason": "why"}, "room_removed"),
    ("user_remove", {"user": "bob", "reason": "why"}, "user_removed"),
]


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[HubHarness]:
    """A hub with alice, an admin with a session, and bob, a user with another one."""
    settings = {"rooms": [{"name": "#lobby", "autojoin": True, "guests": True}]}
    harness = HubHarness(tmp_path / "data", Settings.model_validate(settings))
    for name, serial, role in (("alice", "a1", "admin"), ("bob", "b1", None)):
        harness.ask(harness.operator, 0, "user_add", user=name, device="dev", serial=serial, role=role)
    assert harness.open_session(harness.workers[0], 1, "alice", "dev", "a1")
    assert harness.open_session(harness.workers[1], 2, "bob", "dev", "b1")
    yield harness
    harness.close()


def audit_lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, Any]]]:
    """The event and fields of each record for audit.log."""
    return [
        (record.__dict__["event"], record.__dict__["fields"])
        for record in caplog.records
        if record.name == "chatd.audit"
    ]


def test_every_kind_of_event_is_classified() -> None:
    assert {name: kind.audit for name, kind in KINDS.items()} == CLASSIFIED


def test_each_act_leaves_its_line_with_author_and_reason(
    harness: HubHarness, caplog: pytest.LogCaptureFixture
) -> None:
    seq = 0
    for kind, given, event in ACTS:
        fields = {key: seq if value is SEQ else value for key, value in given.items()}
        with caplog.at_level(logging.INFO, "chatd"):
            caplog.clear()
            reply = harness.ask(harness.workers[0], 1, kind, **fields)
        assert reply is not None and reply["type"] == "ok", (kind, reply)
        seq = reply["result"].get("seq", seq)
        lines = audit_lines(caplog)
        assert [name for name, _ in lines] == ([event] if event else []), kind
        for _, line in lines:
            assert line["by"] == "alice"
            assert line.get("reason") == fields.get("reason")
            assert "secret" not in str(line)


def test_what_the_server_does_by_itself_to_a_member_leaves_no_line(
    harness: HubHarness, caplog: pytest.LogCaptureFixture
) -> None:
    closed = Settings.model_validate({"roles": {"assigned": {"bob": "guest"}}, "rooms": [{"name": "#lobby"}]})
    with caplog.at_level(logging.INFO, "chatd"):
        harness.hub.reload(closed)
    assert "#lobby" not in harness.hub.state.users["bob"].rooms
    assert "parted" not in dict(audit_lines(caplog))


def test_the_user_concerned_is_told_with_the_reason(harness: HubHarness) -> None:
    alice, bob = harness.workers
    harness.ask(alice, 1, "role_set", user="bob", role="guest", reason="too\nloud")
    harness.ask(alice, 1, "mute", user="bob", seconds=60, reason="spam")
    harness.ask(alice, 1, "unmute", user="bob", reason="sorry")
    told = [frame for _, frame in bob.notices]
    assert [(frame["change"], frame["by"], frame["reason"]) for frame in told] == [
        ("role_set", "alice", r"too\x0aloud"),
        ("muted", "alice", "spam"),
        ("unmuted", "alice", "sorry"),
    ]
    assert told[0]["role"] == "guest" and "room.create" not in told[0]["permissions"]
    assert told[1]["until"] == harness.now + 60_000 and told[2]["until"] is None
    assert not alice.notices


def test_a_mute_in_a_room_is_told_to_its_members_only(harness: HubHarness) -> None:
    alice, bob = harness.workers
    harness.ask(alice, 1, "create", room="#hidden")
    harness.ask(alice, 1, "mute", user="bob", room="#hidden", reason="x")
    harness.ask(alice, 1, "unmute", user="bob", room="#hidden", reason="x")
    assert not bob.notices
    harness.ask(alice, 1, "mute", user="bob", room="#lobby", reason="x")
    assert [frame["room"] for _, frame in bob.notices] == ["#lobby"]


def test_the_end_of_a_ban_is_shown_where_the_ban_was(harness: HubHarness) -> None:
    alice = harness.workers[0]
    harness.ask(alice, 1, "resume")
    harness.ask(alice, 1, "ban", user="bob", reason="spam")
    harness.ask(alice, 1, "unban", user="bob", reason="sorry")
    shown = [(e["cause"], e["by"], e["reason"]) for _, e in alice.delivered if e.get("cause")]
    assert shown == [("banned", "alice", "spam"), ("unbanned", "alice", "sorry")]


def test_rooms_are_told_of_mutes_and_roles(harness: HubHarness) -> None:
    """A mute in one room is told there only."""
    alice = harness.workers[0]
    harness.ask(alice, 1, "create", room="#second")
    harness.ask(harness.workers[1], 2, "join", room="#second")
    harness.ask(alice, 1, "resume")
    alice.delivered.clear()
    harness.ask(alice, 1, "mute", user="bob", reason="spam")
    harness.ask(alice, 1, "unmute", user="bob")
    harness.ask(alice, 1, "mute", user="bob", room="#second")
    harness.ask(alice, 1, "role_set", user="bob", role="guest")
    shown = [(e["room"], e["cause"], e["by"], e["reason"]) for _, e in alice.delivered if e.get("cause")]
    assert set(shown[:2]) == {(room, "muted", "alice", "spam") for room in ("#lobby", "#second")}
    assert set(shown[2:4]) == {(room, "unmuted", "alice", "") for room in ("#lobby", "#second")}
    assert shown[4] == ("#second", "muted", "alice", "")
    assert ("#lobby", "made guest", "alice", "") in shown[5:]


@pytest.mark.parametrize("kind", ["role_set", "unbanned", "unmuted"])
def test_events_without_a_reason_in_older_logs_are_replayed(kind: str, harness: HubHarness) -> None:
    event = {"type": kind, "seq": 99, "at": 1, "user": "bob", "by": "alice", "role": "guest", "room": None}
    harness.hub.state.apply(event)
    assert harness.hub.state.head == 99
