"""``chatd cluster``: keep the log in a stream of NATS JetStream, on one machine or on several."""

from __future__ import annotations

import shutil

import click

from chatd.cli.audit_lines import note_act
from chatd.cli.cluster_init import init
from chatd.cli.cluster_join import join
from chatd.cli.cluster_replace import replace
from chatd.cli.cluster_status import status
from chatd.cli.node_files import cluster_section, remove_node_files
from chatd.cli.stopped_log import stopped_log
from chatd.cluster.follow_stream import request_reseed
from chatd.cluster.nats_address import STREAM_FOLDER
from chatd.cluster.stream_place import forget_stream, stored_place
from chatd.config.home import Home
from chatd.config.loading import load_settings, write_settings
from chatd.console import output
from chatd.console.command_table import SummaryGroup
from chatd.console.pasting import chatd_command
from chatd.errors import ChatdError


@click.group("cluster", cls=SummaryGroup)
def cluster() -> None:
    """Keep the log in a stream of NATS JetStream, on one machine or on several."""


cluster.add_command(init)
cluster.add_command(join)
cluster.add_command(status)
cluster.add_command(replace)


@cluster.command("reseed")
@click.pass_obj
def reseed(home: Home) -> None:
    """Make the stream anew from this server's log at the next start; needs a stopped server.

    For a stream that is lost, damaged, or of an earlier time than the log. Nothing of the log is lost.
    """
    with stopped_log(home) as log:
        # A stream of another log may lie there while this one has never been in any.
        if not stored_place(log).generation and not (home.path / STREAM_FOLDER).exists():
            raise ChatdError("E404", "the log is in no stream", "nothing to do")
        request_reseed(log, load_settings(home.path, {}).cluster.node)
    note_act(home.path, "cluster_reseeded")
    output.line("the next start makes the stream anew from this log")
    output.note(f"next: {chatd_command(home.path, 'start')}")


@cluster.command("dissolve")
@click.pass_obj
def dissolve(home: Home) -> None:
    """Keep the log on this server only, as before chatd cluster init; needs a stopped server."""
    with stopped_log(home) as log:
        forget_stream(log)
        shutil.rmtree(home.path / STREAM_FOLDER, ignore_errors=True)
        settings = load_settings(home.path, {})
        alone = cluster_section(settings, "")
        write_settings(home.path, settings.model_copy(update={"cluster": alone}))
        remove_node_files(home)
    note_act(home.path, "cluster_dissolved")
    output.line("the log is on this server only")
    output.note(f"next: {chatd_command(home.path, 'start')}")
