"""The content of a backup: copying a log during writes, refusing bad content, reading it back."""

from __future__ import annotations

import io
import json
import shutil
import stat
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import apsw
import pytest

from chatd.errors import ChatdError
from chatd.store import log_copy
from chatd.store.archive import LOG_NAME, MAX_MANIFEST_BYTES, MAX_MEMBERS, Archive, Facts, write_backup
from chatd.store.database import DATABASE_NAME
from chatd.store.event_log import EventLog
from chatd.store.log_copy import COPY_NAME, check_log, copied_log
from chatd.store.sealed_file import FileSealer
from tests.support.storelog import NOW, assert_holds, entries, filled, order

PASSPHRASE = b"correct horse battery"
COST = 10
FACTS = Facts(version="0.1.0", server="lab", made="2026-11-23T00:00:00Z", ca="SHA256:00")
FILES = {
    "config/settings.json": b"{}",
    "certs/ca.key": b"key",
    "certs/ca.pem": b"certificate" * 100,
    "certs/identities/bob-laptop.pem": b"",
}


def quiet(what: str, done: int, total: int) -> None:
    """A progress callback that does nothing."""


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    opened = filled(tmp_path / "data", 300)
    yield opened
    opened.close()


@pytest.fixture
def data(tmp_path: Path, log: EventLog) -> Path:
    return tmp_path / "data"


def make_backup(data: Path, files: dict[str, bytes] = FILES) -> bytes:
    """Return the bytes of a complete backup."""
    file = io.BytesIO()
    with copied_log(data, quiet) as copy:
        write_backup(file, PASSPHRASE, FACTS, files, copy, quiet, cost=COST)
    return file.getvalue()


def archive(sealed: bytes) -> Archive:
    return Archive(io.BytesIO(sealed), len(sealed), PASSPHRASE)


def test_a_restored_backup_has_the_same_files_log_and_snapshot(
    tmp_path: Path, data: Path, log: EventLog
) -> None:
    log.save_snapshot(200, b"state")
    backup, home = archive(make_backup(data)), tmp_path / "home"
    assert (backup.manifest.head, backup.manifest.chain) == (300, log.chain_hash.hex())
    backup.read(home, quiet)
    for name, content in FILES.items():
        assert (home / name).read_bytes() == content
    modes = {m.name: stat.S_IMODE((home / m.name).stat().st_mode) for m in backup.manifest.members}
    assert modes == {
        "config/settings.json": 0o640,
        "certs/ca.key": 0o600,
        "certs/ca.pem": 0o644,
        "certs/identities/bob-laptop.pem": 0o600,
        LOG_NAME: 0o600,
    }
    with pytest.raises(ChatdError, match="the mark is missing"):
        check_log(home / "data", quiet)
    backup.write_mark(home / "data")
    check_log(home / "data", quiet)
    assert assert_holds(home / "data", 300) == 300
    reopened = EventLog.open(home / "data", now=NOW)
    assert reopened.load_snapshot() is None, "the mark of a restored log proves no snapshot"
    assert reopened.epoch > log.epoch
    reopened.append(entries(301, 5))
    reopened.close()


def test_redacted_bodies_are_not_in_a_backup(tmp_path: Path, data: Path, log: EventLog) -> None:
    log.append([order(301, "redacted", "@alice @bob", target=6)], {6: 301})
    backup = archive(make_backup(data))
    backup.read(tmp_path / "home", quiet)
    backup.write_mark(tmp_path / "home" / "data")
    check_log(tmp_path / "home" / "data", quiet)
    assert b"client-6 " not in (tmp_path / "home" / LOG_NAME).read_bytes()


def test_a_backup_during_writes_is_consistent(data: Path, log: EventLog) -> None:
    """Each copy ends between two batches, and the writer is not interrupted."""
    stop_writing = threading.Event()

    def write() -> None:
        while not stop_writing.is_set():
            log.append(entries(log.head + 1, 3))

    thread = threading.Thread(target=write)
    thread.start()
    heads = []
    try:
        for _ in range(3):
            backup = archive(make_backup(data))
            backup.read(None, quiet)
            heads.append(backup.manifest.head)
    finally:
        stop_writing.set()
        thread.join()
    assert heads == sorted(heads)
    assert 300 <= heads[0] <= heads[-1] <= log.head
    assert all(head % 3 == 0 for head in heads)


def test_the_copy_is_private_and_temporary(data: Path) -> None:
    copy = data / COPY_NAME
    copy.mkdir()
    (copy / DATABASE_NAME).write_bytes(b"of a backup that was killed")
    seen: set[tuple[int, int]] = set()

    def record_modes(what: str, done: int, total: int) -> None:
        modes = stat.S_IMODE(copy.stat().st_mode), stat.S_IMODE((copy / DATABASE_NAME).stat().st_mode)
        seen.add(modes)

    before = set(data.iterdir()) - {copy}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_copy, "_STEPS_BETWEEN_CALLS", 100)
        with copied_log(data, record_modes):
            assert set(data.iterdir()) == before
    assert seen == {(0o700, 0o600)}


def test_a_second_backup_at_the_same_time_is_refused(data: Path) -> None:
    with copied_log(data, quiet), pytest.raises(ChatdError, match="another backup"), copied_log(data, quiet):
        pass
    make_backup(data)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_copy_leaves_no_file(data: Path, error: type[BaseException]) -> None:
    def interrupt(what: str, done: int, total: int) -> None:
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_copy, "_STEPS_BETWEEN_CALLS", 100)
        with pytest.raises(error), copied_log(data, interrupt):
            pass
    assert not (data / COPY_NAME).exists()
    make_backup(data)


def test_a_damaged_log_is_not_backed_up(data: Path, log: EventLog) -> None:
    log.close()
    connection = apsw.Connection(str(data / DATABASE_NAME))
    connection.execute("UPDATE events SET body = zeroblob(9) WHERE seq = 42")
    connection.close()
    with pytest.raises(ChatdError, match="entry 42"):
        make_backup(data)
    assert not (data / COPY_NAME).exists()


def test_a_log_that_lost_its_end_is_not_backed_up(tmp_path: Path, data: Path, log: EventLog) -> None:
    log.close()
    shutil.copy(data / DATABASE_NAME, tmp_path / "old")
    filled(data, 400).close()
    shutil.copy(tmp_path / "old", data / DATABASE_NAME)
    for name in (f"{DATABASE_NAME}-wal", f"{DATABASE_NAME}-shm"):
        (data / name).unlink(missing_ok=True)
    with pytest.raises(ChatdError, match="E610"):
        make_backup(data)


def test_a_missing_log_is_not_backed_up(tmp_path: Path) -> None:
    with pytest.raises(ChatdError, match="E504"):
        make_backup(tmp_path / "nothing")
    (tmp_path / "data").mkdir()
    with pytest.raises(ChatdError, match="E610"):
        make_backup(tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_a_copy_without_enough_space_is_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_copy, "SPARE_BYTES", shutil.disk_usage(data).total)
    with pytest.raises(ChatdError, match="MB more free space") as caught:
        make_backup(data)
    assert caught.value.code == "E613"
    assert not (data / COPY_NAME).exists()


# --- correctly sealed files with invalid content


def manifest(**changes: Any) -> dict[str, Any]:
    """A manifest with an empty settings file and an empty log."""
    empty = {"size": 0, "sha256": sha256(b"").hexdigest()}
    members = [{"name": name, **empty} for name in ("config/settings.json", LOG_NAME)]
    fixed = {"format": 1, "log_schema": 1, "epoch": 1, "head": 0, "chain": "00" * 32, "members": members}
    return {**FACTS._asdict(), **fixed, **changes}


def sealed(manifest_json: object, content: bytes = b"", length: int | None = None) -> Archive:
    text = manifest_json if isinstance(manifest_json, bytes) else json.dumps(manifest_json).encode()
    file = io.BytesIO()
    sealer = FileSealer(file, PASSPHRASE, cost=COST)
    sealer.write((len(text) if length is None else length).to_bytes(4) + text + content)
    sealer.finish()
    return archive(file.getvalue())


def member(name: str, size: int = 0) -> dict[str, Any]:
    return {"name": name, "size": size, "sha256": sha256(b"").hexdigest()}


def test_the_empty_manifest_is_accepted() -> None:
    sealed(manifest()).read(None, quiet)


@pytest.mark.parametrize(
    "name",
    [
        "../events.db",
        "/etc/passwd",
        "certs/../ca.pem",
        "certs/identities/../../x.pem",
        "certs/.hidden",
        "certs/a/b.pem",
        "certs/",
        "certs/ca.pem\n",
        "certs/ca.pem\0",
        "data/mark",
        "config/other.json",
        "run/control.sock",
        "certs/" + "a" * 200,
        LOG_NAME,
        "",
    ],
)
def test_a_manifest_with_an_invalid_file_name_is_refused(name: str) -> None:
    with pytest.raises(ChatdError, match="manifest"):
        sealed(manifest(members=[*manifest()["members"], member(name)]))


@pytest.mark.parametrize(
    "change",
    [
        {"format": 3},
        {"more": 1},
        {"members": []},
        {"members": [member(LOG_NAME)]},
        {"head": -1},
        {"head": 2**63},
        {"head": "7"},
        {"chain": "00"},
        {"server": "x" * 65},
        {"members": [*manifest()["members"], {**member("certs/a.pem"), "size": -1}]},
        {"members": [*manifest()["members"], {**member("certs/a.pem"), "size": 2**63}]},
        {"members": [*manifest()["members"], {**member("certs/a.pem"), "sha256": "z" * 64}]},
        {"members": [*manifest()["members"], *(member(f"certs/{n}") for n in range(MAX_MEMBERS - 1))]},
    ],
    ids=lambda change: str(change)[:60],
)
def test_an_invalid_manifest_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ChatdError, match="manifest") as caught:
        sealed(manifest(**change))
    assert caught.value.code == "E613"


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_text_that_is_not_a_manifest_is_refused(text: bytes) -> None:
    with pytest.raises(ChatdError, match="manifest"):
        sealed(text)


@pytest.mark.parametrize("length", [MAX_MANIFEST_BYTES + 1, 2**31 - 1, 2**32 - 1])
def test_the_length_of_the_manifest_is_limited(length: int) -> None:
    with pytest.raises(ChatdError, match="longer than allowed"):
        sealed(manifest(), length=length)


def test_sizes_that_do_not_match_the_file_are_refused() -> None:
    more = [*manifest()["members"], member("certs/a.pem", 2**50)]
    for manifest_json, content in ((manifest(), b"x"), (manifest(members=more), b"")):
        with pytest.raises(ChatdError, match="shorter or longer"):
            sealed(manifest_json, content)
    with pytest.raises(ChatdError, match="end is missing"):
        sealed(manifest(), length=MAX_MANIFEST_BYTES)


def test_a_file_with_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    backup = sealed(manifest(members=[*manifest()["members"], member("certs/a.pem", 3)]), b"abc")
    with pytest.raises(ChatdError, match=r"certs/a\.pem in the backup does not match"):
        backup.read(tmp_path / "home", quiet)


def test_existing_files_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / LOG_NAME).symlink_to("/dev/null")
    with pytest.raises(FileExistsError):
        sealed(manifest()).read(tmp_path, quiet)
