"""The owner of a new device learns of it first, on every other device, once."""

from __future__ import annotations

import pytest

from chatctl.model.chat_model import ChatModel
from chatctl.model.conversation import TimelineRow
from chatctl.model.render import Line, plain
from chatctl.terminal.transcript import Transcript
from chatd.proto import events as ev
from chatd.proto.key_words import words_of_key

KEY = "b2" * 32


class _Screen:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def show(self, lines: list[Line]) -> None:
        self.lines += plain(lines).splitlines()

    def bell(self) -> None: ...
    def redraw(self) -> None: ...
    def paste(self) -> None: ...
    def close(self) -> None: ...


def _presence(
    room: str, device: str = "pad", user: str = "bob", cause: str | None = "new device"
) -> ev.Presence:
    fields = {"state": "online", "by": "alice", "device": device, "key": KEY, "cause": cause}
    return ev.Presence.model_validate({"type": "presence", "room": room, "user": user, **fields})


@pytest.fixture
def model() -> ChatModel:
    model = ChatModel("bob")
    limits = dict.fromkeys(ev.SessionLimits.fields(), 1)
    names = {
        "server": "",
        "version": "",
        "instance": "lab",
        "user": "bob",
        "device": "laptop",
        "role": "user",
    }
    fields = {"type": "welcome", "protocol": 1, "permissions": [], "head": 1, "time": 1, "envelope": True}
    model.welcome = ev.Welcome.model_validate({**names, **fields, "rooms": ["#lobby"], "limits": limits})
    model.joined = {"#lobby", "#war"}
    return model


@pytest.mark.parametrize("current", ["#lobby", "#war", "@alice,bob", ""])
def test_the_line_client_tells_wherever_its_user_is(model: ChatModel, current: str) -> None:
    if current:
        model.switch(current)
    transcript = Transcript(_Screen(), model)
    told = [transcript.claim(_presence(room)) for room in ("#lobby", "#war", "#ops")]
    assert told == [True, False, False], "each room tells of it"
    assert transcript.claim(_presence("#war", "phone"))


def test_a_device_does_not_tell_of_itself_or_of_what_its_user_does(model: ChatModel) -> None:
    model.switch("#lobby")
    transcript = Transcript(_Screen(), model)
    assert not transcript.claim(_presence("#lobby", "laptop"))
    assert not transcript.claim(_presence("#lobby", cause=None))


def test_others_are_told_in_the_room_they_look_at(model: ChatModel) -> None:
    model.switch("#lobby")
    transcript = Transcript(_Screen(), model)
    assert transcript.claim(_presence("#lobby", user="carol"))
    assert not transcript.claim(_presence("#war", user="carol"))


def test_the_words_say_what_to_do(model: ChatModel) -> None:
    screen = _Screen()
    model.switch("#lobby")
    Transcript(screen, model).event(_presence("#lobby"))
    where = model.conversation("#lobby")
    where.add(TimelineRow((1, 0), "event", "x"))
    model.take(_presence("#lobby"))
    for text in ("\n".join(screen.lines), where.rows[-1].body):
        assert "your new device pad is here, let in by alice" in text
        assert words_of_key(KEY) in text
        assert "chatctl revoke bob/pad" in text
