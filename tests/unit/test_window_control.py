"""The desktop client's requests: answers come late and in any order, and undo nothing that is newer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chatctl.client.local import CaughtUp, Connected
from chatctl.client.window.control import Control
from chatd.proto import events as ev
from chatd.proto.frames import JsonObject
from tests.unit.test_window_model import LOBBY, WAR, joined, parted

LIMITS = dict.fromkeys(ev.Limits.model_fields, 1)


class Identity:
    user = "alice"


class Client:
    identity = Identity()


class Question:
    """A request that the test answers when it likes."""

    def __init__(self, kind: str, fields: dict[str, Any], done: Callable[[Any], None]) -> None:
        self.kind = kind
        self.fields = fields
        self.answer = done


class Link:
    def __init__(self) -> None:
        self.asked: list[Question] = []

    def ask(
        self, kind: str, done: Callable[[JsonObject], None], failed: object = None, **fields: Any
    ) -> None:
        self.asked.append(Question(kind, fields, done))

    def ask_all(
        self,
        kind: str,
        key: str,
        by: str,
        done: Callable[[list[JsonObject]], None],
        failed: object = None,
        **fields: Any,
    ) -> None:
        self.asked.append(Question(kind, fields, done))

    def last(self, kind: str) -> Question:
        return [one for one in self.asked if one.kind == kind][-1]


def welcome(*rooms: str) -> Connected:
    fields = {
        "type": "welcome", "protocol": 1, "server": "", "version": "", "instance": "lab", "user": "alice",
        "device": "d", "role": "user", "permissions": ["presence.read"], "rooms": list(rooms), "head": 1,
        "time": 1, "envelope": True, "limits": LIMITS,
    }  # fmt: skip
    return Connected(ev.Welcome.model_validate(fields))


def presence(user: str, state: str, room: str = LOBBY) -> ev.Presence:
    return ev.Presence.model_validate({"type": "presence", "room": room, "user": user, "state": state})


def page(*events: ev.Logged, more: bool = False) -> JsonObject:
    return {"events": [event.model_dump() for event in events], "more": more}


@pytest.fixture
def link() -> Link:
    return Link()


@pytest.fixture
def control(link: Link) -> Control:
    """Connected, in #lobby and #war, looking at #lobby."""
    control = Control(lambda: Client(), LOBBY)  # type: ignore[arg-type, return-value]
    control.link = link  # type: ignore[assignment]
    control.model.switch(LOBBY)
    control._take(welcome(LOBBY, WAR))
    control._take(CaughtUp(10))
    return control


def rows(control: Control, room: str = LOBBY) -> list[int]:
    return [row.order[0] for row in control.model.conversation(room).rows if row.kind == "message"]


def test_what_happens_while_the_members_are_asked_for_is_newer(control: Control, link: Link) -> None:
    who = link.last("who")
    for event in (
        joined(11, "carol"),
        parted(12, "eve"),
        presence("bob", "offline"),
        presence("dan", "away"),
    ):
        control._take(event)
    states = {"bob": "online", "dan": "online", "eve": "online", "frank": "away"}
    who.answer([{"user": user, "role": "user", "state": state} for user, state in states.items()])
    found = {one.user: (one.role, one.state) for one in control.model.here.members.values()}
    assert found == {
        "bob": ("user", "offline"),
        "carol": ("user", "online"),
        "dan": ("user", "away"),
        "frank": ("user", "away"),
    }


def test_an_older_answer_about_the_members_does_not_come_after_a_newer_one(
    control: Control, link: Link
) -> None:
    first = link.last("who")
    control.switch(WAR)
    control.switch(LOBBY)
    control._take(parted(11, "eve"))
    link.last("who").answer([{"user": "bob", "role": "user", "state": "online"}])
    first.answer([{"user": user, "role": "user", "state": "online"} for user in ("bob", "eve")])
    assert set(control.model.here.members) == {"bob"}
