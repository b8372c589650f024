"""Rooms: who enters, who owns them, who is invited and removed."""

from __future__ import annotations

from typing import get_args

import click

from chatctl.admin.room_commands import room_argument
from chatctl.admin.sanctions import needless_yes_option
from chatctl.connecting import App, connecting, dry_run_option, reason_option
from chatd.console import output
from chatd.console.output import moment
from chatd.proto.frames import JsonObject
from chatd.proto.request_bounds import Mode

user_argument = click.argument("user", metavar="USER")


@click.command()
@room_argument
@connecting
def info(app: App, room: str) -> None:
    """Show ROOM: its mode, what new members read, its owners and invitations."""
    result = app.ask("room_info", room=room)
    app.show(result, lambda: _print_info(result))


@click.command()
@room_argument
@click.argument("mode", type=click.Choice(get_args(Mode)))
@dry_run_option
@connecting
def mode(app: App, room: str, mode: str, dry_run: bool) -> None:
    """Set the mode of ROOM; its members stay.

    open: whoever may see it enters. members: entered by invitation, unknown to others. read-only: only
    its owners write. Who enters after a members room was opened reads nothing from before that.
    """
    result = app.ask("room_mode", room=room, mode=mode, dry_run=dry_run)
    would, end = ("would be", "would end") if dry_run else ("is", "have ended")
    ended = result.get("invitations_ended", 0)
    lost = f"; {ended} invitation{'s' * (ended != 1)} {end}" if ended else ""
    app.show(result, lambda: output.line(f"{room} {would} {mode}, with {_members(result)}{lost}"))


@click.command()
@room_argument
@user_argument
@click.option("--remove", is_flag=True, help="USER is no owner any more.")
@connecting
def owner(app: App, room: str, user: str, remove: bool) -> None:
    """Make USER, a member of ROOM, an owner of it.

    With your own name and the permission room.manage you take the room over: you enter it, and its
    members are told.
    """
    result = app.ask("owner", room=room, user=user, on=not remove)
    done = "is no owner of" if remove else "owns"
    app.show(result, lambda: output.line(f"{user} {done} {room}"))


@click.command()
@room_argument
@user_argument
@connecting
def invite(app: App, room: str, user: str) -> None:
    """Invite USER to ROOM, as one of its owners."""
    result = app.ask("invite", room=room, user=user)
    app.show(result, lambda: output.line(f"{user} is invited to {room} until {moment(result['until'])}"))


@click.command()
@room_argument
@user_argument
@connecting
def uninvite(app: App, room: str, user: str) -> None:
    """Withdraw the invitation of USER to ROOM; with your own name decline yours."""
    result = app.ask("uninvite", room=room, user=user)
    app.show(result, lambda: output.line(f"{user} is not invited to {room} any more"))


@click.command("remove-member")
@room_argument
@user_argument
@reason_option
@dry_run_option
@needless_yes_option
@connecting
def remove_member(app: App, room: str, user: str, reason: str, dry_run: bool) -> None:
    """Remove USER from ROOM, as one of its owners."""
    result = app.ask("member_remove", room=room, user=user, reason=reason, dry_run=dry_run)
    would = "would be" if dry_run else "was"
    app.show(result, lambda: output.line(f"{user} {would} removed from {room}"))


def _print_info(result: JsonObject) -> None:
    columns: output.Columns = {
        "room": str,
        "mode": str,
        "history": str,
        "members": str,
        "guests": output.yes_no,
        "archived": output.yes_no,
        "topic": output.plain,
    }
    output.table([result], columns)
    for name in ("owners", "invitations"):
        if result[name]:
            output.line(f"{name}: {output.joined(result[name])}")


def _members(result: JsonObject) -> str:
    return f"{result['members']} member{'s' * (result['members'] != 1)}"
