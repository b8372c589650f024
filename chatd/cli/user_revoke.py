"""``chatd user revoke``: revoke a user's devices on the box, whoever the user is."""

from __future__ import annotations

import os

import click

from chatd.cli.operator import OUTCOME_UNKNOWN, operate, operate_all
from chatd.cli.options import json_option
from chatd.config.home import Home
from chatd.config.loading import load_settings
from chatd.console import output
from chatd.console.confirmation import confirm
from chatd.errors import ChatdError
from chatd.proto.frames import JsonObject
from chatd.proto.text import check_name

# Ends the name of the identity file of a revoked device.
REVOKED = ".revoked"


@click.command()
@click.argument("target", metavar="NAME[/DEVICE]")
@click.option("--reason", default="", metavar="TEXT", help="The reason, shown to those concerned.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@json_option
@click.pass_obj
def revoke(home: Home, target: str, reason: str, yes: bool, as_json: bool) -> None:
    """Revoke a device of user NAME for good, or all of them, and end their sessions.

    The way to take out a stolen identity that chatctl protects: the last device of an admin whose role is
    fixed in config/settings.json. Works whether or not the server is running. Open invites of NAME end. Then
    chatd user add NAME --device NEW makes a new identity, with the same history.
    """
    home.require_initialised()
    settings = load_settings(home.path, os.environ)
    user, slash, device = target.partition("/")
    check_name(user, "user")
    if slash:
        check_name(device, "device")
    listed = operate(home.path, settings, "whois", user=user)["devices"]
    left = [str(one["device"]) for one in listed if not one["revoked"]]
    names = [device] if slash else left
    if not names:
        raise ChatdError("E410", f"no device of {user} is left to revoke", f"see: chatctl device list {user}")
    confirm(f"Revoke {', '.join(f'{user}/{name}' for name in names)} for good?", yes=yes)
    requests: list[JsonObject] = [
        {"type": "revoke", "user": user, "device": name, "reason": reason} for name in names
    ]
    outcomes = operate_all(home.path, settings, requests)
    results = [outcome for outcome in outcomes if not isinstance(outcome, ChatdError)]
    if as_json:
        output.json_document({"revoked": results})
    for result in () if as_json else results:
        closed = f"{result['sessions']} live session{'s' * (result['sessions'] != 1)}"
        output.line(f"revoked {user}/{result['device']}  serial {result['serial']}  closed {closed}")
    for result in results:
        _set_aside(home, user, str(result["device"]))
    for outcome in outcomes:
        if isinstance(outcome, ChatdError):
            if outcome.code in OUTCOME_UNKNOWN:
                output.note(f"what was done is shown by: chatctl device list {user}")
            raise outcome


def _set_aside(home: Home, user: str, device: str) -> None:
    """Rename the identity file of a revoked device, so that commands in the home do not take it."""
    path = home.identity_file(user, device)
    if path.is_file():
        output.note(f"set aside {path.replace(path.with_name(path.name + REVOKED))}")
