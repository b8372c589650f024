"""Somebody who can write the whole home rolls the log back or rewrites it: only a kept head shows it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import apsw
import pytest

from chatd.store.chain import hash_entry, point_at
from chatd.store.database import DATABASE_NAME
from chatd.store.entry import Entry
from chatd.store.event_log import EventLog
from chatd.store.log_copy import write_mark
from chatd.store.mark import Mark, read_mark
from tests.support.daemon import Daemon

PASSPHRASE = "correct horse battery staple\n"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Daemon:
    """A home without a running daemon; `kept` has its CA, identity, heads, an old data/ and a backup."""
    box = Daemon(tmp_path_factory.mktemp("rollback") / "home")
    box.init()
    shutil.copytree(box.home / "data", kept(box) / "data")
    shutil.copy(box.home / "certs" / "ca.pem", kept(box))
    shutil.copy(box.identity("alice", "console"), kept(box) / "alice.pem")
    backup = ("backup", "create", str(kept(box) / "backup"), "--passphrase-file", "-")
    box.chatd(*backup, input=PASSPHRASE)
    append_head(box)
    box.chatd("user", "add", "bob")
    append_head(box)
    return box


@pytest.fixture
def box(original: Daemon, tmp_path: Path) -> Daemon:
    """A copy to attack."""
    shutil.copytree(original.home.parent, tmp_path / "box")
    return Daemon(tmp_path / "box" / "home")


def kept(box: Daemon) -> Path:
    """The folder of what somebody keeps elsewhere."""
    return box.home.parent / "kept"


def heads_file(box: Daemon) -> Path:
    return kept(box) / "heads"


def append_head(box: Daemon) -> None:
    with heads_file(box).open("a") as file:
        file.write(box.chatd("head").stdout)


def last_head(box: Daemon) -> str:
    return heads_file(box).read_text().splitlines()[-1]


def verify(box: Daemon, *options: str) -> tuple[int, str]:
    done = box.chatd("verify", *options, check=False)
    assert "this is a bug" not in done.stderr
    return done.returncode, done.stdout


def test_the_log_contains_every_kept_head(box: Daemon) -> None:
    code, shown = verify(box, "--head", str(heads_file(box)))
    assert (code, shown.splitlines()[1].strip()) == (0, "contains all heads given: 2")
    for trusted in ("ca.pem", "alice.pem"):
        assert verify(box, "--head", last_head(box), "--trust", str(kept(box) / trusted))[0] == 0
    wrapped = last_head(box).replace(" ", "\n  ")
    assert verify(box, "--head", wrapped)[0] == 0


def test_an_older_head_stays_valid_while_the_log_grows(box: Daemon) -> None:
    box.chatd("user", "add", "carol")
    report = json.loads(verify(box, "--head", str(heads_file(box)), "--json")[1])
    assert report["ok"]


def test_old_data_put_back_is_detected(box: Daemon) -> None:
    shutil.rmtree(box.home / "data")
    shutil.copytree(kept(box) / "data", box.home / "data")
    assert verify(box)[0] == 0, "the mark is as old as the log, so nothing on the box shows it"
    code, shown = verify(box, "--head", last_head(box))
    assert (code, "missing" in shown) == (1, True)
    box.chatd("user", "add", "carol")
    code, shown = verify(box, "--head", last_head(box))
    assert code == 1
    assert "not the entry that" in shown


def test_a_rewritten_log_is_detected(box: Daemon) -> None:
    rewrite_entry(box.home / "data", 2)
    assert verify(box)[0] == 0, "every hash and the mark were computed anew"
    code, shown = verify(box, "--head", str(heads_file(box)))
    assert code == 1
    assert "not the entry that" in shown


def rewrite_entry(data: Path, seq: int) -> None:
    """Change the text of an entry, then compute all later hashes and the mark anew."""
    EventLog.open(data, now=0).close()
    connection = apsw.Connection(str(data / DATABASE_NAME))
    columns = "seq, at, kind, room, device, msg_id, digest, body, salt"
    rows = connection.execute(f"SELECT {columns} FROM events WHERE seq >= ? ORDER BY seq", (seq,)).fetchall()  # noqa: S608
    point = point_at(connection, seq - 1)
    for row in rows:
        fields: Any = row
        *columns_of_entry, body, salt = fields
        changed = body.replace(b'"at":', b'"at": ', 1) if point.seq == seq - 1 else body
        entry = Entry._make([*columns_of_entry, changed])
        body_hash, chain_hash = hash_entry(point.chain_hash, entry, salt)
        values = (changed, body_hash, chain_hash, entry.seq)
        connection.execute("UPDATE events SET body = ?, body_hash = ?, chain = ? WHERE seq = ?", values)
        point = point._replace(seq=entry.seq, chain_hash=chain_hash)
    connection.execute("DELETE FROM snapshot")
    connection.close()
    mark = read_mark(data)
    assert mark is not None
    (data / "mark").unlink()
    write_mark(data, Mark(mark.epoch, point))


def test_a_restored_older_backup_is_detected(box: Daemon, tmp_path: Path) -> None:
    new = Daemon(tmp_path / "new")
    new.home.mkdir()
    new.chatd("restore", str(kept(box) / "backup"), "--passphrase-file", "-", input=PASSPHRASE)
    first, last = heads_file(box).read_text().splitlines()
    assert verify(new, "--head", first)[0] == 0
    code, shown = verify(new, "--head", last)
    assert (code, "a backup that ended at" in shown) == (1, True)
    assert json.loads(verify(new, "--head", last, "--json")[1])["ok"] is False


def test_a_forged_head_is_refused(box: Daemon) -> None:
    forged = re.sub(r" [0-9a-f]{64} ", f" {'0' * 64} ", last_head(box), count=1)
    code, shown = verify(box, "--head", forged)
    assert (code, "signature" in shown) == (1, True)


def test_a_head_of_another_server_is_refused(box: Daemon, tmp_path: Path) -> None:
    other = Daemon(tmp_path / "other")
    other.init()
    code, shown = verify(other, "--head", last_head(box))
    assert (code, "not known here" in shown) == (1, True)
    code, shown = verify(other, "--head", last_head(box), "--trust", str(kept(box) / "alice.pem"))
    assert (code, "another log" in shown) == (1, True)


def test_a_head_of_the_log_signed_with_an_exchanged_key_is_refused(box: Daemon, tmp_path: Path) -> None:
    """The attacker makes a new CA and record key, and signs the rolled back log."""
    other = Daemon(tmp_path / "other")
    other.init()
    for name in ("ca.pem", "ca.key", "record.pem", "record.key"):
        shutil.copyfile(other.home / "certs" / name, box.home / "certs" / name)
    code, shown = verify(box, "--head", last_head(box))
    assert (code, "not known here" in shown) == (1, True)
    forged = box.chatd("head").stdout
    assert verify(box, "--head", forged)[0] == 0, "on a box that is lost, only what is kept elsewhere counts"
    assert verify(box, "--head", forged, "--trust", str(kept(box) / "ca.pem"))[0] == 1


def test_a_head_signed_before_the_key_was_replaced_stays_valid(box: Daemon) -> None:
    box.chatd("cert", "renew", "--record-key")
    append_head(box)
    heads = heads_file(box).read_text().split()
    assert heads[7] != heads[-2], "the ids of two keys"
    assert verify(box, "--head", str(heads_file(box)), "--trust", str(kept(box) / "ca.pem"))[0] == 0


def test_an_export_must_contain_the_kept_heads(box: Daemon) -> None:
    full, rolled_back = box.home.parent / "full", box.home.parent / "rolled-back"
    options = ("--trust", str(kept(box) / "ca.pem"), "--head", str(heads_file(box)))
    box.chatd("export", "-o", str(full))
    assert verify(box, "--export", str(full), *options)[0] == 0
    shutil.rmtree(box.home / "data")
    shutil.copytree(kept(box) / "data", box.home / "data")
    box.chatd("export", "-o", str(rolled_back))
    assert verify(box, "--export", str(rolled_back), *options[:2])[0] == 0
    code, shown = verify(box, "--export", str(rolled_back), *options)
    assert (code, "which a kept head names" in shown) == (1, True)
    box.chatd("user", "add", "carol")
    box.chatd("export", "-o", str(box.home.parent / "continued"))
    code, shown = verify(box, "--export", str(box.home.parent / "continued"), *options)
    assert (code, "is not the one that a kept head names" in shown) == (1, True)


@pytest.mark.parametrize("text", ["", "chatd-head/1", "chatd-head/1 lab", "chatd-head/2 lab 1"])
def test_what_is_not_a_head_is_a_usage_error(box: Daemon, text: str) -> None:
    heads_file(box).write_text(text)
    done = box.chatd("verify", "--head", str(heads_file(box)), check=False)
    assert (done.returncode, "head" in done.stderr) == (2, True)


def test_a_damaged_log_is_not_signed(box: Daemon) -> None:
    connection = apsw.Connection(str(box.home / "data" / DATABASE_NAME))
    connection.execute("UPDATE events SET at = at + 1 WHERE seq = 2")
    connection.close()
    done = box.chatd("head", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "E610" in done.stderr
