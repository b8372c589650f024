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
    # The event that follows says so.
    await surface.ask("room_mode", room=_room(surface, call), mode=call["mode"])


async def invite(surface: Surface, call: CommandCall) -> None:
    await surface.ask("invite", room=_room(surface, call), user=call["name"])


async def uninvite(surface: Surface, call: CommandCall) -> None:
    await surface.ask("uninvite", room=_room(surface, call), user=call["name"])


async def owner(surface: Surface, call: CommandCall) -> None:
    await surface.ask("owner", room=_room(surface, call), user=call["name"], on=not call["remove"])


async def remove(surface: Surface, call: CommandCall) -> None:
    fields = {"user": call["name"], "reason": call["reason"]}
    await surface.ask("member_remove", room=_room(surface, call), **fields)


async def group(surface: Surface, call: CommandCall) -> None:
    await surface.enter(f"@{call['names']}")


def _room(surface: Surface, call: CommandCall) -> Any:
    return call["room"] or surface.model.require_current()
