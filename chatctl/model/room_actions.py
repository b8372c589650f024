"""Carry out the commands about rooms: create, mode, owners, invitations, removals, groups."""

from __future__ import annotations

from typing import Any

from chatctl.model import answers
from chatctl.model.grammar import CommandCall
from chatctl.model.surface import Surface


async def create(surface: Surface, call: CommandCall) -> None:
    await surface.create(call["room"], call["topic"], call["options"] or {})


async def info(surface: Surface, call: CommandCall) -> None:
    surface.show(answers.room_info(await surface.ask("room_info", room=_room(surface, call))))


async def mode(surface: Surface, call: CommandCall) -> None:
    room = _room(surface, call)
    await surface.ask("room_mode", room=room, mode=call["mode"])
    _note_elsewhere(surface, room, f"{room} is {call['mode']} now")


async def invite(surface: Surface, call: CommandCall) -> None:
    room = _room(surface, call)
    await surface.ask("invite", room=room, user=call["name"])
    _note_elsewhere(surface, room, f"invited {call['name']} to {room}")


async def uninvite(surface: Surface, call: CommandCall) -> None:
    room = _room(surface, call)
    await surface.ask("uninvite", room=room, user=call["name"])
    _note_elsewhere(surface, room, f"{call['name']} is not invited to {room} any more")


async def owner(surface: Surface, call: CommandCall) -> None:
    room, on = _room(surface, call), not call["remove"]
    await surface.ask("owner", room=room, user=call["name"], on=on)
    _note_elsewhere(surface, room, f"{call['name']} {'owns' if on else 'no longer owns'} {room}")


async def remove(surface: Surface, call: CommandCall) -> None:
    fields = {"user": call["name"], "reason": call["reason"]}
    room = _room(surface, call)
    await surface.ask("member_remove", room=room, **fields)
    _note_elsewhere(surface, room, f"{call['name']} was removed from {room}")


async def group(surface: Surface, call: CommandCall) -> None:
    await surface.enter(f"@{call['names']}")


def _note_elsewhere(surface: Surface, room: str, done: str) -> None:
    """Answer whoever is in another room; in the room itself the event that follows says so."""
    if room != surface.model.current:
        surface.note(done)


def _room(surface: Surface, call: CommandCall) -> Any:
    return call["room"] or surface.model.require_current()
