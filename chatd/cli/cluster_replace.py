"""``chatd cluster replace``: put another machine in the place of one that is lost."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from chatd.cli.audit_lines import note_act
from chatd.cli.cluster_init import split_member
from chatd.cli.cluster_tell import former_addresses, require_there, seen_cluster, tell_all
from chatd.cli.join_file import join_command, write_join_file
from chatd.cli.node_files import Node, NodeFiles, cluster_section, make_node
from chatd.cli.options import join_folder_option
from chatd.config.home import Home
from chatd.config.loading import load_settings
from chatd.config.schema import Settings
from chatd.console import output
from chatd.console.pasting import chatd_command
from chatd.errors import ChatdError
from chatd.nats.nats_server import require_nats
from chatd.nats.told_members import Members, addresses_without, store_members
from chatd.pki.node_authority import NodeAuthority, read_pins


@click.command("replace")
@click.argument("old")
@click.argument("new", metavar="NEW=HOST[:PORT]")
@click.option(
    "--address",
    metavar="HOST:PORT",
    help="Where clients reach the new machine. Default: its HOST and the port of this server.",
)
@click.option(
    "--old-address",
    metavar="HOST:PORT",
    help="Where clients reached OLD. Default: the addresses of this server with OLD's HOST, if no other "
    "node has it.",
)
@join_folder_option
@click.pass_obj
def replace(home: Home, old: str, new: str, address: str | None, old_address: str | None, out: Path) -> None:
    """Put a new node in the place of OLD, which is lost; run it on any other node while that runs.

    Writes a join file for the new one, whose name must never have been used. OLD can never come back: its key
    opens no port any more. New identities do not name its address any more.
    """
    home.require_initialised()
    settings = load_settings(home.path, {})
    name, host = split_member(new)
    node = make_node(name, host, address, settings.server.port)
    _require_sensible(settings, old, node)
    require_nats(settings.cluster)
    former = former_addresses(settings, old, old_address)
    _require_gone(home, settings, old)
    settings = _without(settings, former)
    pins = {one: pin for one, pin in read_pins(home.certs).items() if one != old}
    rest = {one: route for one, route in settings.cluster.members.items() if one != old}
    own = settings.cluster.node
    nodes = [Node(own, rest.pop(own), ""), *(Node(one, route, "") for one, route in rest.items()), node]
    now = datetime.now(UTC)
    files = NodeFiles(home, settings, nodes, NodeAuthority.load(home.certs), pins, now=now)
    files.issue(node)
    path = out / f"{name}.join"
    write_join_file(path, files.join_file_of(node))
    told = Members({one.name: one.route for one in nodes}, files.pins, node.clients, former)
    try:
        tell_all(home, told, list(rest))
        store_members(home.path, told)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    note_act(home.path, "cluster_node_replaced", old=old, node=name)
    _show(home, old, name, path, list(rest))
    if settings.cluster.nats:
        output.note(f"give the NATS servers another login for chatd: {old} still has this one")
    if not former:
        output.note(f"take the address of {old} out of server.addresses on each node")


def _without(settings: Settings, former: list[str]) -> Settings:
    left = addresses_without(settings.server, former)
    return settings.model_copy(update={"server": settings.server.model_copy(update={"addresses": left})})


def _require_sensible(settings: Settings, old: str, new: Node) -> None:
    cluster = settings.cluster
    if old not in cluster.others:
        others = ", ".join(cluster.others) or "nobody"
        raise ChatdError(
            "E404", f"there is no other node {old}; the others are: {others}", "name one of them"
        )
    cluster_section(settings, new.name)
    if new.name in cluster.members or new.route in cluster.members.values():
        reason = f"{new.name} at {new.route} is a member, or was: a name is used once"
        raise ChatdError("E409", reason, "choose another name and address")


def _require_gone(home: Home, settings: Settings, old: str) -> None:
    """Raise E409 if the old node runs, E607 if another one does not."""
    view = seen_cluster(home, settings)
    if old in view.nodes:
        raise ChatdError("E409", f"node {old} runs", "stop it for good first, there: chatd stop")
    require_there(view, [name for name in settings.cluster.others if name != old])


def _show(home: Home, old: str, name: str, path: Path, others: list[str]) -> None:
    output.line(f"{name} takes the place of {old}")
    output.line(f"for {name}: {path}")
    for other in others:
        output.note(f"on {other}: chatd restart")
    output.note(f"then here: {chatd_command(home.path, 'restart')}")
    output.note(f"then on {name}: {join_command(path)}")
