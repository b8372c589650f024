"""``chatd cluster``: keep the log in a stream of NATS JetStream, on one machine or on several."""

from __future__ import annotations

import shutil

import click

from chatd.cli.audit_lines import note_act
from chatd.cli.cluster_init import init
from chatd.cli.cluster_join import join
from chatd.cli.cluster_lead import lead
from chatd.cli.cluster_leave import leave
from chatd.cli.cluster_replace import replace
from chatd.cli.cluster_status import status
from chatd.cli.node_files import cluster_section, remove_node_files
from chatd.cli.stopped_log import stopped_log
from chatd.cluster.follow_stream import request_reseed
from chatd.cluster.joining_note import begin_joining
from chatd.cluster.nats_address import STREAM_FOLDER
from chatd.cluster.stream_place import forget_stream, stored_place
from chatd.cluster.stream_state import STREAM
from chatd.config.home import Home
from chatd.config.left_note import forget_left
from chatd.config.loading import load_settings, write_settings
from chatd.config.shared_file import forget_base
from chatd.console import output
from chatd.console.command_table import SummaryGroup
from chatd.console.pasting import chatd_command
from chatd.errors import ChatdError
from chatd.nats.nats_config import ROUTED_FOLDER
from chatd.store.branches import branched


@click.group("cluster", cls=SummaryGroup)
def cluster() -> None:
    """Keep the log in a stream of NATS JetStream, on one machine or on several."""


cluster.add_command(init)
cluster.add_command(join)
cluster.add_command(status)
cluster.add_command(lead)
cluster.add_command(leave)
cluster.add_command(replace)


@cluster.command("reseed")
@click.option(
    "--copy", is_flag=True, help="Among several nodes: copy the log from the one whose log begins the stream."
)
@click.pass_obj
def reseed(home: Home, copy: bool) -> None:
    """Make the stream anew from this server's log at the next start; needs a stopped server.

    For a stream that is lost, damaged, or of an earlier time than the log. Nothing of the log is lost. Among
    several nodes, stop all of them first; reseed the one with the longest log, and the others with --copy.
    """
    cluster = load_settings(home.path, {}).cluster
    if copy and not cluster.others:
        raise ChatdError("E404", "this server has no other nodes to copy from", "leave out --copy")
    with stopped_log(home) as log:
        # A stream of another log may lie there while this one has never been in any.
        in_stream = stored_place(log).generation or (home.path / STREAM_FOLDER).exists()
        if not in_stream and not cluster.others:
            raise ChatdError("E404", "the log is in no stream", "nothing to do")
        if not copy:
            request_reseed(log, cluster.node)
            # A longer log may be lost with its machine: a client that has seen more of that begins here.
            log.set_values({**branched(log.lineage, log.head)})
    if cluster.others:
        # Servers of NATS that have lost what they once acknowledged must not vote on what is left.
        shutil.rmtree(home.path / ROUTED_FOLDER, ignore_errors=True)
    if copy:
        begin_joining(home.path)
    note_act(home.path, "cluster_reseeded", copy=copy)
    whose = "the node whose log begins it" if copy else "this log"
    output.line(f"the next start makes the stream anew from {whose}")
    output.note(f"next: {chatd_command(home.path, 'start')}")


@cluster.command("dissolve")
@click.pass_obj
def dissolve(home: Home) -> None:
    """Keep the log on this server only, as before chatd cluster init; needs a stopped server."""
    with stopped_log(home) as log:
        forget_stream(log)
        shutil.rmtree(home.path / STREAM_FOLDER, ignore_errors=True)
        settings = load_settings(home.path, {})
        outside = settings.cluster.nats
        alone = cluster_section(settings, "")
        write_settings(home.path, settings.model_copy(update={"cluster": alone}))
        forget_base(home.path)
        remove_node_files(home)
        forget_left(home.path)
    note_act(home.path, "cluster_dissolved")
    output.line("the log is on this server only")
    if outside:
        output.note(f"the stream is left on the NATS servers; remove it there: nats stream rm {STREAM}")
    output.note(f"next: {chatd_command(home.path, 'start')}")
