"""`chat ask`: ask a server to be let in, then chat."""

from __future__ import annotations

import os
import sys

import click

from chatctl.client import ask as ask_server
from chatctl.client import identity_to_write
from chatctl.connecting import Declined, confirm
from chatctl.scripts.join_command import enter, joining_options
from chatctl.scripts.making_way import make_way
from chatd.console import output
from chatd.console.arguments import host_port
from chatd.errors import ChatdError
from chatd.proto.text import check_name


@click.command()
@click.argument("server", metavar="HOST:PORT", type=host_port)
@click.option("--as", "user", metavar="NAME", required=True, help="The name that you want.")
@joining_options
@click.option("--yes", is_flag=True, help="Do not ask whether the admin has the same words.")
@click.pass_context
def ask(
    context: click.Context,
    server: str,
    user: str,
    device: str | None,
    identity: str | None,
    no_chat: bool,
    as_json: bool,
    yes: bool,
) -> object:
    """Ask the server at HOST:PORT to let you in, wait for an admin, and open the chat.

    Shows three words. Call an admin, who sees the same three in `chatctl asks`: if they differ, somebody sits
    between you and the server. The admin has 10 minutes to approve. A lost connection is made again.
    """
    check_name(user, "user")
    if device is not None:
        check_name(device, "device")
    if not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError("There is no terminal to confirm the words on: add --yes.")
    root = context.find_root()
    path = identity_to_write(identity or root.params.get("identity"), os.environ)

    so_far: list[str] = []

    def shows(words: str) -> None:
        so_far.append("asked")
        output.note(f"your words: {words}")
        output.note(f"call an admin of {server}, who compares them and runs: chatctl approve {user}")

    def lost(error: ChatdError) -> None:
        output.note(f"{error.reason}; asking again")

    def confirm_words(words: str) -> None:
        so_far.append("let in")
        # A no cannot be taken back: the key is forgotten. An Enter too many is not one.
        confirm(f"You are let in. Has the admin read out: {words}?", yes=yes, otherwise="", default=None)

    make_way(path)
    try:
        result = ask_server(server, user, path, device or "", shows=shows, confirm=confirm_words, lost=lost)
    except (KeyboardInterrupt, click.Abort, Declined):
        _tell_left(user, so_far)
        raise
    except ChatdError:
        _tell_left(user, so_far[1:])
        raise
    return enter(context, result, path, no_chat=no_chat, as_json=as_json)


def _tell_left(user: str, so_far: list[str]) -> None:
    """Say what an ask that ends early leaves on the server; a refusal ends one that nobody has approved."""
    if "let in" in so_far:
        output.note(f"nothing is kept here, but the server has let in {user}: before you ask again, an admin")
        output.note(f"has to undo that: chatctl revoke {user} --all")
    elif so_far:
        output.note(f"stopped; nothing is kept here (an admin forgets the ask with: chatctl deny {user})")
