"""Code, bold words and links in the message area; real widgets on a real X server."""

from __future__ import annotations

from typing import Any

import pytest

from chatd.proto.events import Message
from tests.support.daemon import wait_until
from tests.support.windows import Opener, draw
from tests.support.xvfb import missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"windows cannot be tested here: {missing()}")

ADDRESS = "https://x.example/K\u00f6ln"


def shown_window(offline_window: Opener) -> Any:
    window: Any = offline_window()
    body = f"**now**: `ls -l`, see ({ADDRESS})."
    fields = {"device": "x", "role": "user", "msg_id": "0" * 32, "kind": "text", "room": "#lobby"}
    event = {"type": "message", "seq": 1, "at": 1, "user": "bob", "body": body}
    window.model.take(Message.model_validate({**event, **fields}))
    draw(window)
    assert body in window.messages.text.get("1.0", "end")
    return window


def tagged(window: Any, tag: str) -> str:
    return str(window.messages.text.get(*map(str, window.messages.text.tag_ranges(tag))))


def click(window: Any) -> None:
    text = window.messages.text
    x, y, _, height = text.bbox(f"{text.search('x.example', '1.0')}")
    for event in ("<Motion>", "<Button-1>", "<ButtonRelease-1>"):
        text.event_generate(event, x=x, y=y + height // 2)
    draw(window)


def test_marked_up_text_has_its_look(offline_window: Opener) -> None:
    window = shown_window(offline_window)
    for tag, text in (("strong", "**now**"), ("code", "`ls -l`"), ("link", ADDRESS)):
        assert tagged(window, tag) == text
    assert str(window.messages.text.tag_cget("link", "underline")) == "1"


def test_a_click_opens_the_address_that_is_shown(
    offline_window: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def open_in_browser(address: str) -> bool:
        opened.append(address)
        return True

    monkeypatch.setattr("webbrowser.open", open_in_browser)
    window = shown_window(offline_window)
    click(window)
    wait_until(lambda: opened, what="an opened address")
    assert opened == ["https://x.example/K%C3%B6ln"]


def test_the_end_of_a_selection_opens_nothing(
    offline_window: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = shown_window(offline_window)
    opened: list[str] = []
    window.messages.on_link = opened.append
    text = window.messages.text
    x, y, _, height = text.bbox(text.search("x.example", "1.0"))
    text.event_generate("<Motion>", x=x, y=y + height // 2)
    text.tag_add("sel", "1.0", "end")
    text.event_generate("<ButtonRelease-1>", x=x, y=y + height // 2)
    assert opened == []
    text.tag_remove("sel", "1.0", "end")
    text.event_generate("<ButtonRelease-1>", x=x, y=y + height // 2)
    assert opened == [ADDRESS]


def test_without_a_browser_the_address_is_copied(
    offline_window: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webbrowser.open", lambda address: False)
    window = shown_window(offline_window)
    click(window)

    def told() -> bool:
        draw(window)
        return "no browser could be started" in window.messages.text.get("1.0", "end")

    wait_until(told, what="the note")
    assert window.root.clipboard_get() == ADDRESS
