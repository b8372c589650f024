"""Revoke a user's devices: the one that is named, or those that the person chooses."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from chatctl.admin.sanctions import outcome_text, yes_option
from chatctl.connecting import App, confirm, connecting, dry_run_option, for_each_user, reason_option
from chatd.console import output
from chatd.errors import ChatdError
from chatd.proto.frames import JsonObject

if TYPE_CHECKING:
    from chatctl.client import Client

EVERY = "all"


@click.command()
@click.argument("target", metavar="USER[/DEVICE]")
@click.option("--device", "named", metavar="DEVICE", multiple=True, help="This device of USER; repeatable.")
@click.option("--all", "every", is_flag=True, help="All devices of USER.")
@reason_option
@dry_run_option
@yes_option
@connecting
def revoke(
    app: App, target: str, named: tuple[str, ...], every: bool, reason: str, dry_run: bool, yes: bool
) -> int:
    """Revoke a device's certificate for good and end its sessions.

    If USER has several devices, it lists them and asks which; without a terminal, name them. The others keep
    working. Open invites of USER end. A revoked device is never admitted again; the user needs a new identity
    file under another device name.
    """
    user, slash, device = target.partition("/")
    if not user or (slash and not device):
        raise click.BadParameter(
            f"{target!r} is not USER/DEVICE, for example bob/phone", param_hint="USER/DEVICE"
        )
    if sum((bool(device), bool(named), every)) > 1:
        raise click.UsageError("Give one of USER/DEVICE, --device and --all.")
    names = [device] if device else list(dict.fromkeys(named))
    if not names:
        with app.client() as client:
            names = _choose(client, user, every=every)
    devices = tuple(f"{user}/{name}" for name in names)

    def ask(client: Client, one: str) -> JsonObject:
        return client.request(
            "revoke", user=user, device=one.partition("/")[2], reason=reason, dry_run=dry_run
        )

    if sys.stdin.isatty() and not (yes or dry_run):
        with app.client() as client:
            refuse_early(client, user, names)
    confirm(f"Revoke {', '.join(devices)} for good?", yes=yes or dry_run)
    if len(devices) > 1:
        return for_each_user(app, devices, ask, _describe)
    with app.client() as client:
        result = ask(client, devices[0])
    app.show(result, lambda: output.line(_describe(result)))
    return output.OK


def refuse_early(client: Client, user: str, names: list[str]) -> None:
    """Raise the refusal that revoking a device would meet, before the person confirms anything."""
    for name in names:
        client.request("revoke", user=user, device=name, dry_run=True)


def _describe(result: JsonObject) -> str:
    shown = outcome_text(
        "revoked", result | {"user": f"{result['user']}/{result['device']}"}, f"  serial {result['serial']}"
    )
    # A server of an older version does not count them.
    invites = result.get("invites", 0)
    return shown + (f"  open invites of {result['user']}: {invites}" if invites else "")


def _choose(client: Client, user: str, *, every: bool) -> list[str]:
    """Return the devices of a user to revoke: the only one, all, or those that the person names."""
    listed = client.request("whois", user=user)["devices"]
    left = [str(one["device"]) for one in listed if not one["revoked"]]
    if not left:
        raise ChatdError("E410", f"no device of {user} is left to revoke", f"see: chatctl device list {user}")
    if every or len(left) == 1:
        return left
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError(
            f"{user} has {len(left)} devices ({', '.join(left)}): name one as {user}/{left[0]}, some with"
            f" --device, or take --all."
        )
    output.note(f"{user} has {len(left)} devices:")
    for one in listed:
        if not one["revoked"]:
            output.note(f"  {one['device']}{'  online' if one['online'] else ''}")
    answer = click.prompt(f"Which ones? Names, or {EVERY}", err=True)
    chosen = list(dict.fromkeys(answer.replace(",", " ").split()))
    if chosen == [EVERY]:
        return left
    for name in chosen:
        if name not in left:
            raise ChatdError("E412", f"{user} has no device {name!r} that may log in", "nothing was revoked")
    return chosen
