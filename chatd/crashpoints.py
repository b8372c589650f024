"""Named places where a trial may end the process as `kill -9` would (docs/reliability.md).

    CHATD_CRASH_AT=store.after_commit:20,hub.after_open   what to crash at, one after the other
    CHATD_CRASH_ONCE=/tmp/fired                           a folder: each of them only once

A name is passed N times before it ends the process (``:N``, from 1); a name further on in the list
counts only after those before it have fired, in this or an earlier process: so the replacement of a
crashed process can be crashed during its recovery. What has fired leaves a file of its name in the
folder; without a folder each process crashes anew. Both variables are for trials only.
"""

from __future__ import annotations

import os
import signal
from typing import NamedTuple

POINTS = {
    "store.open.locked": "open: the lock is taken, nothing has been looked at",
    "store.open.rewritten": "open: the WAL was written again, not yet read",
    "store.open.verified": "open: the tail is verified, the new epoch not begun",
    "store.open.epoch_committed": "open: the new epoch is in the database, not in the mark",
    "store.append.before_begin": "append: the batch is prepared",
    "store.append.inserted": "append: all rows are inserted, not committed",
    "store.append.committed": "append: committed, the mark is still the old one",
    "store.mark.written": "the mark is written, not synced",
    "store.append.marked": "append: the mark is durable, the caller does not know yet",
    "store.snapshot.written": "snapshot: inserted, not committed",
    "store.snapshot.committed": "snapshot: committed",
    "store.close.half_checkpointed": "close: the WAL is copied, not emptied",
    "hub.open.log_open": "start: the log is open, the state empty",
    "hub.open.replaying": "start: one event of many is applied",
    "hub.open.recovered": "start: the state is there, nothing served",
    "hub.open.before_ready": "start: the settings' rooms are committed, the supervisor waits",
    "hub.session.admitted": "a session was admitted, its welcome not sent",
    "hub.request.arrived": "a request was read, nothing decided",
    "hub.request.applied": "a request is applied to the state and in the batch, not committed",
    "hub.commit.before": "a batch is about to be committed",
    "hub.commit.after": "a batch is committed, nobody has been told",
    "hub.flush.one_link": "acknowledgements and events are written to one worker of several",
    "hub.flush.all_links": "everybody was told",
    "hub.drain.before_snapshot": "drain: everything is served, the snapshot not written",
    "worker.start.before_accept": "start: credentials are loaded",
    "worker.start.ready": "start: the supervisor was told",
    "worker.login.accepted": "a connection was accepted",
    "worker.login.tls": "TLS is established, the envelope not",
    "worker.login.done": "the envelope is established, the hub not asked",
    "worker.session.admitted": "the hub has admitted a session, its client was not told",
    "worker.request.before_hub": "a request is checked and not passed on",
    "worker.request.after_hub": "the requests that came together were passed on",
    "worker.reply.queued": "a reply is in the outbox",
    "worker.flush.sealed": "a record is sealed, not sent",
    "worker.flush.sent": "a record is sent",
    "worker.hub.lost": "the link to the hub broke",
    "worker.hub.connected": "a new link to the hub, the sessions queued on it",
    "worker.drain.begun": "drain: the goodbyes are queued",
    "worker.drain.done": "drain: every session is gone",
    "supervisor.start.bound": "start: the listeners are bound, no child is there",
    "supervisor.child.spawned": "a child is spawned, not yet written down",
    "supervisor.child.ready": "a child has said that it is ready",
    "supervisor.child.reaped": "a dead child is reaped, not replaced",
    "supervisor.start.before_up": "everything is up, nobody was told",
    "supervisor.reload.half": "reload: one child has the new settings",
    "supervisor.rolling.one_down": "rolling restart: one worker is down",
    "supervisor.stop.begun": "stop: nobody was told to drain",
    "supervisor.stop.workers_down": "stop: the workers are gone, the hub is there",
}


class _Aim(NamedTuple):
    name: str
    passes: int


def _parse(text: str) -> list[_Aim]:
    aims = []
    for item in filter(None, text.split(",")):
        name, _, passes = item.partition(":")
        aims.append(_Aim(name, int(passes or 1)))
    return aims


_aims = _parse(os.environ.get("CHATD_CRASH_AT", ""))
_folder = os.environ.get("CHATD_CRASH_ONCE", "")
_armed = bool(_aims)
_passed: dict[str, int] = {}


def crash_point(name: str) -> None:
    """End this process here, if a trial asked for it; costs one look at a bool otherwise."""
    if _armed:
        _pass(name)


def _pass(name: str) -> None:
    aim = next((aim for aim in _aims if not _has_fired(aim.name)), None)
    if aim is None or aim.name != name:
        return
    # Threads of a worker may count at the same time; then it is one pass more, which does not matter.
    _passed[name] = _passed.get(name, 0) + 1
    if _passed[name] >= aim.passes and _fires(name):
        os.kill(os.getpid(), signal.SIGKILL)


def _has_fired(name: str) -> bool:
    return bool(_folder) and os.path.exists(os.path.join(_folder, name))  # noqa: PTH110, PTH118 - often called


def _fires(name: str) -> bool:
    """Of several workers only one does."""
    if not _folder:
        return True
    try:
        os.close(os.open(os.path.join(_folder, name), os.O_CREAT | os.O_EXCL | os.O_CLOEXEC))  # noqa: PTH118
    except FileExistsError:
        return False
    return True
