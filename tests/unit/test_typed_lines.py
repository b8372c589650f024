"""What is typed while the line client starts waits for the first room."""

from __future__ import annotations

import asyncio

from chatctl.model.commands import parse
from chatctl.model.grammar import CommandCall, Say
from chatctl.terminal.line_surface import LineSurface
from chatctl.terminal.typed_lines import TypedLines
from tests.unit.test_line_surface import FakeClient, FakeScreen, begin, run


def command(line: str) -> CommandCall:
    call = parse(line)
    assert isinstance(call, CommandCall)
    return call


def test_a_line_typed_before_the_first_room_is_sent_there() -> None:
    async def body(surface: LineSurface, client: FakeClient, screen: FakeScreen) -> None:
        lines = TypedLines(surface.begun)
        lines.put(Say("good morning"))
        lines.put(command("/topic x"))
        first = asyncio.create_task(lines.next())
        await asyncio.wait([first], timeout=0.01)
        assert not first.done()
        await begin(surface)
        said = await first
        assert isinstance(said, Say)
        surface.say(said.text)
        assert [(sent.to, sent.body) for sent in client.sent] == [("#lobby", "good morning")]
        assert isinstance(await lines.next(), CommandCall)

    run(body)


def test_lines_go_on_although_the_first_room_was_refused() -> None:
    async def body(surface: LineSurface, client: FakeClient, screen: FakeScreen) -> None:
        await begin(surface)
        assert surface.begun.is_set()

    run(body, room="#none")


def test_who_waits_for_a_connection_can_quit() -> None:
    begun = asyncio.Event()
    lines = TypedLines(begun)
    assert lines.overtakes(command("/quit"))
    assert lines.overtakes(command("/exit"))
    assert not lines.overtakes(command("/topic x"))
    assert not lines.overtakes(Say("quit"))
    begun.set()
    assert not lines.overtakes(command("/quit"))


def test_messages_that_were_never_sent_are_told() -> None:
    lines = TypedLines(asyncio.Event())
    for meant in (Say("one"), command("/topic x"), Say("two")):
        lines.put(meant)
    assert lines.unsent() == ["one", "two"]
    assert lines.unsent() == []
