"""``chatd cluster leave``: a node leaves its cluster for good.

Each step may be the last one before a crash; the command then goes on from there when it is run again:

    the others are told      they drop this node's server of NATS once it is gone; this one still runs
    the note is written      no server starts here any more; the rest needs nobody else
    the server is stopped
    its keys are removed     and its part of the stream; the log stays
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Final

import click

from chatd.cli.audit_lines import note_act
from chatd.cli.cluster_lead import hand_over, leader_of
from chatd.cli.cluster_tell import former_addresses, require_there, seen_cluster, tell_all
from chatd.cli.lifecycle import status_or_none, stop_server
from chatd.cli.node_files import cluster_section, remove_node_files
from chatd.cli.node_probe import Reached, probe
from chatd.cluster.nats_address import STREAM_FOLDER
from chatd.config.home import Home
from chatd.config.left_note import has_left, note_left
from chatd.config.loading import load_settings, write_settings
from chatd.config.schema import Settings
from chatd.console import output
from chatd.console.pasting import chatd_command
from chatd.crashpoints import crash_point
from chatd.errors import ChatdError
from chatd.nats.nats_server import require_nats
from chatd.nats.told_members import Members
from chatd.pki.node_authority import read_pins
from chatd.supervisor.pid_lock import supervisor_pid

# Two of two are a majority: two nodes survive no loss, as one does not, and a stream of three has no place.
LEAST_NODES: Final = 3
# A node that follows lacks nothing for so long, nor does its NATS server.
CURRENT_SECONDS: Final = 15.0
POLL_SECONDS: Final = 0.3


@click.command("leave")
@click.option(
    "--address",
    metavar="HOST:PORT",
    help="Where clients reach this node. Default: the addresses of this server with its HOST, if no other "
    "node has it.",
)
@click.pass_obj
def leave(home: Home, address: str | None) -> None:
    """Take this node out of its cluster for good; run it there while all nodes run.

    At least three others must remain. The lead goes to another node, and this server stops: it never runs
    again, and its key opens no port any more. Its log can still be read. If it is interrupted, run it again.
    """
    home.require_initialised()
    settings = load_settings(home.path, {})
    if not has_left(home.path):
        _require_enough(settings)
        require_nats(settings.cluster)
        former = former_addresses(settings, settings.cluster.node, address)
        if not _is_dropped(home, settings):
            _require_current(home, settings)
            _let_another_lead(home, settings)
            _tell(home, settings, former)
            if not former:
                output.note("take the address of this node out of server.addresses on each of the others")
        note_act(home.path, "cluster_left", node=settings.cluster.node)
        note_left(home.path, settings.cluster.node)
        crash_point("cluster.leave.noted")
    _end(home, settings)
    _show(home, settings)


def _require_enough(settings: Settings) -> None:
    """Raise E409 if too few would remain."""
    cluster = settings.cluster
    if not cluster.others:
        raise ChatdError("E409", "this server is in no cluster of several", "nothing to do")
    if len(cluster.others) < LEAST_NODES:
        count = len(cluster.others)
        reason = f"{count} nodes would remain: no more safe than one, and the stream needs {LEAST_NODES}"
        fix = (
            f"put another machine in the place of this one: chatd cluster replace {cluster.node} NEW=HOST; "
            "or go back to one machine: chatd cluster dissolve"
        )
        raise ChatdError("E409", reason, fix)


def _is_dropped(home: Home, settings: Settings) -> bool:
    """Whether the others have restarted without this node, so that nobody is left to be told."""
    if settings.cluster.nats:
        return False  # they have no routes
    return all(probe(home.certs, route) is Reached.REFUSED for route in settings.cluster.others.values())


def _require_current(home: Home, settings: Settings) -> None:
    """Wait until the others have all that there is now. Raises E506, E603, E607, E621."""
    cluster = settings.cluster
    view = seen_cluster(home, settings)
    require_there(view, cluster.members)
    if view.stream.gone or len(set(view.chains.values())) > 1:
        raise ChatdError("E621", "the stream is gone, or the logs of the nodes differ")
    newest = max(node.head for node in view.nodes.values())
    late = set(cluster.others)
    deadline = time.monotonic() + CURRENT_SECONDS
    while True:
        late = {
            name
            for name in late
            if name not in view.nodes
            or view.nodes[name].head < newest
            or not view.stream.has_all(name, cluster.replicas)
        }
        if not late and view.stream.quorum:
            return
        if time.monotonic() >= deadline:
            break
        time.sleep(POLL_SECONDS)
        view = seen_cluster(home, settings)
    what = f"node {', '.join(sorted(late))} is behind" if late else "no majority takes writes"
    raise ChatdError("E506", what, f"see: {chatd_command(home.path, 'cluster', 'status')}; then run it again")


def _let_another_lead(home: Home, settings: Settings) -> None:
    """Hand the lead over if this node has it: clients of the others then wait for about a second."""
    leader = leader_of(seen_cluster(home, settings).nodes)
    if leader != settings.cluster.node:
        return
    successor = min(settings.cluster.others)
    hand_over(home, settings.cluster, successor)
    output.line(f"{successor} leads")


def _tell(home: Home, settings: Settings, former: list[str]) -> None:
    others = settings.cluster.others
    pins = {name: pin for name, pin in read_pins(home.certs).items() if name in others}
    tell_all(home, Members(others, pins, former=former), sorted(others))


def _end(home: Home, settings: Settings) -> None:
    """Stop the server, and remove what it had as a node. Raises E606, E611."""
    if status_or_none(home) is not None:
        stop_server(home)
    elif (pid := supervisor_pid(home.data)) is not None:
        reason = f"chatd runs as pid {pid} but does not answer"
        raise ChatdError("E611", reason, f"run: {chatd_command(home.path, 'stop')}; then this again")
    _remove_folder(home.path / STREAM_FOLDER)
    alone = cluster_section(settings, settings.cluster.node)
    write_settings(home.path, settings.model_copy(update={"cluster": alone}))
    remove_node_files(home)


def _remove_folder(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ChatdError("E606", f"{folder}: {error.strerror}") from None


def _show(home: Home, settings: Settings) -> None:
    cluster = settings.cluster
    output.line(f"{cluster.node} has left the cluster, and its server is stopped for good")
    if cluster.others:
        output.note(f"wait until chatd cluster status on {min(cluster.others)} shows no node as behind")
        output.note(f"then, one after the other, on {', '.join(sorted(cluster.others))}: chatd restart")
    if cluster.nats:
        output.note(f"give the NATS servers another login for chatd: {cluster.node} still has this one")
    output.note(f"this home still has the CA's key and every message: keep {home.path} safe, or delete it")
