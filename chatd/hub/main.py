"""The hub process: recover the state from the log, then serve."""

from __future__ import annotations

import os
import select
import socket
import sys
import time
from functools import partial
from pathlib import Path

from chatd.child.boot_progress import BootProgress
from chatd.child.peers import login_name
from chatd.child.sandbox import Sandbox
from chatd.child.supervised import EXIT_CONFIG, EXIT_INTEGRITY, EXIT_STORAGE, Supervised
from chatd.cluster.follow_stream import BehindError
from chatd.cluster.joining_note import begin_joining
from chatd.cluster.stream_place import stored_place
from chatd.config.schema import Settings
from chatd.crashpoints import crash_point
from chatd.errors import ChatdError
from chatd.hub.awaiting_log import await_log
from chatd.hub.doors import OPERATORS, Doors
from chatd.hub.hub import Hub
from chatd.hub.leading import follow, lead
from chatd.hub.loop import LOCK_RETRY_SECONDS, HubLoop
from chatd.hub.peers.peer_desk import PeerDesk
from chatd.hub.query_threads import QueryThreads
from chatd.hub.recovery import clock, recover
from chatd.logs.logger import get_log
from chatd.store.database import DATABASE_NAME, is_full, is_locked
from chatd.store.event_log import EventLog
from chatd.store.lock_holder import lock_holder
from chatd.store.reserve import release_reserve, spend_reserve, take_reserve

log = get_log("server")
log_errors = get_log("errors")

# The commit thread holds the interpreter for microseconds; it must not wait 5 ms to get it back.
SWITCH_SECONDS = 0.0005
# The exit codes tell the supervisor whether to restart the hub: see the table in docs/operations.md.
_EXITS = {"E610": EXIT_INTEGRITY, "E504": EXIT_STORAGE, "E600": EXIT_CONFIG} | dict.fromkeys(
    ("E618", "E621", "E622"), EXIT_CONFIG
)


def main() -> int:
    """Run the hub; the exit code tells the supervisor whether to start it again."""
    for uid in OPERATORS:
        login_name(uid)  # remembered, because the sandbox hides the list of users
    child = Supervised.attach(_sandbox)
    # SQLite's temporary files: it may write nowhere else.
    os.environ["SQLITE_TMPDIR"] = str(child.home / "data")
    try:
        _serve(child)
    except ChatdError as error:
        if error.code == "E504" and not is_locked(error):
            # If the disk is full, the next hub can start in this space.
            release_reserve(child.home / "data")
        if isinstance(error, BehindError) and child.settings.cluster.others:
            # The next hub waits until the nats process has copied another node's log.
            begin_joining(child.home)
            log.warning("log_left_behind", why=error.reason)
            return 1
        log_errors.error("hub_ended", code=error.code, why=error.reason, fix=error.fix)
        print(error, file=sys.stderr, flush=True)
        return _EXITS.get(error.code, 1)
    return 0


def _sandbox(settings: Settings) -> Sandbox:
    # NATS has no Unix sockets.
    return Sandbox(writable=("data",), network=bool(settings.cluster.node))


def _serve(child: Supervised) -> None:
    sys.setswitchinterval(SWITCH_SECONDS)
    data = child.home / "data"
    started = time.monotonic()
    progress = BootProgress(child.send)
    await_log(child, progress)
    events = _open_log(child, data, progress)
    crash_point("hub.open.log_open")
    clustered = child.settings.cluster.node and not events.read_only
    if not clustered and not events.read_only and stored_place(events).generation:
        fix = "set cluster.node again; or stop chatd, then run: chatd cluster dissolve"
        raise ChatdError("E621", "the log is in a stream, and the settings name no node", fix)
    # Before the state is recovered: the stream may have more than the log.
    following = follow(child, events, progress) if clustered and child.settings.cluster.others else None
    backend = following.backend if following else lead(child, events, progress) if clustered else None
    state = recover(events, progress)
    crash_point("hub.open.recovered")
    log.info("recovered", head=events.head, epoch=events.epoch, seconds=round(time.monotonic() - started, 3))
    queries = QueryThreads(data)
    if events.read_only:
        what = "something else has taken the reserve's space; this hub can only read"
        log.error("log_read_only", code="E504", what=what, fix="free disk space")
    has_space = partial(_end_with_space if events.read_only else take_reserve, data)
    spend = partial(spend_reserve, data)
    leadership = following.leadership if following else None
    settings = following.settings.in_force if following else child.settings
    hub = Hub(events, state, settings, queries, clock, has_space, spend, backend, leadership)
    if following:
        following.serve(hub, PeerDesk(hub, following.peers))
    workers, operators = (
        socket.socket(fileno=child.fd(name)) for name in ("hub_listener", "operator_listener")
    )
    doors = Doors(workers, operators, child, hub.repeats)
    try:
        HubLoop(hub, hub.links, hub.recorder, queries, doors, child, following).run()
    finally:
        queries.close()
    if following:
        following.close()
    events.close()


def _end_with_space(data: Path) -> bool:
    """For a hub that can only read: return False, or raise E504 once the next hub has space to write."""
    if take_reserve(data):
        raise ChatdError(
            "E504", "this hub could only read, and the disk has space again", "wait for the next one"
        )
    return False


def _open_log(child: Supervised, data: Path, progress: BootProgress) -> EventLog:
    """Open the log; wait while another program has locked it, until the supervisor says drain.

    On a full disk, use a step of moderation's reserve; if something else takes that space too, only read.
    """
    told = full = False
    kept: list[dict[str, object]] = []
    try:
        while True:
            try:
                return EventLog.open(data, now=clock(), must_exist=True, progress=progress)
            except ChatdError as error:
                if is_full(error):
                    if full or not spend_reserve(data):
                        return EventLog.open(
                            data, now=clock(), must_exist=True, read_only=True, progress=progress
                        )
                    full = True
                    continue
                if not is_locked(error) or any(message["type"] == "drain" for message in kept):
                    raise
                if not told:
                    what = f"{lock_holder(data / DATABASE_NAME)} has locked {DATABASE_NAME}; the hub waits"
                    log.error("log_locked", code="E504", what=what, fix=error.fix)
                    told = True
            select.select([child], [], [], LOCK_RETRY_SECONDS)
            kept += child.receive()
    finally:
        child.keep(kept)
