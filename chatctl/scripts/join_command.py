"""`chat join`: redeem an invite, then chat."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec

import click

from chatctl.called_as import called_as
from chatctl.client import InviteResult, Patience, identity_to_write
from chatctl.client import join as redeem
from chatctl.scripts.making_way import make_way
from chatd.console import output
from chatd.console.arguments import ANY_NAME
from chatd.console.pasting import pasteable
from chatd.console.shell_completion import complete_files
from chatd.proto.invite_code import given_invite, parse_code
from chatd.proto.text import check_name

P = ParamSpec("P")


def joining_options(function: Callable[P, Any]) -> Callable[P, Any]:
    """Add --device, --identity, --no-chat and --json."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON (with schema: 1), and do not chat."),
        click.option("--no-chat", is_flag=True, help="Only write the identity file."),
        click.option(
            "--identity",
            metavar="FILE",
            type=ANY_NAME,
            shell_complete=complete_files,
            help="The identity file to write. Default: CHATD_IDENTITY, or where chat looks for it.",
        ),
        click.option(
            "--device", metavar="NAME", help="A name for this device, if the admin does not fix it."
        ),
    ):
        function = option(function)
    return function


@click.command()
@click.argument("invite", metavar="HOST:PORT/CODE", nargs=-1, required=True)
@joining_options
@click.pass_context
def join(
    context: click.Context,
    invite: tuple[str, ...],
    device: str | None,
    identity: str | None,
    no_chat: bool,
    as_json: bool,
) -> object:
    """Redeem the invite HOST:PORT/CODE that an admin gave you, and open the chat.

    Makes a private key, which stays on this machine, and checks that the server is the one that invited
    you. Case, dashes and spaces in CODE do not matter. While the server is busy it tries again, for a
    minute. If the connection is lost, run the same again.
    """
    code = parse_code(given_invite(" ".join(invite)))
    if device is not None:
        check_name(device, "device")
    root = context.find_root()
    path = identity_to_write(identity or root.params.get("identity"), os.environ)
    make_way(path)
    result = redeem(
        code,
        path,
        device or "",
        saw=lambda fingerprint: output.note(f"the server's CA is {fingerprint}"),
        patience=Patience(told=output.note),
    )
    return enter(context, result, path, no_chat=no_chat, as_json=as_json)


def enter(
    context: click.Context, result: InviteResult, path: Path, *, no_chat: bool, as_json: bool
) -> object:
    """Say who the new user is, and chat if there is a terminal."""
    root = context.find_root()
    who = f"{result.identity.user}/{result.identity.device}"
    if as_json:
        output.json_document(
            {
                "user": result.identity.user,
                "device": result.identity.device,
                "role": result.role,
                "server": result.identity.instance,
                "ca": result.authority,
                "identity": str(path),
            }
        )
        return output.OK
    output.note(f"you are {who} ({result.role}) on {result.identity.instance}; your identity is {path}")
    if no_chat or not (sys.stdin.isatty() and sys.stdout.isatty()):
        usual = identity_to_write(None, {**os.environ, "CHATD_IDENTITY": ""})
        chat = called_as("chat")
        words = chat if path == usual else (*chat, "--identity", str(path))
        output.note(f"to chat, run: {pasteable(*words)}")
        return output.OK
    root.invoked_subcommand = None
    assert root.command.callback is not None  # noqa: S101 - for the type checker
    return root.invoke(root.command.callback, **{**root.params, "identity": str(path), "home": None})
