"""Hooks: bots through which other programs post to a room."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any, get_args

import click

from chatctl.admin.sanctions import needless_yes_option
from chatctl.client import Client, Identity
from chatctl.connecting import App, connecting, reason_option, room_name
from chatctl.join_line import reachable_address
from chatctl.model.paging import list_all
from chatd.console import output
from chatd.proto.frames import JsonObject
from chatd.proto.request_bounds import SIGNED_KINDS, HookKind

_TOKEN_BYTES = 32
# What a server listens on that is no host to connect to.
_EVERYWHERE = ("0.0.0.0", "[::]")  # noqa: S104 - compared
name_argument = click.argument("name", metavar="NAME")


@click.command()
@click.argument("room", type=room_name, metavar="ROOM")
@click.option(
    "--kind",
    type=click.Choice(get_args(HookKind)),
    required=True,
    help="The program that posts: it decides how its posts are read, and what proves where they come from.",
)
@click.option("--name", metavar="NAME", help="Name of the bot. Default: the kind.")
@connecting
def create(app: App, room: str, kind: str, name: str | None) -> None:
    """Make a hook, through which a program posts to ROOM: print its URL, and its token or secret.

    Neither is shown again: the server keeps a hash of the token only.
    """
    with app.client() as client:
        made = _with_new_secret(
            client, "hook_create", kind in SIGNED_KINDS, name=name or kind, room=room, kind=kind
        )
    app.show(made, lambda: _show(made))


@click.command("list")
@connecting
def list_hooks(app: App) -> None:
    """List the hooks, with the rooms they post to."""
    result = app.ask_pages("hook_list", "hooks", "user")
    columns: output.Columns = {
        "user": str,
        "room": str,
        "kind": str,
        "by": str,
        "at": output.moment,
        "rotated": output.moment,
    }
    app.show(result, lambda: output.table(result["hooks"], columns))


@click.command()
@name_argument
@connecting
def rotate(app: App, name: str) -> None:
    """Give the hook NAME another token or secret and print it; the former one ends at once."""
    with app.client() as client:
        hooks = list_all(client.request, "hook_list", "hooks", "user")
        kind = next((one["kind"] for one in hooks if one["user"] == name), "")
        made = _with_new_secret(client, "hook_rotate", kind in SIGNED_KINDS, name=name)
    app.show(made, lambda: _show(made))


@click.command()
@name_argument
@reason_option
@needless_yes_option
@connecting
def remove(app: App, name: str, reason: str) -> None:
    """Remove the hook NAME: it posts no more. What it has posted stays."""
    result = app.ask("hook_remove", name=name, reason=reason)
    app.show(result, lambda: output.line(f"removed the hook {name} of {result['room']}"))


def _with_new_secret(client: Client, request: str, signs: bool, **fields: Any) -> JsonObject:
    """Make the request with the hash of a new token, unless the server derives the secret."""
    token = None if signs else secrets.token_urlsafe(_TOKEN_BYTES)
    secret_hash = None if token is None else hashlib.sha256(token.encode()).hexdigest()
    made = client.request(request, secret_hash=secret_hash, **fields)
    return made | {"token": token, "url": _url(made, client.identity)}


def _url(made: JsonObject, identity: Identity) -> str | None:
    """Return where the hook's program posts to; None if the server has no gateway."""
    host, _, port = made["gateway"].rpartition(":")
    if not port:
        return None
    if host in _EVERYWHERE:
        host = reachable_address(identity).rpartition(":")[0]
    return f"https://{host}:{port}/hook/{made['room'][1:]}"


def _show(made: JsonObject) -> None:
    output.line(f"the bot {made['user']} posts to {made['room']}")
    output.line(f"URL     {made['url'] or '-'}")
    for name in ("token", "secret"):
        if made[name]:
            output.line(f"{name:<8}{made[name]}")
    if made["url"] is None:
        output.note("the server has no gateway: set gateway.listen in its config/settings.json")
