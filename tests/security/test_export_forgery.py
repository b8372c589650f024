"""Somebody makes a false export whose hashes all fit: only its form and its meaning give it away."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from chatd.store.chain import compute_chain_hash
from chatd.store.entry import Entry
from chatd.store.event_log import EventLog
from chatd.store.export_verifier import ExportReport, check_export
from chatd.store.record_export import Choice, export
from tests.support.export_document import write_verifier
from tests.support.storelog import NOW, order

Lines = list[dict[str, Any]]
# Events of the log below.
CREATED, HELLO, SECRET, PRIVATE, REDACTED, OLD, EXPIRED, LAST = range(1, 9)


def message(seq: int, room: str, text: str) -> Entry:
    event = {
        "type": "message",
        "seq": seq,
        "at": NOW + seq,
        "room": room,
        "user": "alice",
        "device": "laptop",
        "msg_id": f"{seq:032x}",
        "body": text,
    }
    msg_id = bytes.fromhex(event["msg_id"])  # type: ignore[arg-type]
    body = json.dumps(event).encode()
    return Entry(seq, NOW + seq, "message", room, "alice/laptop", msg_id, sha256(body).digest()[:16], body)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("forgery") / "data"
    log = EventLog.open(data, now=NOW)
    log.append(
        [
            order(CREATED, "room_created", "#lobby"),
            message(HELLO, "#lobby", "hello"),
            message(SECRET, "#lobby", "secret"),
            message(PRIVATE, "#war", "private"),
        ]
    )
    log.append([order(REDACTED, "redacted", "#lobby", target=SECRET)], {SECRET: REDACTED})
    log.append([message(OLD, "#war", "old")])
    expired = {PRIVATE: EXPIRED, OLD: EXPIRED}
    log.append([order(EXPIRED, "expired", "#war", upto=OLD, count=2), message(LAST, "#war", "last")], expired)
    log.close()
    return data


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The verifier in the document."""
    return write_verifier(tmp_path_factory.mktemp("script"))


def exported(data: Path, **choice: Any) -> Lines:
    return list(export(data, "lab", Choice(**choice), "2026-01-01T00:00:00Z", lambda n, of: None))


def encoded(lines: Lines) -> list[bytes]:
    return [json.dumps(line).encode() + b"\n" for line in lines]


def verified(lines: list[bytes]) -> ExportReport:
    return check_export(lines, lambda n, of: None)


def accepted_by_the_script(script: Path, lines: list[bytes], folder: Path) -> bool:
    path = folder / "export.jsonl"
    path.write_bytes(b"".join(lines))
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(script), str(path)], capture_output=True, text=True, check=False
    )
    return done.returncode == 0


def rehash(lines: Lines) -> None:
    """Recompute every hash, as the maker of a false export does."""
    header, *events = lines
    chain = bytes.fromhex(header["start"]["chain"])
    for event in events:
        if "body" in event:
            digest = None if event.get("digest") is None else bytes.fromhex(event["digest"])
            length = struct.pack(">I", 0xFFFFFFFF if digest is None else len(digest))
            stream = bytes.fromhex(event["salt"]) + length + (digest or b"") + event["body"].encode()
            event["body_hash"] = sha256(stream).hexdigest()
        chain = compute_chain_hash(
            chain,
            int(event["seq"]),
            int(event["at"]),
            event["kind"].encode(),
            None if event["room"] is None else event["room"].encode(),
            None if event["device"] is None else event["device"].encode(),
            None if event["msg_id"] is None else bytes.fromhex(event["msg_id"]),
            bytes.fromhex(event["body_hash"]),
        )
        event["chain"] = chain.hex()
    header["head"] = {"seq": header["start"]["seq"] + len(events), "chain": chain.hex()}


def set_body(lines: Lines, seq: int, /, **fields: Any) -> None:
    body = json.loads(lines[seq]["body"]) | fields
    lines[seq]["body"] = json.dumps(body)


def drop_body(lines: Lines, seq: int) -> None:
    for name in ("body", "salt", "digest"):
        del lines[seq][name]


def forget(lines: Lines, seq: int, by_seq: int) -> None:
    drop_body(lines, seq)
    lines[seq]["erased_by"] = by_seq


def choose(lines: Lines, **choice: Any) -> None:
    lines[0]["choice"] |= choice


FORGERIES: dict[str, Callable[[Lines], object]] = {
    "short salt": lambda x: x[HELLO].update(salt="00" * 15),
    "long salt": lambda x: x[HELLO].update(salt="00" * 17),
    "short digest": lambda x: x[HELLO].update(digest="00" * 15),
    "long digest": lambda x: x[HELLO].update(digest="00" * 40),
    "empty digest": lambda x: x[HELLO].update(digest=""),
    "short msg_id": lambda x: x[HELLO].update(msg_id="00" * 15),
    "another seq": lambda x: set_body(x, HELLO, seq=3),
    "seq as text": lambda x: set_body(x, HELLO, seq="2"),
    "seq as float": lambda x: set_body(x, HELLO, seq=2.0),
    "another time": lambda x: set_body(x, HELLO, at=1),
    "another kind": lambda x: set_body(x, HELLO, type="announcement"),
    "another room": lambda x: set_body(x, HELLO, room="#war"),
    "another author": lambda x: set_body(x, HELLO, user="bob"),
    "another device": lambda x: set_body(x, HELLO, device="phone"),
    "another msg_id": lambda x: set_body(x, HELLO, msg_id="f" * 32),
    "a key twice": lambda x: x[HELLO].update(body=x[HELLO]["body"][:-1] + ', "body": "bye"}'),
    "not JSON": lambda x: x[HELLO].update(body="hello"),
    "not an object": lambda x: x[HELLO].update(body="[]"),
    "text withheld unasked": lambda x: drop_body(x, HELLO),
    "state withheld unasked": lambda x: drop_body(x, CREATED),
    "redacted by nobody": lambda x: forget(x, HELLO, 999_999),
    "redacted before": lambda x: forget(x, LAST, REDACTED),
    "redacted by a message": lambda x: forget(x, HELLO, LAST),
    "redacted by another's event": lambda x: forget(x, HELLO, REDACTED),
    "expired in another room": lambda x: forget(x, HELLO, EXPIRED),
    "expired without reaching": lambda x: set_body(x, EXPIRED, upto=PRIVATE),
    "not a message": lambda x: forget(x, CREATED, REDACTED),
    "redacted and shown": lambda x: x[HELLO].update(erased_by=REDACTED),
    "unknown field": lambda x: x[HELLO].update(note=""),
    "unknown field of the header": lambda x: x[0].update(signature=""),
    "unknown field of the choice": lambda x: choose(x, rooms=[]),
    "no digest": lambda x: x[HELLO].pop("digest"),
    "no server": lambda x: x[0].pop("server"),
    "true for 1": lambda x: x[CREATED].update(seq=True),
    "time as float": lambda x: x[HELLO].update(at=float(x[HELLO]["at"])),
    "schema as true": lambda x: x[0].update(schema=True),
    "texts beside the choice": lambda x: choose(x, room="#war"),
    "begins too early": lambda x: choose(x, since=NOW + HELLO),
    "ends too late": lambda x: choose(x, until=NOW + LAST),
    "lineage of another log": lambda x: x[0]["lineage"][0].update(id="0" * 32),
    "no lineage": lambda x: x[0]["lineage"].clear(),
    "the beginning is missing": lambda x: (
        x[0].update(start={"seq": 1, "chain": x[CREATED]["chain"]}),
        x.pop(CREATED),
    ),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_with_true_hashes_is_refused(name: str, data: Path, script: Path, tmp_path: Path) -> None:
    lines = exported(data)
    FORGERIES[name](lines)
    rehash(lines)
    report = verified(encoded(lines))
    assert not report.ok
    assert report.bad_line
    assert not accepted_by_the_script(script, encoded(lines), tmp_path)


def test_the_genuine_export_is_accepted(data: Path, script: Path, tmp_path: Path) -> None:
    lines = exported(data)
    rehash(lines)
    assert lines == exported(data)
    report = verified(encoded(lines))
    assert (report.ok, report.shown, report.erased, report.withheld, report.later) == (True, 5, 3, 0, 0)
    assert accepted_by_the_script(script, encoded(lines), tmp_path)


@pytest.mark.parametrize("room", ["#lobby", "#war", "#nowhere"])
def test_an_export_of_one_room_is_accepted(room: str, data: Path, script: Path, tmp_path: Path) -> None:
    lines = encoded(exported(data, room=room))
    assert verified(lines).ok
    assert accepted_by_the_script(script, lines, tmp_path)


def test_a_redaction_after_the_end_is_counted(data: Path, script: Path, tmp_path: Path) -> None:
    lines = encoded(exported(data, since=NOW + HELLO, until=NOW + REDACTED))
    report = verified(lines)
    assert (report.ok, report.erased, report.later) == (True, 2, 2)
    assert accepted_by_the_script(script, lines, tmp_path)


def test_bytes_do_not_move_between_salt_digest_and_body(data: Path, script: Path, tmp_path: Path) -> None:
    """Two texts under one head: the same bytes, divided in two ways."""
    lines = exported(data)
    text = lines[HELLO]["body"]
    moved = 4 + 4 + 10
    lines[HELLO] |= {"salt": "00" * 8 + f"{moved:08x}" + "00" * 4, "digest": None}
    rehash(lines)
    assert verified(encoded(lines)).ok
    head = lines[0]["head"]
    digest = bytes(4) + b"\xff" * 4 + text[:10].encode()
    lines[HELLO] |= {"salt": "00" * 8, "digest": digest.hex(), "body": text[10:]}
    rehash(lines)
    assert lines[0]["head"] == head
    assert not verified(encoded(lines)).ok
    assert not accepted_by_the_script(script, encoded(lines), tmp_path)


@pytest.mark.parametrize("name", ["body_hash", "chain", "salt", "digest"])
def test_upper_case_is_refused(name: str, data: Path, script: Path, tmp_path: Path) -> None:
    lines = exported(data)
    lines[HELLO][name] = lines[HELLO][name].upper()
    assert not verified(encoded(lines)).ok
    assert not accepted_by_the_script(script, encoded(lines), tmp_path)


def test_a_field_that_occurs_twice_is_refused(data: Path, script: Path, tmp_path: Path) -> None:
    lines = encoded(exported(data))
    lines[HELLO] = lines[HELLO].replace(b'{"seq": 2,', b'{"seq": 3, "seq": 2,')
    assert not verified(lines).ok
    assert not accepted_by_the_script(script, lines, tmp_path)


def test_a_fault_is_told_without_the_file_s_own_words(data: Path) -> None:
    lines = exported(data)
    lines[HELLO]["\x1b[2J"] = 1
    assert "\x1b" not in verified(encoded(lines)).reason
