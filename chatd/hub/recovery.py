"""Rebuild the state from the log, and carry out operator requests while no hub runs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import orjson

from chatd.child.peers import login_name
from chatd.cluster.stream_place import stored_place
from chatd.config.schema import Settings
from chatd.crashpoints import crash_point
from chatd.errors import ChatdError
from chatd.hub.batch import to_entry
from chatd.hub.sessions import Sessions
from chatd.hub.state import authorize, rooms
from chatd.hub.state.context import Context, operator
from chatd.hub.state.model import State, is_audited
from chatd.hub.state.rules import Rules
from chatd.hub.upkeep import SNAPSHOT_EVENTS
from chatd.logs.logger import get_log
from chatd.proto.frames import JsonObject
from chatd.proto.requests import parse_request
from chatd.store.entry import Entry
from chatd.store.event_log import EventLog

log_security = get_log("security")

# Replaying this many state events at a start makes a new snapshot worth writing.
SNAPSHOT_AFTER = 5_000

Outcome = JsonObject | ChatdError


def clock() -> int:
    """Return milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def recover(events: EventLog, progress: Callable[[], None] | None = None) -> State:
    """Restore the last proven snapshot and apply the entries that follow it.

    ``progress`` is called for each of them.
    """
    snapshot = events.load_snapshot()
    start = snapshot[0] if snapshot else 0
    state = State.restore(snapshot[1]) if snapshot else State()
    replayed = 0
    for entry in events.state_entries(state.head):
        state.apply(orjson.loads(entry.body))
        replayed += 1
        if progress is not None:
            progress()
        crash_point("hub.open.replaying")
    for device, day, size in events.written_after(start):
        user = device.partition("/")[0]
        if user in state.users:
            state.add_written(user, day, size)
    state.head = events.head
    rejected = snapshot is None and events.has_snapshot()
    if rejected:
        log_security.warning("snapshot_ignored", why="the mark does not prove it", replayed=replayed)
    if events.read_only:
        return state
    if rejected or replayed >= SNAPSHOT_AFTER or events.head - start >= SNAPSHOT_EVENTS:
        events.save_snapshot(events.head, state.snapshot())
    return state


def snapshot_agrees(entries: Iterator[Entry], seq: int, snapshot: bytes) -> bool:
    """Whether a snapshot at ``seq`` is the state that ``entries``, all up to it but the messages, give."""
    state = State()
    try:
        for entry in entries:
            state.apply(orjson.loads(entry.body))
        state.head = seq
        return state == State.restore(snapshot)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False


def carry_out(
    data: Path, settings: Settings, requests: Sequence[JsonObject]
) -> tuple[list[Outcome], list[JsonObject]]:
    """Carry out operator requests on the log itself, in one transaction; return results and audited events.

    The hub's policy decides. Raises E604 when a hub holds the log, or the ChatdError that refuses a request;
    then none is carried out. A refused dry run is a result.
    """
    events = EventLog.open(data, now=clock(), must_exist=True)
    try:
        if stored_place(events).generation:
            reason = "the log is in a stream, so that only a running server may decide"
            raise ChatdError("E603", reason, "run: chatd start, then this again")
        who = operator(os.getuid(), login_name(os.getuid()))
        context = Context(recover(events), Rules.from_settings(settings), who, clock(), Sessions())
        rooms.ensure_configured(context)
        results = [_decide(context, request) for request in requests]
        events.append([to_entry(event, who) for event in context.events])
    finally:
        events.close()
    return results, [event for event in context.events if is_audited(event)]


def _decide(context: Context, request: JsonObject) -> Outcome:
    try:
        return authorize.decide(context, parse_request(request))
    except ChatdError as error:
        if not request.get("dry_run"):
            raise
        return error
