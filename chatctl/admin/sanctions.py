"""Moderation: kick, ban and mute, their reverses, redact and hold."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from chatctl.connecting import (
    App,
    confirm,
    connecting,
    dry_run_option,
    duration,
    for_each_user,
    reason_option,
    room_name,
)
from chatd.console import output, sanction_text
from chatd.console.leaving_text import ownerless
from chatd.console.numbers import EVENT_SEQ
from chatd.errors import ChatdError
from chatd.proto.frames import JsonObject
from chatd.proto.text import check_name

if TYPE_CHECKING:
    from chatctl.client import Client

users_argument = click.argument("users", metavar="USER...", nargs=-1, required=True)
for_option = click.option(
    "--for", "seconds", type=duration, help="How long, such as 30m, 2h, 7d. Default: until undone."
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
# For what can be undone, and is done without a question: scripts may give it as elsewhere.
needless_yes_option = click.option(
    "--yes", is_flag=True, expose_value=False, hidden=True, help="There is no question."
)
_SANCTION_COLUMNS: output.Columns = {
    "until": output.moment,
    "by": output.plain,
    "at": output.moment,
    "reason": output.plain,
}
room_option = click.option("--room", metavar="ROOM", type=room_name, help="Only in this room.")


@click.command()
@users_argument
@room_option
@reason_option
@dry_run_option
@yes_option
@connecting
def kick(app: App, users: tuple[str, ...], room: str | None, reason: str, dry_run: bool, yes: bool) -> int:
    """End the sessions of USER, or remove USER from one room.

    A kicked user cannot come back for limits.kick_seconds. Several users must be confirmed; if one of
    them does not exist, nobody is kicked.
    """

    def ask(client: Client, user: str, dry: bool) -> JsonObject:
        return client.request("kick", user=user, room=room, reason=reason, dry_run=dry)

    def describe(result: JsonObject) -> str:
        details = f" from {room}" if room else _until(result)
        return outcome_text("kicked", result, details) + ownerless(result)

    question = "" if dry_run or yes else "Kick"
    return _each_known_user(app, users, ask, describe, "kicked", dry_run=dry_run, question=question)


@click.command()
@users_argument
@for_option
@reason_option
@dry_run_option
@yes_option
@connecting
def ban(app: App, users: tuple[str, ...], seconds: int | None, reason: str, dry_run: bool, yes: bool) -> int:
    """End the sessions of USER and refuse new ones.

    A ban covers all devices of USER, wherever they connect from. Several users must be confirmed; if
    one of them does not exist, nobody is banned.
    """

    def ask(client: Client, user: str, dry: bool) -> JsonObject:
        return client.request("ban", user=user, seconds=seconds, reason=reason, dry_run=dry)

    def describe(result: JsonObject) -> str:
        return outcome_text("banned", result, _until(result)) + sanction_text.replaced(result)

    question = "" if dry_run or yes else "Ban"
    return _each_known_user(app, users, ask, describe, "banned", dry_run=dry_run, question=question)


@click.command()
@users_argument
@reason_option
@connecting
def unban(app: App, users: tuple[str, ...], reason: str) -> int:
    """End a ban of USER, or the time after a kick in which USER cannot come back."""

    def ask(client: Client, user: str) -> JsonObject:
        return client.request("unban", user=user, reason=reason or None)

    return for_each_user(app, users, ask, lambda result: f"unbanned {result['user']}")


@click.command()
@connecting
def bans(app: App) -> None:
    """List the current bans."""
    result = app.ask_pages("bans", "bans", "user")
    app.show(result, lambda: output.table(result["bans"], {"user": str, **_SANCTION_COLUMNS}))


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
    """Refuse messages of USER, everywhere or in one room.

    If one of several users does not exist, nobody is muted.
    """

    def ask(client: Client, user: str, dry: bool) -> JsonObject:
        return client.request("mute", user=user, room=room, seconds=seconds, reason=reason, dry_run=dry)

    def describe(result: JsonObject) -> str:
        whom = f"{result['user']} in {room}" if room else result["user"]
        how = f"{whom} {sanction_text.ends(result)}{sanction_text.replaced(result)}"
        return f"would be muted: {how}" if dry_run else f"muted {how}"

    return _each_known_user(app, users, ask, describe, "muted", dry_run=dry_run)


@click.command()
@connecting
def mutes(app: App) -> None:
    """List the current mutes."""
    result = app.ask_pages("mutes", "mutes", "user")
    columns: output.Columns = {"user": str, "room": output.plain, **_SANCTION_COLUMNS}
    app.show(result, lambda: output.table(result["mutes"], columns))


@click.command()
@users_argument
@room_option
@reason_option
@connecting
def unmute(app: App, users: tuple[str, ...], room: str | None, reason: str) -> int:
    """End a mute of USER: the one everywhere, or with --room the one in that room."""

    def ask(client: Client, user: str) -> JsonObject:
        return client.request("unmute", user=user, room=room, reason=reason or None)

    return for_each_user(
        app, users, ask, lambda result: f"unmuted {result['user']}" + (f" in {room}" if room else "")
    )


@click.command()
@click.argument("room", type=room_name)
@click.argument("seq", type=EVENT_SEQ)
@reason_option
@yes_option
@connecting
def redact(app: App, room: str, seq: int, reason: str, yes: bool) -> None:
    """Redact message SEQ of ROOM: delete its text for everybody and for good.

    `chat history ROOM` and `chat search` show SEQ after the time of each message. The log keeps who sent
    a message, and when.
    """
    confirm(f"Redact message {seq} of {room} for good?", yes=yes)
    result = app.ask("redact", room=room, seq=seq, reason=reason)
    app.show(result, lambda: output.line(f"redacted message {seq} of {room}"))


@click.command()
@click.argument("room", type=room_name)
@click.option("--off", is_flag=True, help="End the hold.")
@reason_option
@connecting
def hold(app: App, room: str, off: bool, reason: str) -> None:
    """Hold ROOM: neither retention nor redact deletes its messages."""
    result = app.ask("hold", room=room, on=not off, reason=reason)
    app.show(result, lambda: output.line(f"{room} is {'no longer held' if off else 'held'}"))


# The command's former name still works, but help and completion do not list it.
freeze = copy.copy(hold)
freeze.name, freeze.hidden = "freeze", True


def _each_known_user(
    app: App,
    users: tuple[str, ...],
    ask: Callable[[Client, str, bool], JsonObject],
    describe: Callable[[JsonObject], str],
    done: str,
    *,
    dry_run: bool,
    question: str = "",
) -> int:
    """`for_each_user`; several users are first checked with a dry run, then confirmed.

    A single user is not checked: that is urgent and easily undone, while a list may come from a wrong
    shell expansion or contain a reason. ``done`` is the participle of the action; ``question`` its
    imperative if the person must confirm.
    """

    def check(client: Client) -> None:
        unknown = [user for user in names if not _known(client, user, ask)]
        if unknown:
            raise ChatdError(
                "E405",
                f"no user is called {', '.join(map(repr, unknown))}; nobody was {done}",
                'check the names; give a reason with --reason "TEXT"',
            )
        confirm(f"{question} {len(names)} users?", yes=not question)

    names = tuple(dict.fromkeys(users))
    return for_each_user(
        app, names, lambda c, user: ask(c, user, dry_run), describe, check if len(names) > 1 else None
    )


def _known(client: Client, user: str, ask: Callable[[Client, str, bool], JsonObject]) -> bool:
    """Find out by a dry run whether the user exists. Raises errors that do not answer it."""
    try:
        check_name(user)
        ask(client, user, True)
    except ChatdError as error:
        if error.code in ("E403", "E405"):
            return False
        # Another refusal concerns this user only and is reported by the real request.
        if error.code[:2] not in ("E3", "E4"):
            raise
    return True


def outcome_text(verb: str, result: JsonObject, details: str) -> str:
    """Say what a sanction has closed, or would close."""
    sessions, workers = result.get("sessions", 0), result.get("workers", 0)
    on = f" on {workers} workers" if workers > 1 else ""
    count = f"{sessions} live session{'s' * (sessions != 1)}{on}"
    if result.get("dry_run"):
        return f"would be {verb}: {result['user']}{details}  {count} would be closed"
    return f"{verb} {result['user']}{details}  closed {count}"


def _until(result: JsonObject) -> str:
    return f" until {output.moment(result['until'])}" if result.get("until") else " until unbanned"
