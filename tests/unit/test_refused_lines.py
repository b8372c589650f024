"""`chat send --lines` names the lines that were refused."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from chatctl.client import Sent, SentResult
from chatctl.client._notices import acknowledge, refuse
from chatctl.scripts.send_command import MessageSender
from chatctl.scripts.standard_input import InputLine, at_line
from chatd.errors import ChatdError
from chatd.proto.requests import Send
from chatd.proto.search_query import KINDS


class RefusingClient:
    """Accepts all texts but "hack"."""

    error = None

    def send(self, to: str, body: str, **options: Any) -> Sent:
        sent = Sent("0" * 32, to, body, "text", None)
        if body == "hack":
            refuse(sent, ChatdError("E402", "the word is forbidden", "reword it"))
        else:
            acknowledge(sent, SentResult(7, 1, []))
        return sent


@pytest.mark.parametrize("as_json", [False, True])
def test_a_refused_line_is_named(capsys: pytest.CaptureFixture[str], *, as_json: bool) -> None:
    sender = MessageSender(RefusingClient(), "#lobby", as_json)  # type: ignore[arg-type]  # all it uses
    for number, text in enumerate(("fine", "hack", "well", "caf\udce9"), 1):
        sender.send_line(InputLine(number, text))
    assert sender.finish() == 6
    shown = capsys.readouterr()
    assert "line 2: the word is forbidden (E402). reword it" in shown.err
    assert shown.err.count("line 4") == 1
    objects = [json.loads(line) for line in shown.out.splitlines()]
    errors = {one["line"]: one["error"]["code"] for one in objects if "error" in one}
    assert errors == ({2: "E402", 4: "E402"} if as_json else {})


def test_a_line_is_named_once() -> None:
    error = at_line(ChatdError("E402", "no", "f"), 3)
    assert (error.reason, at_line(error, 3).code) == ("line 3: no", "E402")


def test_a_search_knows_the_kinds_of_messages() -> None:
    assert set(KINDS) == set(get_args(Send.model_fields["kind"].annotation))
