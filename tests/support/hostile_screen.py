"""Show every hostile text on the line client's real screen, then wait; a test runs this in a terminal."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from chatctl.model import answers
from chatctl.model.chat_model import ChatModel
from chatctl.model.render import Line, Viewer, render, safe
from chatctl.terminal.screen import Screen
from chatctl.terminal.tab_completion import LineCompleter
from chatd.proto import events as ev
from tests.support.hostile import TEXTS


def lines_of(label: str, text: str) -> list[Line]:
    """Put the text into every field of every kind of line."""
    fields: dict[str, Any] = {"room": text, "user": text, "role": text, "msg_id": "", "body": text}
    message = ev.Message(type="message", seq=1, at=0, device="d", kind="text", **fields)
    topic = ev.TopicSet(type="topic", seq=1, at=0, room=text, topic=text, by=text)
    away = ev.Presence(type="presence", room=text, user=text, state="away", text=text)
    offline = away.model_copy(update={"state": "offline", "cause": text, "by": text, "reason": text})
    lines = [answers.note(f"begin {label}"), *render(message, Viewer(me="me", room="#lobby"))]
    lines += [*render(topic, Viewer()), *render(away, Viewer()), *render(offline, Viewer())]
    whois = {"user": text, "role": text, "state": text, "text": text, "rooms": [text]}
    return [*lines, *answers.whois(whois), answers.note(f"end {label}")]


async def show(done: Path) -> None:
    """Show all texts; create the file ``done`` when they are on the screen."""
    screen = Screen(
        prompt=lambda pasting: [("class:prompt", f"{safe(TEXTS['osc_title'])}> ")],
        status=lambda: [("class:status", safe(TEXTS["csi_clear"]))],
        on_line=lambda line, pasted: None,
        completer=LineCompleter(ChatModel("me")),
    )
    lines = [line for case in TEXTS.items() for line in lines_of(*case)]
    asyncio.get_running_loop().call_later(0.2, screen.show, lines)
    asyncio.get_running_loop().call_later(1.0, done.touch)
    await screen.run()


if __name__ == "__main__":
    asyncio.run(show(Path(sys.argv[1])))
