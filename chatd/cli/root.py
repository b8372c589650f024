"""The command tree of ``chatd``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from chatd import __version__
from chatd.cli.options import LAUNCHED
from chatd.config.home import resolve_home
from chatd.console.arguments import ANY_NAME
from chatd.console.command_table import TableEntry, TableGroup
from chatd.console.shell_completion import complete_folders, completion_command

COMMANDS = {
    "init": TableEntry(
        "chatd.cli.setup:init",
        "Make this folder a chatd home: CA, certificates, settings and the first admin.",
    ),
    "start": TableEntry("chatd.cli.starting:start", "Start the server."),
    "stop": TableEntry("chatd.cli.lifecycle:stop", "Stop the server: disconnect clients, close the log."),
    "status": TableEntry(
        "chatd.cli.lifecycle:status",
        "Show each process: state, pid, restarts, uptime, CPU, memory, threads; and the sandboxes.",
    ),
    "restart": TableEntry("chatd.cli.starting:restart", "Restart the server with the settings in the file."),
    "reload": TableEntry("chatd.cli.lifecycle:reload", "Apply changes of config/settings.json."),
    "check": TableEntry("chatd.cli.check:check", "Find problems, now and soon, and say how to fix them."),
    "config": TableEntry("chatd.cli.settings:config", "Show and check the settings in config/settings.json."),
    "filter": TableEntry("chatd.cli.filtering:filter_group", "Try the word filter of the settings."),
    "user": TableEntry("chatd.cli.users:user", "Add users and their devices, revoke devices."),
    "cert": TableEntry("chatd.cli.certs:cert", "Show and renew the server's certificates."),
    "ca": TableEntry(
        "chatd.cli.authority_commands:ca",
        "Replace the CA while clients go on; take its key off the server, and put it back.",
    ),
    "client-bundle": TableEntry(
        "chatd.cli.client_bundle:client_bundle",
        "Write chat.pyz and chatctl.pyz into DIR (default: here), or only chat as FILE.pyz.",
    ),
    "crl": TableEntry(
        "chatd.cli.crl:crl_command",
        "Sign the list of revoked certificates (CRL, PEM) with the CA's key; works while the server runs.",
    ),
    "cluster": TableEntry(
        "chatd.cli.cluster_commands:cluster",
        "Keep the log in a stream of NATS JetStream, on one machine or on several.",
    ),
    "verify": TableEntry(
        "chatd.cli.verify:verify", "Recompute the event log's whole hash chain; works while the server runs."
    ),
    "head": TableEntry(
        "chatd.cli.heads:head_command",
        "Print the signed head of the event log, to keep elsewhere; works while the server runs.",
    ),
    "export": TableEntry(
        "chatd.cli.export:export_command",
        "Write the event log as JSON Lines that anyone can verify; works while the server runs.",
    ),
    "backup": TableEntry(
        "chatd.cli.backup:backup", "Back up this server to one sealed file; chatd restore reads it."
    ),
    "restore": TableEntry(
        "chatd.cli.restore:restore",
        "Recreate a server from a backup: same CA, same history, no user needs a new identity.",
    ),
}


@click.group(cls=TableGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="chatd")
@click.option(
    "--home",
    metavar="DIR",
    type=ANY_NAME,
    shell_complete=complete_folders,
    help="The folder with certs/ config/ logs/ data/. Default: $CHATD_HOME, else the current folder.",
)
@click.pass_context
def main(ctx: click.Context, home: str | None) -> None:
    """Run a chatd server on this machine.

    Begin with `chatd init`, then `chatd start`. Add users with `chatd user add`. Administer a running server
    with `chatctl`. Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 5 chatd does not answer, 7 warnings of
    a check, 8 done but its output not written, 130 interrupted.
    """
    ctx.meta[LAUNCHED] = ctx.obj
    ctx.obj = resolve_home(home, os.environ, Path.cwd())


main.add_command(completion_command("chatd"))
