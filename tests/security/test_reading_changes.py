"""Edits and reactions are for those who may read the message; reasons obey the rules of messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chatd.config.sections import RolesSection
from chatd.policy.roles import DEFAULT_ROLES
from chatd.store.event_log import EventLog
from chatd.store.log_reader import LogReader
from tests.security.test_reading_rooms import SETTINGS, USERS, Readers
from tests.support.hubworld import World


@pytest.fixture
def readers(tmp_path: Path) -> Iterator[Readers]:
    harness = Readers(tmp_path / "data")
    yield harness
    harness.close()


# Requests that name a message, with what they need besides.
NAMING: dict[str, dict[str, Any]] = {
    "reactions": {},
    "react": {"text": "+1"},
    "edit": {"msg_id": "ab" * 16, "body": "other"},
    "delete": {},
}


def noting(method: Callable[..., Any], name: str, calls: list[str]) -> Callable[..., Any]:
    """Return ``method`` with a note of each call."""

    def noted(*arguments: Any) -> Any:
        calls.append(name)
        return method(*arguments)

    return noted


def changes(events: list[dict[str, Any]]) -> list[int]:
    """Return the messages that the edits and reactions among events concern."""
    return [event["target"] for event in events if event["type"] in ("edited", "reacted")]


def test_a_late_joiner_sees_no_change_of_what_was_before(readers: Readers) -> None:
    for user in USERS:
        readers.by(user, "resume")
    readers.by("bob", "create", room="#short", history="since_join")
    before = readers.say("bob", "#short", "needle before")
    readers.by("carl", "join", room="#short")
    after = readers.say("bob", "#short", "needle after")
    for number, seq in enumerate((before, after)):
        readers.by("bob", "edit", msg_id=f"{number:032x}", room="#short", seq=seq, body="needle changed")
        readers.by("bob", "react", room="#short", seq=seq, text="+1")
    live: dict[str, list[int]] = {}
    for user in ("bob", "carl"):
        sid = USERS.index(user)
        live[user] = changes([event for one, event in readers.workers[0].delivered if one == sid])
    assert live == {"bob": [before] * 2 + [after] * 2, "carl": [after] * 2}
    recent = readers.hub._fanout._recent
    assert recent, "the first resume is answered from memory"
    assert changes(readers.by("carl", "resume", after=0)["events"]) == [after] * 2
    assert changes(readers.by("bob", "resume", after=0)["events"]) == [before] * 2 + [after] * 2
    recent.clear()
    readers.hub._fanout._recent_after = readers.hub.state.head
    assert changes(readers.by("carl", "resume", after=0)["events"]) == [after] * 2
    assert changes(readers.by("bob", "resume", after=0)["events"]) == [before] * 2 + [after] * 2
    # The session goes on to hear of the room.
    last = readers.say("bob", "#short", "and out")
    assert (USERS.index("carl"), last) in [
        (sid, event.get("seq")) for sid, event in readers.workers[0].delivered
    ]


def test_a_foreign_message_costs_its_refusal_nothing(
    readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is read of a message that the request may not name, and lists never in the hub's loop."""
    readers.by("bob", "create", room="#team", mode="members")
    readers.by("carl", "create", room="#other")
    seq = readers.say("bob", "#team", "secret")
    readers.by("bob", "react", room="#team", seq=seq, text="+1")
    readers.by("bob", "create", room="#open")
    spoken = readers.say("bob", "#open", "for members")
    read: list[str] = []
    for name in ("message", "given"):
        monkeypatch.setattr(EventLog, name, noting(getattr(EventLog, name), name, read))
    monkeypatch.setattr(LogReader, "reactors", noting(LogReader.reactors, "reactors", read))
    for room, code, one in (("#team", "E404", seq), ("#nought", "E404", seq), ("#open", "E301", spoken)):
        for kind, more in NAMING.items():
            assert readers.by("carl", kind, room=room, seq=one, **more) == code
    assert read == []
    assert readers.by("carl", "reactions", room="#other", seq=seq) == "E410"
    assert read == ["reactors"]
    assert readers.by("bob", "reactions", room="#team", seq=seq)["reactions"]
    assert read == ["reactors"] * 2


@pytest.mark.parametrize("kind", ["reactions", "react", "edit", "delete"])
def test_who_may_not_read_or_write_messages_costs_no_look_up(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The role is judged before the log is asked."""
    roles = {"permissions": DEFAULT_ROLES | {"silent": []}, "assigned": {"carl": "silent"}}
    settings = SETTINGS.model_copy(update={"roles": RolesSection.model_validate(roles)})
    harness = Readers(tmp_path / "data", settings)
    try:
        harness.by("bob", "create", room="#open")
        seq = harness.say("bob", "#open", "for members")
        read: list[str] = []
        for name in ("message", "given"):
            monkeypatch.setattr(EventLog, name, noting(getattr(EventLog, name), name, read))
        assert harness.by("carl", kind, room="#open", seq=seq, **NAMING[kind]) == "E300"
        assert read == []
    finally:
        harness.close()


def test_a_reason_says_nothing_that_a_message_could_not() -> None:
    world = World(SETTINGS.model_validate({"filter": {"words": ["hack"]}}))
    for name in ("bob", "carl"):
        world.add_user(name)
    world.ask("bob", "create", room="#team")
    world.ask("carl", "join", room="#team")
    seq = world.ask("carl", "send", to="#team", body="hello")["seq"]
    remove = {"room": "#team", "user": "carl"}
    assert world.outcome("bob", "member_remove", **remove, reason="a hack") == "E400"
    world.ask("bob", "room_mode", room="#team", mode="read-only")
    assert world.outcome("carl", "delete", room="#team", seq=seq, reason="and another thing") == "E313"
    for name in ("bob", "carl"):
        world.ask_as_operator("mute", user=name)
    world.ask("bob", "room_mode", room="#team", mode="open")
    assert world.outcome("carl", "delete", room="#team", seq=seq, reason="and another thing") == "E302"
    assert world.outcome("bob", "member_remove", **remove, reason="and another thing") == "E302"
    assert world.outcome("carl", "delete", room="#team", seq=seq) == "ok"
    assert world.outcome("bob", "member_remove", **remove) == "ok"
