"""Invites: make codes for new users, list and cancel them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ParamSpec

import click
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate

from chatctl.client import Client, Identity
from chatctl.connecting import App, connecting, duration, room_name
from chatd.console import output
from chatd.console.arguments import host_port
from chatd.console.shell_completion import complete_files
from chatd.console.user_list import Mistakes, NewDevice, read_list
from chatd.errors import ChatdError
from chatd.proto.alpn import is_loopback
from chatd.proto.frames import JsonObject
from chatd.proto.invite_code import SECRET_BYTES, InviteCode, authority_mark, secret_hash
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
    type=click.Path(path_type=Path, dir_okay=False),
    shell_complete=complete_files,
    help="Invite all users of a CSV file with the columns name,role,device; - reads standard input.",
)
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
) -> int:
    """Invite a new user NAME: print the line to send to them, which works once.

    The line starts with `chat join`, and lets in whoever runs it first. Whoever runs it makes the private
    key on their own machine. With your own NAME it is for another device of yours.

    With --ends the new user is a guest whose time ends by itself. The sponsor is reminded a day and an hour
    before, and extends or ends it with `chatctl guest`. Without --role such a user gets the role "guest".

    With --file instead of NAME, one user on each line. If any line is wrong, nothing is done.
    """
    if (user is None) == (listed is None):
        raise click.UsageError("Give either a NAME, or --file FILE.")
    if user is not None:
        wanted = [NewDevice("", check_name(user, "user"), role, device or "")]
    else:
        assert listed is not None  # noqa: S101 - for the type checker
        wanted = read_list(listed, role, device or "")
    chosen = {"rooms": rooms or None, "guest_seconds": ends, "sponsor": sponsor}
    fields: JsonObject = {"seconds": expires} | {key: value for key, value in chosen.items() if value}
    with app.client() as client:
        address = server or _address(client.identity)
        if listed is not None:
            _judge(client, wanted, fields)
        made = [_invite(client, new, address, fields) for new in wanted]
    if user is not None:
        app.show(made[0], lambda: output.line(made[0]["command"]))
    else:
        app.show({"invites": made}, lambda: _show(made))
    if is_loopback(address.rpartition(":")[0].strip("[]")):
        output.note(f"{address} can be reached on this machine only: name another address with --server")
    return output.OK


@click.command("list")
@connecting
def list_invites(app: App) -> None:
    """List the open invites, and those that have ended lately."""
    result = app.ask_pages("invite_list", "invites", "invite")
    result["invites"].sort(key=lambda one: (one["at"], one["invite"]))
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


@click.command()
@name_argument
@connecting
def cancel(app: App, user: str) -> None:
    """Cancel the open invite for NAME: its line no longer works."""
    result = app.ask("invite_cancel", user=user)
    app.show(result, lambda: output.line(f"cancelled the invite for {user}"))


def _request(new: NewDevice, secret: str, fields: JsonObject) -> JsonObject:
    named = {"role": new.role, "device": new.device or None}
    chosen = {key: value for key, value in named.items() if value is not None}
    return {"user": new.user, "secret_hash": secret, **chosen, **fields}


def _judge(client: Client, wanted: Iterable[NewDevice], fields: JsonObject) -> None:
    """Refuse the list if any of its lines would be refused."""
    mistakes = Mistakes()
    seen: dict[str, str] = {}
    for new in wanted:
        with mistakes.of(new.where):
            if new.user in seen:
                raise ChatdError("E406", f"{new.user} is also in {seen[new.user]}")
            seen[new.user] = new.where
            unused = secret_hash(secrets.token_bytes(SECRET_BYTES))
            client.request("invite_create", **_request(new, unused, fields), dry_run=True)
    mistakes.refuse()


def _invite(client: Client, new: NewDevice, server: str, fields: JsonObject) -> JsonObject:
    ca = load_pem_x509_certificate(client.identity.ca_pem.encode("ascii"))
    secret = secrets.token_bytes(SECRET_BYTES)
    code = InviteCode(server, secret, authority_mark(ca.public_bytes(Encoding.DER)))
    result = client.request("invite_create", **_request(new, secret_hash(secret), fields))
    return {
        "user": new.user,
        "role": new.role,
        "device": new.device or None,
        "until": result["until"],
        "invite": result["invite"],
        "command": f"chat join {code}",
    }


def _address(identity: Identity) -> str:
    """Return the address for the new user: one that others reach, too, if the identity names any."""
    if not identity.servers:
        raise ChatdError("E608", "your identity names no address of the server", "name one with --server")
    remote = [one for one in identity.servers if not is_loopback(one.rpartition(":")[0].strip("[]"))]
    return (remote or list(identity.servers))[0]


def _show(made: list[JsonObject]) -> None:
    for one in made:
        output.line(f"{one['user']}: {one['command']}")
