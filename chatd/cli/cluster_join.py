"""``chatd cluster join``: make a new home of a join file, a node of the cluster."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from chatd.cli.audit_lines import note_act
from chatd.cli.join_file import JoinFile, read_join_file
from chatd.cli.lifecycle import POLL_SECONDS, status_or_none
from chatd.cli.node_probe import Reached, probe
from chatd.cli.setup import make_folders, missing_folders, remove_folders
from chatd.cluster.joining_note import JOINING_FILE, begin_joining
from chatd.config.home import Home
from chatd.config.loading import write_settings
from chatd.config.schema import Settings
from chatd.console import output
from chatd.console.arguments import NamedPath
from chatd.console.pasting import chatd_command
from chatd.console.shell_completion import complete_files
from chatd.durable_files import PRIVATE, PUBLIC, create_file
from chatd.errors import ChatdError
from chatd.nats.nats_server import require_nats
from chatd.store.database import DATABASE_NAME
from chatd.store.home_place import record_place
from chatd.supervisor.main import raise_if_fatal, start_daemon

# The hub starts later, once the other nodes have given it the log.
START_SECONDS = 1.0
NATS_SECONDS = 30.0


@click.command("join")
@click.argument("file", type=NamedPath(path_type=Path, dir_okay=False), shell_complete=complete_files)
@click.option("--start", "start_it", is_flag=True, help="Also start the server.")
@click.pass_obj
def join(home: Home, file: Path, start_it: bool) -> None:
    """Make this folder a node of a cluster, with a file of chatd cluster init; removes the file.

    The node copies the log from the others once they run. Nobody needs a new identity.
    """
    content = read_join_file(file, datetime.now(UTC))
    settings = _settings(content)
    _refuse_existing_home(home)
    require_nats(settings.cluster)
    _install(home, content, settings)
    try:
        file.unlink()
    except OSError as error:
        output.note(f"remove {file}, which is of no more use: {error.strerror}")
    note_act(home.path, "cluster_joined", node=content.node)
    output.line(f"{home.path} is the node {content.node} of the cluster {content.server}")
    for note in _notes(home, settings):
        output.note(note)
    if not start_it:
        output.note(f"next: {chatd_command(home.path, 'start')}")
        return
    _start(home)
    output.line("started; the hub follows once it has copied the log from another node")
    output.note(f"to see how far it is: {chatd_command(home.path, 'cluster', 'status')}")


def _settings(content: JoinFile) -> Settings:
    try:
        return Settings.model_validate(content.settings)
    except ValueError as error:
        raise ChatdError("E623", f"its settings are not valid here: {error}") from None


def _refuse_existing_home(home: Home) -> None:
    for path in (home.certs / "ca.pem", home.certs / "ca.key", home.settings_file, home.data / DATABASE_NAME):
        if os.path.lexists(path):
            reason = f"{home.path} is a home already: it has {path.relative_to(home.path)}"
            raise ChatdError("E602", reason, "join in an empty folder: chatd --home DIR cluster join FILE")


def _install(home: Home, content: JoinFile, settings: Settings) -> None:
    """Write the files of a new home; on failure, remove what was written. Raises E606."""
    missing = missing_folders(home)
    written: list[Path] = []
    try:
        make_folders(home)
        for name, text in content.files.items():
            path = home.path / name
            create_file(path, text.encode(), PRIVATE if path.suffix == ".key" else PUBLIC)
            written.append(path)
        begin_joining(home.path, content.ticket)
        written += [home.path / JOINING_FILE, home.settings_file]
        # Last: without it chatd start refuses.
        write_settings(home.path, settings)
    except BaseException as error:
        for path in written:
            path.unlink(missing_ok=True)
        remove_folders(missing)
        if isinstance(error, OSError):
            raise ChatdError("E606", f"{error.filename or home.path}: {error.strerror}") from None
        raise


def _notes(home: Home, settings: Settings) -> Iterator[str]:
    """Yield what keeps the node from the others now."""
    if settings.cluster.nats:
        from chatd.nats.outside_nats import problem_of_outside  # nats-py is an optional dependency

        if (problem := problem_of_outside(home.path, settings)) is not None:
            yield str(problem)
        return
    for name, address in settings.cluster.others.items():
        if (note := _note_about(home, name, address)) is not None:
            yield note


def _note_about(home: Home, name: str, address: str) -> str | None:
    match probe(home.certs, address):
        case Reached.UP:
            return None
        case Reached.REFUSED:
            return f"node {name} at {address} refuses this node: it is of another cluster, or left it"
        case Reached.UNREACHABLE:
            return f"node {name} does not answer at {address} yet"


def _start(home: Home) -> None:
    """Start the server and wait until its NATS server runs. Raises what `start_daemon` does."""
    record_place(home.path)
    try:
        start_daemon(home.path, START_SECONDS)
    except ChatdError as error:
        if error.code != "E611":
            raise
    deadline = time.monotonic() + NATS_SECONDS
    while not _nats_runs(status_or_none(home)):
        if time.monotonic() >= deadline:
            raise ChatdError("E611", "chatd was started but its NATS server is not up yet")
        time.sleep(POLL_SECONDS)


def _nats_runs(status: dict[str, object] | None) -> bool:
    children = (status or {}).get("children")
    found = children if isinstance(children, list) else []
    raise_if_fatal(status or {})
    return any(child.get("name") == "nats" and child.get("state") == "running" for child in found)
