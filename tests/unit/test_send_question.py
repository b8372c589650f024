"""A text is asked about once if the server would cut it, or if it shows an invite to a whole room."""

from __future__ import annotations

from typing import Any

import pytest

from chatctl.model.send_question import SendQuestion
from chatd.proto import events as ev
from chatd.proto.invite_code import InviteCode
from tests.unit.test_client_session import LIMITS
from tests.unit.test_client_session import welcome as welcome_frame

CODE = str(InviteCode("chat.lab:5000", bytes(range(16)), bytes(range(16, 32))))
ROOM = "#lobby"


def welcome(**more: Any) -> ev.Welcome:
    limits = LIMITS | {"message_chars": 500}
    return ev.Welcome.model_validate(welcome_frame(limits=limits, **more))


def test_a_text_that_the_server_would_cut_is_asked_about_once() -> None:
    question, cutting = SendQuestion(), welcome(long_text="truncate")
    assert question.ask(welcome(long_text="snippet"), ROOM, "x" * 501) == ""
    assert question.ask(cutting, ROOM, "x" * 500) == ""
    assert "cuts texts after 500 characters, and this one has 501" in question.ask(cutting, ROOM, "x" * 501)
    assert question.ask(cutting, ROOM, "y" * 501)
    assert question.ask(cutting, ROOM, "y" * 501) == ""
    assert question.ask(cutting, ROOM, "y" * 501)


@pytest.mark.parametrize(
    "text", [f"chat join {CODE}", CODE, f"here: https://chat.lab:5443/#{CODE.partition('/')[2]} try it"]
)
def test_an_invite_is_not_shown_to_a_room_by_mistake(text: str) -> None:
    question = SendQuestion()
    assert "holds an invite" in question.ask(welcome(), ROOM, text)
    assert question.ask(welcome(), ROOM, text) == ""
    # To one person it may well be meant.
    assert question.ask(welcome(), "@bob", text) == ""


@pytest.mark.parametrize("text", [CODE.replace("/0", "/1"), CODE[:-1], "the-quick-brown-fox", "0" * 58])
def test_what_is_no_invite_is_not_asked_about(text: str) -> None:
    assert SendQuestion().ask(welcome(), ROOM, text) == ""
