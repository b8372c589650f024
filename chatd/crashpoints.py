"""Named places where a trial can kill the process, as `kill -9` would (docs/reliability.md).

    CHATD_CRASH_AT=hub.commit.after:20,hub.open.recovered   crash points, in order
    CHATD_CRASH_ONCE=/tmp/fired                             a folder: crash at each point only once

``NAME:N`` kills at the N-th pass of the point (default 1). A point is armed once all points before it in the
list have fired, in this or an earlier process, so that a trial can also kill the replacement during its
recovery. A point that has fired leaves a file of its name in the folder; without a folder, every process
crashes again. Both variables are for trials only.
"""

from __future__ import annotations

import os
import signal
from typing import NamedTuple

POINTS = {
    "store.open.locked": "open: the lock is taken, nothing read yet",
    "store.open.rewritten": "open: the WAL is rewritten, not read yet",
    "store.open.verified": "open: the tail is verified, the new epoch not begun",
    "store.open.epoch_committed": "open: the new epoch is in the database, not in the mark",
    "store.append.before_begin": "append: the batch is prepared",
    "store.append.inserted": "append: all rows are inserted, not committed",
    "store.append.committed": "append: committed, the mark still the old one",
    "store.mark.written": "the mark is written, not synced",
    "store.append.marked": "append: the mark is durable, the caller not notified",
    "store.snapshot.written": "snapshot: inserted, not committed",
    "store.snapshot.committed": "snapshot: committed",
    "store.close.half_checkpointed": "close: the WAL is copied, not emptied",
    "hub.open.log_open": "start: the log is open, the state empty",
    "hub.open.replaying": "start: one event of many is applied",
    "hub.open.recovered": "start: the state is recovered, nothing served",
    "hub.open.before_ready": "start: the configured rooms are committed, the supervisor not notified",
    "cluster.stream.created": "start: the stream is made, empty",
    "cluster.stream.begun": "start: the stream begins with this log, its place is not noted",
    "cluster.follow.taken": "start: a message of the stream is in the log",
    "cluster.follow.committed": "a batch of the leader is in the log, nobody was told",
    "cluster.append.before": "a batch is inserted, not sent to the stream",
    "cluster.append.stored": "a batch is in the stream, not in the log",
    "cluster.settings.stored": "shared settings are in the stream, not in the log",
    "cluster.settings.noted": "shared settings are in the log, not in force",
    "cluster.settings.written": "shared settings are in the settings file, not in its note",
    "cluster.leave.noted": "leave: the others know, this home may not start again; its server still runs",
    "cluster.key.replaced": "a new key is on the disk, the stream under the former not deleted",
    "hub.session.admitted": "a session is admitted, its welcome not sent",
    "hub.request.arrived": "a request is read, not decided",
    "hub.request.applied": "a request is applied to the state and in the batch, not committed",
    "hub.commit.before": "a batch is about to be committed",
    "hub.commit.after": "a batch is committed, no reply or event sent",
    "hub.flush.one_link": "replies and events are written to one worker of several",
    "hub.flush.all_links": "replies and events are written to all workers",
    "hub.drain.before_snapshot": "drain: everything is served, the snapshot not written",
    "worker.start.before_accept": "start: credentials are loaded",
    "worker.start.ready": "start: the supervisor is notified",
    "worker.login.accepted": "a connection is accepted",
    "worker.login.tls": "TLS is established, the envelope not",
    "worker.login.done": "the envelope is established, the hub not asked",
    "enrol.handed": "a client with an invite is about to be handed to the enrol process",
    "worker.session.admitted": "the hub has admitted a session, its client not notified",
    "worker.request.before_hub": "a request is checked, not forwarded",
    "worker.request.after_hub": "requests that arrived together are forwarded",
    "worker.reply.queued": "a reply is in the outbox",
    "worker.flush.sealed": "a record is sealed, not sent",
    "worker.flush.sent": "a record is sent",
    "worker.hub.lost": "the link to the hub is lost",
    "worker.hub.connected": "a new link to the hub is up, the sessions queued on it",
    "worker.drain.begun": "drain: the bye frames are queued",
    "worker.drain.done": "drain: every session has ended",
    "enrol.taken": "a worker has handed a client over, TLS has not begun",
    "enrol.tls": "TLS is established, the invite not received",
    "enrol.checked": "the hub says that the invite holds, nothing is issued",
    "enrol.issued": "a certificate is issued, the invite not redeemed",
    "enrol.redeemed": "the invite is redeemed and the device registered, nothing sent",
    "enrol.queued": "the certificate is on its way to the client",
    "supervisor.start.bound": "start: the listeners are bound, no child started",
    "supervisor.child.spawned": "a child is spawned, its pid not recorded",
    "supervisor.child.ready": "a child has reported that it is ready",
    "supervisor.child.reaped": "a dead child is reaped, not replaced",
    "supervisor.start.before_up": "every child is ready, nobody notified",
    "supervisor.reload.half": "reload: one child has the new settings",
    "supervisor.rolling.one_down": "rolling restart: one child is down",
    "supervisor.stop.begun": "stop: no child has been told to drain",
    "pki.change.decided": "a change of several files of certs/ is decided, none of them in place",
    "pki.change.half": "a change of several files of certs/ is in place in part",
    "supervisor.stop.workers_down": "stop: the workers have ended, the hub has not",
}


class _Target(NamedTuple):
    name: str
    passes: int


def _parse(text: str) -> list[_Target]:
    targets = []
    for item in filter(None, text.split(",")):
        name, _, passes = item.partition(":")
        targets.append(_Target(name, int(passes or 1)))
    return targets


_targets = _parse(os.environ.get("CHATD_CRASH_AT", ""))
_fired_folder = os.environ.get("CHATD_CRASH_ONCE", "")
_armed = bool(_targets)
_passed: dict[str, int] = {}


def fired_folder() -> str:
    """Return the folder in which points that have fired leave a file; "" if there is none."""
    return _fired_folder


def crash_point(name: str) -> None:
    """Kill this process if a trial asked for it; otherwise this costs one test of a bool."""
    if _armed:
        _pass(name)


def _pass(name: str) -> None:
    target = next((target for target in _targets if not _has_fired(target.name)), None)
    if target is None or target.name != name:
        return
    # Threads of a worker may race here and lose a count, which does not matter.
    _passed[name] = _passed.get(name, 0) + 1
    if _passed[name] >= target.passes and _claim(name):
        os.kill(os.getpid(), signal.SIGKILL)


def _has_fired(name: str) -> bool:
    return bool(_fired_folder) and os.path.exists(os.path.join(_fired_folder, name))  # noqa: PTH110, PTH118 - hot


def _claim(name: str) -> bool:
    """Return True in the one process that may fire."""
    if not _fired_folder:
        return True
    path = os.path.join(_fired_folder, name)  # noqa: PTH118 - this module stays light
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC))
    except FileExistsError:
        return False
    return True
