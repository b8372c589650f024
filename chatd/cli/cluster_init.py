"""``chatd cluster init``: keep the log in a stream, on this machine or on several."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from chatd.cli.addresses import is_wildcard, split_address
from chatd.cli.audit_lines import note_act
from chatd.cli.join_file import VALID, join_command, write_join_file
from chatd.cli.lifecycle import status_or_none, stop_server
from chatd.cli.node_files import Node, NodeFiles, cluster_section, make_node
from chatd.cli.node_probe import Reached, probe
from chatd.cli.options import join_folder_option
from chatd.cli.starting import restart
from chatd.cli.stopped_log import stopped_log
from chatd.cluster.follow_stream import request_reseed
from chatd.config.home import Home
from chatd.config.left_note import refuse_left
from chatd.config.loading import load_settings, write_settings
from chatd.config.schema import Settings
from chatd.config.shared_file import forget_base
from chatd.console import output
from chatd.console.pasting import chatd_command
from chatd.durable_files import sync_folder
from chatd.errors import ChatdError
from chatd.nats.nats_server import require_nats
from chatd.proto.text import is_host_port

SIZES = (3, 5)
PROBE_PAUSE_SECONDS = 0.5


@click.command("init")
@click.argument("others", nargs=-1, metavar="[NAME=HOST[:PORT]]...")
@click.option("--node", default="node-1", show_default=True, metavar="NAME", help="Name of this machine.")
@click.option(
    "--host",
    metavar="HOST[:PORT]",
    help="Where the others reach this machine. Default: the first host of server.addresses, port 5002.",
)
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="NAME=HOST:PORT",
    help="Where clients reach another machine; repeatable. Default: its HOST and the port of this server.",
)
@join_folder_option
@click.option("--no-wait", is_flag=True, help="Neither wait for the others nor restart this server.")
@click.pass_context
def init(
    context: click.Context,
    others: tuple[str, ...],
    node: str,
    host: str | None,
    addresses: tuple[str, ...],
    out: Path,
    no_wait: bool,
) -> None:
    """Let the next start of this server keep its log in a stream as well.

    With others, write a join file for each of them, wait until each has run chatd cluster join, and restart
    this server. The history goes on. A join file is secret: whoever has it can pose as this server.
    Without others this machine is alone. chatd cluster dissolve undoes it.
    """
    home: Home = context.obj
    home.require_initialised()
    refuse_left(home.path)
    settings = load_settings(home.path, {})
    alone = cluster_section(settings, node)
    if settings.cluster.members or (settings.cluster.node and not others):
        name = settings.cluster.node
        raise ChatdError("E409", f"this server is the node {name} of a cluster already", "nothing to do")
    require_nats(settings.cluster)
    if not others and settings.cluster.nats:
        raise ChatdError("E600", "cluster.nats is for several machines", "name them: b=HOST c=HOST")
    if not others:
        _begin_alone(home, settings.model_copy(update={"cluster": alone}))
        return
    node = settings.cluster.node or node
    nodes = [_own_node(settings, node, host), *_other_nodes(settings, others, addresses)]
    _require_sensible(nodes)
    if settings.cluster.nats:
        from chatd.nats.outside_nats import prepare_outside  # nats-py is an optional dependency

        prepare_outside(home.path, settings)
    files = _write_files(home, settings, nodes, out)
    note_act(home.path, "cluster_begun", node=node, members=[one.name for one in nodes])
    output.line(f"this server is the node {node} of a cluster of {len(nodes)}")
    for one, path in zip(nodes[1:], files, strict=True):
        output.line(f"for {one.name}: {path}")
        output.note(f"copy it there, then: {join_command(path)}")
    output.note(f"they are valid for {VALID.days * 24} hours, once; afterwards remove them here")
    _go_on(context, home, nodes, wait=not no_wait)


def _begin_alone(home: Home, settings: Settings) -> None:
    node = settings.cluster.node
    write_settings(home.path, settings)
    note_act(home.path, "cluster_begun", node=node)
    output.line(f"this server is the node {node} of a cluster")
    output.note(f"from its next start on: {chatd_command(home.path, 'restart')}")


def _own_node(settings: Settings, name: str, host: str | None) -> Node:
    clients = settings.server.client_addresses
    if not clients:
        fix = "name where clients reach this server in server.addresses, and a port in server.port"
        raise ChatdError("E600", "the settings do not say where clients reach this server", fix)
    return make_node(name, host or clients[0].rpartition(":")[0], clients[0], settings.server.port)


def _other_nodes(settings: Settings, others: Sequence[str], addresses: Sequence[str]) -> list[Node]:
    for_clients = dict(split_member(one) for one in addresses)
    named = [split_member(one) for one in others]
    for name, address in for_clients.items():
        if name not in dict(named):
            raise click.UsageError(f"--address {name}={address}: there is no node {name} among the others.")
        if not is_host_port(address):
            raise click.UsageError(f"--address {name}={address}: {address!r} is not HOST:PORT.")
    return [make_node(name, host, for_clients.get(name), settings.server.port) for name, host in named]


def split_member(text: str) -> tuple[str, str]:
    """Split NAME=HOST[:PORT]. Raises UsageError."""
    name, equals, rest = text.partition("=")
    if not (name and equals and rest):
        raise click.UsageError(f"{text!r} is not NAME=HOST[:PORT].")
    return name, rest


def _require_sensible(nodes: Sequence[Node]) -> None:
    if len(nodes) not in SIZES:
        reason = f"a cluster has {SIZES[0]} or {SIZES[1]} nodes, not {len(nodes)}"
        raise ChatdError("E600", reason, "an even number survives no more than one node fewer does")
    names = [node.name for node in nodes]
    if len(set(names)) < len(names):
        raise ChatdError(
            "E600", f"two nodes have one name: {', '.join(names)}", "give each a name of its own"
        )
    for node in nodes:
        if is_wildcard(split_address(node.route, 0)[0]):
            raise ChatdError(
                "E600", f"no node can connect to {node.route}", "name an address of that machine"
            )


def _write_files(home: Home, settings: Settings, nodes: Sequence[Node], out: Path) -> list[Path]:
    """Write the join files and then the settings; on failure, remove the former."""
    for node in nodes:
        cluster_section(settings, node.name)
    made = NodeFiles.of_new_cluster(home, settings, nodes, now=datetime.now(UTC))
    paths = [out / f"{node.name}.join" for node in nodes[1:]]
    written: list[Path] = []
    try:
        for node, path in zip(nodes[1:], paths, strict=True):
            write_join_file(path, made.join_file_of(node))
            written.append(path)
        sync_folder(out)
        own = made.settings_of(nodes[0])
        forget_base(home.path)
        made.install()
        write_settings(home.path, own)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return paths


def _go_on(context: click.Context, home: Home, nodes: Sequence[Node], *, wait: bool) -> None:
    runs = status_or_none(home) is not None
    if runs and not wait:
        output.note(f"once the others run: {chatd_command(home.path, 'stop')}")
        output.note(
            f"then: {chatd_command(home.path, 'cluster', 'reseed')}, {chatd_command(home.path, 'start')}"
        )
        return
    if not runs:
        _make_stream_anew(home)
        output.note(f"once the others run: {chatd_command(home.path, 'start')}")
        return
    output.note("waiting for them; this server goes on meanwhile, and then restarts")
    output.note(
        "Ctrl-C ends this command; run it to its end later: chatd stop, chatd cluster reseed, chatd start"
    )
    _wait_for(home, nodes[1:])
    stop_server(home)
    _make_stream_anew(home)
    context.invoke(restart)


def _make_stream_anew(home: Home) -> None:
    """Begin the stream anew: the servers of several machines cannot read the stream of one."""
    with stopped_log(home) as log:
        request_reseed(log, load_settings(home.path, {}).cluster.node)


def _wait_for(home: Home, others: Sequence[Node]) -> None:
    missing = list(others)
    settings = load_settings(home.path, {})
    while missing:
        for node in _there(home, settings, missing):
            output.line(f"node {node.name} is there")
            missing.remove(node)
        if missing:
            time.sleep(PROBE_PAUSE_SECONDS)


def _there(home: Home, settings: Settings, nodes: Sequence[Node]) -> list[Node]:
    if not settings.cluster.nats:
        return [node for node in nodes if probe(home.certs, node.route) is Reached.UP]
    from chatd.nats.outside_nats import nodes_there

    names = nodes_there(home.path, settings, len(settings.cluster.others))
    return [node for node in nodes if node.name in names]
