"""Rooms: create, archive and remove them."""

from __future__ import annotations

from typing import get_args

import click

from chatctl.admin.sanctions import needless_yes_option, yes_option
from chatctl.connecting import App, confirm, connecting, dry_run_option, reason_option, room_name
from chatd.console import output
from chatd.proto.frames import JsonObject
from chatd.proto.request_bounds import HistoryRule, Mode

room_argument = click.argument("room", metavar="ROOM", type=room_name)


@click.command()
@room_argument
@click.option("--topic", default="", metavar="TEXT", help="The room's topic.")
@click.option("--guests", is_flag=True, help="Let guests enter.")
@click.option(
    "--mode",
    type=click.Choice(get_args(Mode)),
    default="open",
    help="members: entered by invitation, unknown to others; read-only: only owners write.",
)
@click.option(
    "--history",
    type=click.Choice(get_args(HistoryRule)),
    default="all",
    help="What members read: all, or what follows their joining. It cannot be changed.",
)
@connecting
def create(app: App, room: str, topic: str, guests: bool, mode: str, history: str) -> None:
    """Create ROOM, enter it and own it."""
    # A server of an older version does not know these fields.
    rules = {"mode": mode, "history": history} if (mode, history) != ("open", "all") else {}
    result = app.ask("create", room=room, topic=topic, guests=guests, **rules)
    app.show(result, lambda: output.line(f"created {room}"))


@click.command()
@room_argument
@click.option("--undo", is_flag=True, help="End it: members write, and others enter, as before.")
@reason_option
@dry_run_option
@needless_yes_option
@connecting
def archive(app: App, room: str, undo: bool, reason: str, dry_run: bool) -> None:
    """Archive ROOM: its members read and search it, nobody writes there or enters.

    An archived room is not listed without --archived. It can be undone with --undo, or with `chatctl
    room unarchive`.
    """
    _archive(app, room, on=not undo, reason=reason, dry_run=dry_run)


@click.command()
@room_argument
@reason_option
@dry_run_option
@needless_yes_option
@connecting
def unarchive(app: App, room: str, reason: str, dry_run: bool) -> None:
    """End the archiving of ROOM: members write, and others enter, as before."""
    _archive(app, room, on=False, reason=reason, dry_run=dry_run)


@click.command()
@room_argument
@reason_option
@dry_run_option
@yes_option
@connecting
def remove(app: App, room: str, reason: str, dry_run: bool, yes: bool) -> None:
    """Remove ROOM for everybody and for good, with the texts of all its messages.

    The log keeps who wrote there and when. The name is free once the texts are deleted. A room on
    hold, or one of config/settings.json, cannot be removed.
    """
    confirm(f"Remove {room} with all its messages for good?", yes=yes or dry_run)
    result = app.ask("room_remove", room=room, reason=reason, dry_run=dry_run)
    app.show(result, lambda: output.line(_outcome("removed", result)))


def _archive(app: App, room: str, *, on: bool, reason: str, dry_run: bool) -> None:
    result = app.ask("room_archive", room=room, on=on, reason=reason, dry_run=dry_run)
    app.show(result, lambda: output.line(_outcome("archived" if on else "unarchived", result)))


def _outcome(verb: str, result: JsonObject) -> str:
    members = result["members"]
    would = "would be " if result["dry_run"] else ""
    return f"{would}{verb}: {result['room']} with {members} member{'s' * (members != 1)}"
