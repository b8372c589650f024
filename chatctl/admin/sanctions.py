"""Putting people out, keeping them out, and letting them in again."""

from __future__ import annotations

import copy
from collections.abc import Callable

import click

from chatctl.client import Client
from chatctl.connecting import App, confirm, connecting, duration, each_user, room_name
from chatd.console import output
from chatd.errors import ChatdError
from chatd.proto.frames import JsonObject
from chatd.proto.text import check_name

users_argument = click.argument("users", metavar="USER...", nargs=-1, required=True)
reason_option = click.option("--reason", default="", metavar="TEXT", help="Why; the user is told.")
for_option = click.option(
    "--for", "seconds", type=duration, help="How long: 30m, 2h, 7d. Default: until undone."
)
dry_run_option = click.option("--dry-run", is_flag=True, help="Only show whom it would hit.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
room_option = click.option("--room", metavar="ROOM", type=room_name, help="Only in this room.")


@click.command()
@users_argument
@room_option
@reason_option
@dry_run_option
@yes_option
@connecting
def kick(app: App, users: tuple[str, ...], room: str | None, reason: str, dry_run: bool, yes: bool) -> int:
    """End the sessions of USER now, or put USER out of one room.

    A kicked user is kept out for limits.kick_seconds. Several users at once must be confirmed; when one of
    them is not there, nobody is kicked.
    """

    def ask(client: Client, user: str, only_try: bool) -> JsonObject:
        return client.request("kick", user=user, room=room, reason=reason, dry_run=only_try)

    def words(result: JsonObject) -> str:
        return _hit("kicked", result, f" from {room}" if room else "")

    question = "" if dry_run or yes else "Kick"
    return _each_known_user(app, users, ask, words, "kicked", dry_run=dry_run, question=question)


@click.command()
@users_argument
@for_option
@reason_option
@dry_run_option
@yes_option
@connecting
def ban(app: App, users: tuple[str, ...], seconds: int | None, reason: str, dry_run: bool, yes: bool) -> int:
    """End the sessions of USER and refuse new ones.

    The person is banned, with all devices, wherever they connect from. Several users at once must be
    confirmed; when one of them is not there, nobody is banned.
    """

    def ask(client: Client, user: str, only_try: bool) -> JsonObject:
        return client.request("ban", user=user, seconds=seconds, reason=reason, dry_run=only_try)

    def words(result: JsonObject) -> str:
        return _hit("banned", result, _until(result))

    question = "" if dry_run or yes else "Ban"
    return _each_known_user(app, users, ask, words, "banned", dry_run=dry_run, question=question)


@click.command()
@users_argument
@connecting
def unban(app: App, users: tuple[str, ...]) -> int:
    """End a ban of USER, or the time USER is kept out after a kick."""
    return each_user(
        app, users, lambda c, user: c.request("unban", user=user), lambda r: f"unbanned {r['user']}"
    )


@click.command()
@connecting
def bans(app: App) -> None:
    """List the bans in force."""
    result = app.ask_pages("bans", "bans", "user")
    columns: output.Columns = {
        "user": str,
        "until": output.moment,
        "by": output.plain,
        "at": output.moment,
        "reason": output.plain,
    }
    app.show(result, lambda: output.table(result["bans"], columns))


@click.command()
@users_argument
@room_option
@for_option
@reason_option
@dry_run_option
@connecting
def mute(
    app: App, users: tuple[str, ...], room: str | None, seconds: int | None, reason: str, dry_run: bool
) -> int:
    """Refuse what USER sends, everywhere or in one room.

    When one of several users is not there, nobody is muted.
    """

    def ask(client: Client, user: str, only_try: bool) -> JsonObject:
        return client.request("mute", user=user, room=room, seconds=seconds, reason=reason, dry_run=only_try)

    def words(result: JsonObject) -> str:
        whom = f"{result['user']} in {room}" if room else result["user"]
        return f"would be muted: {whom}" if dry_run else f"muted {whom}"

    return _each_known_user(app, users, ask, words, "muted", dry_run=dry_run)


@click.command()
@users_argument
@room_option
@connecting
def unmute(app: App, users: tuple[str, ...], room: str | None) -> int:
    """End a mute of USER, the one everywhere or the one in a room."""

    def ask(client: Client, user: str) -> JsonObject:
        return client.request("unmute", user=user, room=room)

    return each_user(
        app, users, ask, lambda result: f"unmuted {result['user']}" + (f" in {room}" if room else "")
    )


@click.command()
@click.argument("device", metavar="USER/DEVICE")
@reason_option
@dry_run_option
@yes_option
@connecting
def revoke(app: App, device: str, reason: str, dry_run: bool, yes: bool) -> None:
    """End a device's certificate and its sessions, for good.

    The user's other devices go on. A revoked device is never admitted again; the user needs a new
    identity file for it, under another device name.
    """
    user, slash, name = device.partition("/")
    if not (user and slash and name):
        raise click.BadParameter(
            f"{device!r} is not USER/DEVICE, for example bob/phone", param_hint="USER/DEVICE"
        )
    confirm(f"Revoke {device} for good?", yes=yes or dry_run)
    result = app.ask("revoke", user=user, device=name, reason=reason, dry_run=dry_run)
    app.show(
        result,
        lambda: output.line(_hit("revoked", result | {"user": device}, f"  serial {result['serial']}")),
    )


@click.command()
@click.argument("room", type=room_name)
@click.argument("seq", type=click.IntRange(1))
@reason_option
@yes_option
@connecting
def redact(app: App, room: str, seq: int, reason: str, yes: bool) -> None:
    """Erase the text of message SEQ of ROOM, for everybody and for good.

    `chat history ROOM --json` and `chat search --json` show the seq of each message. That there was
    a message, when and from whom, stays in the log.
    """
    confirm(f"Erase message {seq} of {room} for good?", yes=yes)
    result = app.ask("redact", room=room, seq=seq, reason=reason)
    app.show(result, lambda: output.line(f"erased message {seq} of {room}"))


@click.command()
@click.argument("room", type=room_name)
@click.option("--off", is_flag=True, help="Let the messages go again.")
@reason_option
@connecting
def hold(app: App, room: str, off: bool, reason: str) -> None:
    """Hold the messages of ROOM: nothing erases them, neither retention nor redact."""
    result = app.ask("hold", room=room, on=not off, reason=reason)
    app.show(result, lambda: output.line(f"{room} is {'no longer held' if off else 'held'}"))


# The command's former name still works, but no help or completion lists it.
freeze = copy.copy(hold)
freeze.name, freeze.hidden = "freeze", True


def _each_known_user(
    app: App,
    users: tuple[str, ...],
    ask: Callable[[Client, str, bool], JsonObject],
    words: Callable[[JsonObject], str],
    done: str,
    *,
    dry_run: bool,
    question: str = "",
) -> int:
    """`each_user`, after all of several names were tried; ``question``: what the person must agree to then.

    One user is urgent and easily undone; a list may be a shell expansion gone wrong, or hold a reason.
    """

    def before(client: Client) -> None:
        unknown = [user for user in names if not _known(client, user, ask)]
        if unknown:
            raise ChatdError(
                "E405",
                f"no user is called {', '.join(map(repr, unknown))}; nobody was {done}",
                'check the names; a reason is given with --reason "TEXT"',
            )
        confirm(f"{question} {len(names)} users?", yes=not question)

    names = tuple(dict.fromkeys(users))
    return each_user(
        app, names, lambda c, user: ask(c, user, dry_run), words, before if len(names) > 1 else None
    )


def _known(client: Client, user: str, ask: Callable[[Client, str, bool], JsonObject]) -> bool:
    """Whether there is such a user. Raises what leaves that open."""
    try:
        check_name(user)
        ask(client, user, True)
    except ChatdError as error:
        if error.code in ("E403", "E405"):
            return False
        # Any other refusal is about this user only, and told when it is their turn.
        if error.code[:2] not in ("E3", "E4"):
            raise
    return True


def _hit(verb: str, result: JsonObject, more: str) -> str:
    sessions, workers = result.get("sessions", 0), result.get("workers", 0)
    on = f" on {workers} workers" if workers > 1 else ""
    count = f"{sessions} live session{'s' * (sessions != 1)}{on}"
    if result.get("dry_run"):
        return f"would be {verb}: {result['user']}{more}  {count} would be closed"
    return f"{verb} {result['user']}{more}  closed {count}"


def _until(result: JsonObject) -> str:
    return f" until {output.moment(result['until'])}" if result.get("until") else " until unbanned"
