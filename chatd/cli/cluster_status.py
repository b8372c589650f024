"""``chatd cluster status``: each node, its log, and the stream."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from chatd.cli.options import json_option
from chatd.cluster.joining_note import JOINING_FILE
from chatd.cluster.log_link import RESEED
from chatd.cluster.stream_place import StreamPlace
from chatd.codes import CODES
from chatd.config.cluster_section import ClusterSection
from chatd.config.home import Home
from chatd.config.left_note import has_left
from chatd.config.loading import load_settings
from chatd.config.shared_file import Drift
from chatd.console import output
from chatd.console.cluster_text import SKEW_SECONDS
from chatd.errors import ChatdError
from chatd.nats.node_status import node_status

if TYPE_CHECKING:
    from chatd.nats.cluster_view import ClusterView


@click.command("status")
@json_option
@click.pass_obj
def status(home: Home, as_json: bool) -> None:
    """Show each node: who leads, how far its log is, whether it is the same; works while the server runs."""
    home.require_initialised()
    cluster = load_settings(home.path, os.environ).cluster
    own = node_status(home.path, cluster.node, 0, Drift(home.path, os.environ))
    place = StreamPlace(own.seq, own.generation, own.epoch, own.leader, own.settings)
    fields: dict[str, Any] = {
        "node": cluster.node,
        **place._asdict(),
        "head": own.head,
        "joining": (home.path / JOINING_FILE).exists(),
        "left": has_left(home.path),
    }
    if cluster.others:
        fields |= _seen(home, cluster)
    if as_json:
        output.json_data({"schema": 1, **fields})
        return
    output.line(f"node {cluster.node}" if cluster.node else "no node of a cluster")
    if fields["left"]:
        output.line("it has left its cluster: only its log is here, to be read")
    if place.generation:
        output.line(
            f"message {place.seq} of the stream, generation {place.generation}, epoch {place.epoch}, "
            f"led by {place.leader}"
        )
    if own.has_log:
        output.line(f"this node's log ends with event {own.head}")
    if fields["joining"]:
        output.line("this node waits for a copy of the log from another one")
    if cluster.others:
        _show(fields)


def _seen(home: Home, cluster: ClusterSection) -> dict[str, Any]:
    """Return what this node's NATS server knows of all nodes."""
    try:
        from chatd.nats.cluster_view import view_cluster  # nats-py is an optional dependency

        view = view_cluster(home.path, len(cluster.members))
    except OSError as error:
        return {
            "problem": f"{_server_words(cluster)} not answer: {error}",
            "quorum": False,
            "members": [],
        }
    except ImportError as error:
        raise ChatdError("E622", f"there is no {error.name} beside this Python") from None
    return {
        "quorum": view.stream.quorum,
        "stream_last": view.stream.last,
        "stream_gone": view.stream.gone,
        "chain_equal": len(set(view.chains.values())) <= 1,
        "sync_always": _all_sync(view, len(cluster.members)),
        "outside": bool(cluster.nats),
        "members": [
            _member(name, address, view, cluster.replicas) for name, address in cluster.members.items()
        ],
    }


def _server_words(cluster: ClusterSection) -> str:
    if not cluster.nats:
        return "this node's NATS server does"
    return f"chatd is stopped here, or the NATS servers {', '.join(cluster.nats)} do"


def _all_sync(view: ClusterView, members: int) -> bool | None:
    """Whether all NATS servers sync before they acknowledge; None if one of them does not say."""
    told = [node.syncs for node in view.nodes.values()]
    if False in told:
        return False
    return True if told.count(True) == members else None


def _member(name: str, address: str, view: ClusterView, keepers: int) -> dict[str, Any]:
    found = view.nodes.get(name)
    member: dict[str, Any] = {
        "node": name,
        "address": address,
        "answers": found is not None,
        "stream_current": view.stream.has_all(name, keepers),
        "stream_gone": view.stream.gone,
    }
    if found is None:
        return member
    newest = max(node.head for node in view.nodes.values())
    return member | {
        "leads": found.leader == name,
        "has_log": found.has_log,
        "head": found.head,
        "behind": newest - found.head,
        "epoch": found.epoch,
        "chain": view.chains.get(name, ""),
        "version": found.version,
        "skew": view.skews.get(name, 0.0),
        "settings": found.settings,
        "settings_differ": list(found.differs),
    }


def _show(fields: dict[str, Any]) -> None:
    if problem := fields.get("problem"):
        output.line(problem)
        return
    members: list[dict[str, Any]] = fields["members"]
    width = max(len(member["node"]) for member in members)
    for member in members:
        output.line(f"{member['node']:<{width}}  {_words(member)}")
    output.line(_stream_words(fields))
    versions = {member["node"]: member["version"] for member in members if member["answers"]}
    if len(set(versions.values())) > 1:
        told = ", ".join(f"{node} {version}" for node, version in versions.items())
        output.line(f"versions of chatd differ: {told}")
    for member in members:
        if differ := member.get("settings_differ"):
            output.line(f"settings of {member['node']} differ: {', '.join(differ)}")
    if fields.get("sync_always") is False:
        output.line("a NATS server acknowledges before its disk has a message: run chatd restart there")
    if fields.get("outside") and fields.get("sync_always") is None:
        output.line(f"W120 {CODES['W120'].summary}: {CODES['W120'].fix}")
    if not fields["chain_equal"]:
        output.line("the logs differ: see docs/cluster.md")


def _stream_words(fields: dict[str, Any]) -> str:
    if fields["stream_gone"]:
        return f"the stream is gone (E621): nothing can be written; on all nodes {RESEED}"
    return "a majority takes writes" if fields["quorum"] else "no majority: nothing can be written"


def _words(member: dict[str, Any]) -> str:
    if not member["answers"]:
        return f"does not answer ({member['address']})"
    if not member["has_log"]:
        return "waits for a copy of the log"
    words = ["leads" if member["leads"] else "follows", f"event {member['head']}"]
    if member["behind"]:
        words.append(f"{member['behind']} behind")
    if not (member["stream_current"] or member["stream_gone"]):
        words.append("its NATS server is behind")
    if abs(member["skew"]) > SKEW_SECONDS:
        words.append(f"its clock differs by {member['skew']:g} s")
    return ", ".join(words)
