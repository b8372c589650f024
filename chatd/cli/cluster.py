"""``chatd cluster``: keep the log in a stream of NATS JetStream, too."""

from __future__ import annotations

import importlib.util
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from chatd.cli.audit_lines import note_act
from chatd.cli.options import json_option
from chatd.cluster.follow_stream import request_reseed
from chatd.cluster.nats_address import STREAM_FOLDER
from chatd.cluster.stream_place import forget_stream, stored_place
from chatd.config.cluster_section import ClusterSection
from chatd.config.home import Home
from chatd.config.loading import load_settings, write_settings
from chatd.config.schema import Settings
from chatd.console import output
from chatd.console.command_table import SummaryGroup
from chatd.console.pasting import chatd_command
from chatd.errors import ChatdError
from chatd.nats.nats_server import find_nats_server
from chatd.store.database import connect_reader, storage_errors
from chatd.store.event_log import EventLog


@click.group("cluster", cls=SummaryGroup)
def cluster() -> None:
    """Keep the log in a stream of NATS JetStream, too: the first step to several machines."""


@cluster.command("init")
@click.option("--node", default="node-1", show_default=True, metavar="NAME", help="Name of this machine.")
@click.pass_obj
def init(home: Home, node: str) -> None:
    """Let the next start of this server keep its log in a stream as well.

    The stream begins with the log as it is. chatd cluster dissolve undoes it.
    """
    home.require_initialised()
    settings = load_settings(home.path, {})
    section = _section(settings, node)
    if settings.cluster.node:
        raise ChatdError("E409", f"this server is the node {settings.cluster.node} already", "nothing to do")
    find_nats_server()
    if importlib.util.find_spec("nats") is None:
        raise ChatdError("E622", "there is no nats-py beside this Python")
    write_settings(home.path, settings.model_copy(update={"cluster": section}))
    note_act(home.path, "cluster_begun", node=node)
    output.line(f"this server is the node {node} of a cluster")
    output.note(f"from its next start on: {chatd_command(home.path, 'restart')}")


@cluster.command("status")
@json_option
@click.pass_obj
def status(home: Home, as_json: bool) -> None:
    """Show how far the log is in the stream; works while the server runs."""
    home.require_initialised()
    node = load_settings(home.path, os.environ).cluster.node
    with storage_errors("read the event log"):
        connection = connect_reader(home.data)
        try:
            place = stored_place(connection)
        finally:
            connection.close()
    fields = {"node": node, **place._asdict()}
    if as_json:
        output.json_data({"schema": 1, **fields})
        return
    output.line(f"node {node}" if node else "no node of a cluster")
    if place.generation:
        output.line(
            f"message {place.seq} of the stream, generation {place.generation}, epoch {place.epoch}, "
            f"led by {place.leader}"
        )


@cluster.command("reseed")
@click.pass_obj
def reseed(home: Home) -> None:
    """Make the stream anew from this server's log at the next start; needs a stopped server.

    For a stream that is lost, damaged, or of an earlier time than the log. Nothing of the log is lost.
    """
    with _stopped_log(home) as log:
        # A stream of another log may lie there while this one has never been in any.
        if not stored_place(log).generation and not (home.path / STREAM_FOLDER).exists():
            raise ChatdError("E404", "the log is in no stream", "nothing to do")
        request_reseed(log)
    note_act(home.path, "cluster_reseeded")
    output.line("the next start makes the stream anew from this log")
    output.note(f"next: {chatd_command(home.path, 'start')}")


@cluster.command("dissolve")
@click.pass_obj
def dissolve(home: Home) -> None:
    """Keep the log on this server only, as before chatd cluster init; needs a stopped server."""
    with _stopped_log(home) as log:
        forget_stream(log)
        shutil.rmtree(home.path / STREAM_FOLDER, ignore_errors=True)
        settings = load_settings(home.path, {})
        alone = _section(settings, "")
        write_settings(home.path, settings.model_copy(update={"cluster": alone}))
    note_act(home.path, "cluster_dissolved")
    output.line("the log is on this server only")
    output.note(f"next: {chatd_command(home.path, 'start')}")


@contextmanager
def _stopped_log(home: Home) -> Iterator[EventLog]:
    home.require_initialised()
    try:
        log = EventLog.open(home.data, now=time.time_ns() // 1_000_000, must_exist=True)
    except ChatdError as error:
        if error.code != "E604":
            raise
        raise ChatdError("E604", error.reason, f"run: {chatd_command(home.path, 'stop')}") from None
    try:
        yield log
    finally:
        log.close()


def _section(settings: Settings, node: str) -> ClusterSection:
    """Return the settings of the cluster with this node. Raises E600."""
    try:
        values = {**settings.cluster.model_dump(), "node": node}
        return ClusterSection.model_validate(values if node else {**values, "members": {}, "listen": ""})
    except ValueError:
        reason = f"{node!r} is no name for a node"
        raise ChatdError("E600", reason, "use 1 to 32 of a-z 0-9 -, a letter or digit at both ends") from None
