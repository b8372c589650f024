"""The menu of a message, and Up in an empty input, in a window without a connection."""

from __future__ import annotations

from typing import Any

import pytest

from chatd.proto import events as ev
from tests.support.windows import Opener, draw
from tests.support.xvfb import missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"windows cannot be tested here: {missing()}")


def message(seq: int, user: str, body: str, **more: object) -> ev.Message:
    fields = {"room": "#lobby", "device": "d", "role": "user", "msg_id": f"{seq:032x}", "kind": "text"}
    return ev.Message.model_validate(
        {"type": "message", "seq": seq, "at": seq * 1_000, "user": user, "body": body, **fields, **more}
    )


def labels(menu: Any) -> list[str]:
    last = menu.index("end")
    places = range(last + 1) if last is not None else ()
    return [menu.entrycget(place, "label") for place in places if menu.type(place) == "command"]


def test_the_menu_of_a_message_offers_what_its_reader_may_do(
    offline_window: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    window: Any = offline_window()
    model = window.model
    submitted: list[str] = []
    monkeypatch.setattr(window.control, "submit", submitted.append)
    permissions = property(lambda _: frozenset({"message.send", "message.delete"}))
    monkeypatch.setattr(type(model), "permissions", permissions)
    model.switch("#lobby")
    model.take(message(1, "bob", "shall we?", reactions=[{"text": "+1", "count": 2, "mine": True}]))
    model.take(message(2, "carol", "first line\nsecond line"))
    draw(window)
    menu = window._message_menu
    menu._fill(model.here.message(1))
    assert labels(menu.menu)[:2] == ["Reply", "Take back +1"]
    assert "Edit" not in labels(menu.menu)
    menu.menu.invoke(1)
    menu.menu.invoke(labels(menu.menu).index("Who reacted"))
    assert submitted == ["/react 1 +1", "/reactions 1"]
    menu._fill(model.here.message(2))
    assert labels(menu.menu)[-2:] == ["Edit", "Delete\u2026"]
    menu.menu.invoke("end")
    assert window.composer.value == "/delete 2"
    menu.menu.invoke(menu.menu.index("end") - 1)
    assert window.composer.value == "/edit 2 first line\nsecond line"


def test_the_place_of_a_click_is_that_of_a_message(offline_window: Opener) -> None:
    window: Any = offline_window()
    window.model.switch("#lobby")
    for event in (message(1, "bob", "one"), message(2, "carol", "two\nlines"), message(3, "bob", "three")):
        window.model.take(event)
    draw(window)
    text = window.messages.text
    for word, seq in (("one", 1), ("lines", 2), ("three", 3)):
        x, y, _, height = text.bbox(text.search(word, "1.0"))
        assert window.messages.seq_at(x, y + height // 2) == seq


def test_up_in_an_empty_input_edits_the_last_own_message(offline_window: Opener) -> None:
    window: Any = offline_window()
    window.model.switch("#lobby")
    window.model.take(message(1, "carol", "mine"))
    window.model.take(message(2, "bob", "not mine"))
    draw(window)
    composer = window.composer
    assert composer._recall(1) == "break"
    assert composer.value == "/edit 1 mine"
    assert composer._recall(-1) == "break"
    assert composer.value == ""
    composer._history.append("/who")
    assert composer._recall(1) == "break"
    assert composer.value == "/who"
