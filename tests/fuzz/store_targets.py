"""Targets for files of the log: exports, backups, marks, snapshots, lineages."""

from __future__ import annotations

import io
import json
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from chatd.hub.recovery import snapshot_agrees
from chatd.hub.state.model import State
from chatd.proto.lineage import LINEAGE_LIMIT, Branch, common_point, parse_lineage, trimmed
from chatd.store import sealed_file
from chatd.store.archive import Archive, Facts, Manifest, write_backup
from chatd.store.entry import Point
from chatd.store.event_log import EventLog
from chatd.store.export_verifier import check_export
from chatd.store.log_copy import copied_log
from chatd.store.mark import MARK_NAME, Mark, MarkFile, read_mark, read_snapshot_digests
from chatd.store.record_export import Choice, export
from chatd.store.redactions import covers
from tests.fuzz.byte_source import ByteSource
from tests.fuzz.expected_refusals import refused
from tests.fuzz.pki_targets import scratch_folder
from tests.fuzz.session_targets import _worlds
from tests.support.storelog import NOW, order

_PASSPHRASE = b"correct horse battery"
# The keys of one header and passphrase never change, and deriving them takes milliseconds.
_keys = lru_cache(maxsize=64)(sealed_file._keys)


def _quiet(*_: object) -> None:
    """Ignore progress."""


@cache
def _log() -> Path:
    """Return the folder of a log with messages, a redaction and rooms."""
    data = scratch_folder() / "log"
    log = EventLog.open(data, now=NOW)
    log.append([order(1, "room_created", "#lobby"), *(_message(seq) for seq in (2, 3, 4))])
    log.append([order(5, "redacted", "#lobby", target=3)], {3: 5})
    log.append([_message(6)])
    log.close()
    return data


def _message(seq: int) -> Any:
    fields = {"device": "laptop", "user": "alice", "msg_id": f"{seq:032x}", "body": "hello"}
    made = order(seq, "message", "#lobby", **fields)
    return made._replace(device="alice/laptop", msg_id=bytes.fromhex(f"{seq:032x}"), digest=bytes(16))


@cache
def _exported() -> list[dict[str, Any]]:
    return list(export(_log(), "lab", Choice(), "2026-01-01T00:00:00Z", _quiet))


def export_seeds() -> list[bytes]:
    """A whole export, one of a part, and lines that test cases name."""
    part = export(_log(), "lab", Choice(room="#war", since=NOW + 2), "2026-01-01T00:00:00Z", _quiet)
    made = [
        b"".join(json.dumps(line).encode() + b"\n" for line in lines) for lines in (_exported(), list(part))
    ]
    return [*made, b"[" * 2000, b'{"type": "export", "schema": 1}']


def exports(data: bytes) -> None:
    """The verifier never raises, and a file it accepts holds events of the log only, unchanged."""
    report = check_export(data.splitlines(keepends=True), _quiet)
    assert len(report.reason) < 500
    assert report.ok == (report.bad_line is None)
    if report.ok and report.header["log"] == _exported()[0]["log"]:
        _assert_genuine([json.loads(line) for line in data.splitlines()][1:])


def altered_exports(data: bytes) -> None:
    """An export with changed, missing, repeated or moved lines and values: the same."""
    source = ByteSource(data)
    lines = json.loads(json.dumps(_exported()))
    for _ in range(source.below(4)):
        kind, place = source.below(4), source.below(len(lines))
        if kind == 0:
            del lines[place]
        elif kind == 1:
            lines.insert(source.below(len(lines) + 1), lines[place])
        elif lines[place]:
            name = source.choice([*lines[place]])
            lines[place][name] = source.value() if kind == 2 else lines[source.below(len(lines))].get(name)
        if not lines:
            break
    report = check_export([json.dumps(line).encode() for line in lines], _quiet)
    assert report.ok == (report.bad_line is None)
    if report.ok:
        _assert_genuine(lines[1:])


def _assert_genuine(events: list[dict[str, Any]]) -> None:
    genuine = {line["seq"]: line for line in _exported()[1:]}
    for event in events:
        known = genuine[event["seq"]]
        assert all(known[name] == value for name, value in event.items() if name != "erased_by")


@cache
def _backup() -> bytes:
    file = io.BytesIO()
    facts = Facts(version="0.1.0", server="lab", made="2026-11-23T00:00:00Z", ca="SHA256:00")
    files = {"config/settings.json": b"{}", "certs/ca.pem": b"certificate"}
    with copied_log(_log(), _quiet) as copy:
        write_backup(file, _PASSPHRASE, facts, files, copy, _quiet, cost=10)
    return file.getvalue()


def backups(data: bytes) -> None:
    """A changed backup is refused with E613, never read in part as if it were whole."""
    source = ByteSource(data)
    changed = source.altered(_backup())
    with patch.object(sealed_file, "_keys", _keys):
        if refused(lambda: _read_backup(changed), "E613") is not None:
            assert changed == _backup()


def _read_backup(content: bytes) -> Manifest:
    return _read(Archive(io.BytesIO(content), len(content), _PASSPHRASE))


def _read(archive: Archive) -> Manifest:
    archive.read(None, _quiet)
    return archive.manifest


def manifest_seeds() -> list[bytes]:
    """The manifest of a real backup."""
    archive = Archive(io.BytesIO(_backup()), len(_backup()), _PASSPHRASE)
    return [archive.manifest.model_dump_json().encode(), b"[" * 2000, b"{}"]


@cache
def _header() -> bytes:
    file = io.BytesIO()
    sealed_file.FileSealer(file, _PASSPHRASE, cost=10)
    return file.getvalue()


def manifests(data: bytes) -> None:
    """Whoever knows the passphrase writes any manifest: E613, or members that stay in the home."""
    header = _header()
    aead, _ = _keys(header[: sealed_file._HEADER.size], _PASSPHRASE)
    text = len(data).to_bytes(4, "big") + data
    content = header + aead.encrypt(sealed_file._nonce(0, True), text, header)
    with patch.object(sealed_file, "_keys", _keys):
        archive = refused(lambda: Archive(io.BytesIO(content), len(content), _PASSPHRASE), "E613")
    if archive is None:
        return
    refused(partial(_read, archive), "E613")
    for member in archive.manifest.members:
        path = Path("/home", member.name)
        assert ".." not in path.parts
        assert path.parts[2] in ("data", "config", "certs")
        assert member.name.isprintable()


def mark_seeds() -> list[bytes]:
    """Marks with one and two slots, and with a snapshot's digest."""
    data = _log()
    marks = MarkFile(data)
    made = [(data / MARK_NAME).read_bytes()]
    marks.write(Mark(9, Point(6, b"h" * 32)))
    marks.write_snapshot_digest(9, 5, b"d" * 32)
    marks.close()
    return [b"", *made, (data / MARK_NAME).read_bytes()]


def marks(data: bytes) -> None:
    """A mark that is not whole counts as missing; the writer works with any file."""
    folder = scratch_folder() / "marks"
    folder.mkdir(exist_ok=True)
    (folder / MARK_NAME).write_bytes(data)
    read_mark(folder)
    assert len(read_snapshot_digests(folder)) <= 2
    if data[:1] == b"w":
        writer = MarkFile(folder)
        writer.write(mark := Mark(2**64 - 1, Point(2**63, bytes(32))))
        writer.close()
        assert read_mark(folder) == mark


def snapshot_seeds() -> list[bytes]:
    """Snapshots of an empty and of a full state."""
    state = _worlds()().state.snapshot()
    return [State().snapshot(), state, state.replace(b"held", b"frozen"), b"[" * 2000, b"{}"]


def snapshots(data: bytes) -> None:
    """A foreign snapshot is judged without an exception, and one that agrees is the state itself."""
    if snapshot_agrees(iter(()), 0, data):
        assert State.restore(data) == State()


def lineages(data: bytes) -> None:
    """A lineage is read or refused with ValueError; what two have in common is at most their heads."""
    source = ByteSource(data)
    try:
        parse_lineage(source.value())
    except ValueError:
        pass
    made = [_branches(source), _branches(source)]
    for branches in made:
        assert len(trimmed(branches)) <= LINEAGE_LIMIT
        assert common_point(branches, branches) is None
    point = common_point(*made)
    assert point is None or point >= 0
    covers(source.choice(("redacted", "expired", None)), "#a", source.blob(), source.below(9), "#a")


def _branches(source: ByteSource) -> tuple[Branch, ...]:
    ids = [f"{source.below(8):032x}" for _ in range(source.below(80))]
    return tuple(Branch(id=one, began=source.below(9)) for one in dict.fromkeys(ids))
