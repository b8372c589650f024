"""Invites: make codes for new users, list and cancel them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec

import click

from chatctl.admin.team_invites import Inviter, Team, read_team
from chatctl.connecting import App, connecting, duration, room_name
from chatctl.join_line import is_here, note_link, reachable_address
from chatd.console import output
from chatd.console.arguments import NamedPath, host_port
from chatd.console.progress import progress_bar
from chatd.console.qr_code import show_qr
from chatd.console.shell_completion import complete_files
from chatd.console.user_list import NewDevice
from chatd.proto.frames import JsonObject
from chatd.proto.text import check_name

P = ParamSpec("P")
name_argument = click.argument("user", metavar="NAME")


def _rooms(text: str) -> list[str]:
    return [room_name(part.strip()) for part in text.split(",") if part.strip()]


rooms_option = click.option(
    "--rooms", type=_rooms, metavar="A,B", help="Rooms to join (the # may be left out)."
)


def guest_options(function: Callable[P, Any]) -> Callable[P, Any]:
    """Add --ends and --sponsor."""
    ends = click.option(
        "--ends",
        type=duration,
        help="For a guest: how long from now until sessions, rooms and certificate end, 1m to 90d.",
    )
    sponsor = click.option("--sponsor", metavar="USER", help="Who answers for the guest. Default: you.")
    return ends(sponsor(function))


@click.command()
@click.argument("user", metavar="NAME", required=False)
@click.option("--role", metavar="ROLE", help="Role of the new user. Default: the setting roles.default.")
@click.option(
    "--code-expires",
    "--expires",
    "expires",
    type=duration,
    default="24h",
    show_default=True,
    help="How long the line to send works, 1m to 30d.",
)
@guest_options
@click.option("--device", metavar="D", help="Name of the device. Default: whoever joins chooses it.")
@rooms_option
@click.option(
    "--server",
    type=host_port,
    metavar="HOST:PORT",
    help="Where the new user reaches the server. Default: the first address in your identity.",
)
@click.option(
    "--file",
    "listed",
    metavar="FILE",
    type=NamedPath(path_type=Path, dir_okay=False),
    shell_complete=complete_files,
    help="Invite all users of a CSV file with the columns name,role,rooms,device; - reads standard input.",
)
@click.option("--qr", is_flag=True, help="Also print the line as a QR code.")
@connecting
def create(
    app: App,
    user: str | None,
    role: str | None,
    expires: int,
    ends: int | None,
    sponsor: str | None,
    device: str | None,
    rooms: list[str] | None,
    server: str | None,
    listed: Path | None,
    qr: bool,
) -> int:
    """Invite a new user NAME: print the line to send to them, which works once.

    The line starts with `chat join`, and lets in whoever runs it first. Whoever runs it makes the private
    key on their own machine. With your own NAME it is for another device of yours. With the name of a user
    all of whose devices are revoked, it gives that user a new device, with the same rooms and history.

    With --ends the new user is a guest whose time ends by itself. The sponsor is reminded a day and an hour
    before, and extends or ends it with `chatctl guest`. Without --role such a user gets the role "guest".

    With --file instead of NAME, one user on each line. If any line is wrong, nothing is done. If it is cut
    short, run the same again: it goes on with those who have no invite.
    """
    if (user is None) == (listed is None):
        raise click.UsageError("Give either a NAME, or --file FILE.")
    if qr and (listed is not None or app.as_json):
        raise click.UsageError("--qr is for one NAME, and does not go with --json.")
    chosen = {"rooms": rooms or None, "guest_seconds": ends, "sponsor": sponsor}
    fields: JsonObject = {"seconds": expires} | {key: value for key, value in chosen.items() if value}
    team = None if listed is None else read_team(listed, role, device or "")
    with app.client() as client:
        inviter = Inviter(client, server or reachable_address(client.identity), fields)
        if user is not None:
            made = inviter.invite(NewDevice("", check_name(user, "user"), role, device or ""))
            app.show(made, lambda: _show(made, qr=qr))
        outcome = output.OK if team is None else _invite_team(app, inviter, team)
    if is_here(inviter.address):
        output.note(f"{inviter.address} can be reached on this machine only: name another with --server")
    return outcome


def _show(made: JsonObject, *, qr: bool) -> None:
    output.line(made["command"])
    note_link(made["link"])
    if qr:
        show_qr(made["command"])


def _invite_team(app: App, inviter: Inviter, team: Team) -> int:
    """Invite all of a list; return the exit code."""

    def show(one: JsonObject) -> None:
        if not app.as_json:
            output.line(f"{one['user']}: {one['command']}")

    with progress_bar() as draw:

        def progress(label: str, done: int, total: int) -> None:
            # The printed lines are progress enough, and a bar would stand between them.
            if label == "checking" or app.as_json or not sys.stdout.isatty():
                draw(label, done, total)

        result = inviter.invite_all(team, show, progress)
    if app.as_json:
        output.json_line({"invites": result.made, "skipped": result.skipped, "unsure": result.unsure})
    for name in result.skipped:
        output.note(f"left out {name}, who has an open invite or has joined: see chatctl invite list")
    if result.error is None:
        return output.OK
    output.note(f"{output.error_head()}{result.error}")
    if result.unsure:
        output.note("the server may have made these; those of chatctl invite list work:")
        for one in result.unsure:
            show(one)
    left = len(team.wanted) - len(result.skipped) - len(result.made)
    output.note(f"invited {len(result.made)}, {left} are left: run the same again to go on")
    return output.PARTLY if result.made else output.exit_code(result.error)


@click.command("list")
@connecting
def list_invites(app: App) -> None:
    """List the open invites, then those that have ended lately.

    The open ones are in the order of their ends; of the others the one made last comes first.
    """
    result = app.ask_pages("invite_list", "invites", "invite")
    result["invites"].sort(key=_open_first)
    columns: output.Columns = {
        "user": str,
        "role": output.plain,
        "device": output.plain,
        "state": str,
        "until": output.moment,
        "by": output.plain,
        "rooms": output.joined,
    }
    app.show(result, lambda: output.table(result["invites"], columns))


def _open_first(one: JsonObject) -> tuple[bool, int, str]:
    opened = one["state"] == "open"
    return not opened, one["until"] if opened else -one["at"], one["user"]


@click.command()
@name_argument
@connecting
def cancel(app: App, user: str) -> None:
    """Cancel the open invite for NAME: its line no longer works."""
    result = app.ask("invite_cancel", user=user)
    app.show(result, lambda: output.line(f"cancelled the invite for {user}"))
