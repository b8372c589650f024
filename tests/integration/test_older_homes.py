"""Homes, backups and exports that were made by a chatd without record keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chatctl.client import read_identity
from chatd.cli.operator import operate
from chatd.config.loading import load_settings
from chatd.pki.authority import Authority
from chatd.pki.identity import write_identity
from tests.support.daemon import Daemon

PASSPHRASE = "correct horse battery staple\n"
NO_KEY = "there is no record key"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Daemon]:
    """A home without a record key; its daemon is not running. The admin's identity does not name one."""
    box = Daemon(tmp_path / "home")
    box.init()
    remove_key(box)
    admin = box.identity("alice", "console")
    servers = read_identity(admin).servers
    authority = Authority.load(box.home / "certs")
    issued = authority.issue_device("alice", "old", now=datetime.now(UTC))
    register(box, f"{issued.certificate.serial_number:x}")
    admin.unlink()
    write_identity(
        admin, issued, authority.certificate, instance="lab", user="alice", device="old", servers=servers
    )
    yield box
    box.stop()


def register(box: Daemon, serial: str) -> None:
    """Register alice's old device."""
    settings = load_settings(box.home, {})
    operate(box.home, settings, "user_add", user="alice", device="old", serial=serial, role=None)


def remove_key(box: Daemon) -> None:
    for name in ("record.key", "record.pem"):
        (box.home / "certs" / name).unlink()


def fingerprint(box: Daemon) -> str:
    """The record key's fingerprint in `chatd cert show`."""
    text: str = json.loads(box.chatd("cert", "show", "--json").stdout)["record_key"]["fingerprint"]
    return text


def test_a_start_creates_the_key_and_tells(box: Daemon) -> None:
    box.start()
    key = fingerprint(box)
    for name in ("audit.log", "server.log"):
        (created,) = [line for line in box.log_lines(name) if line["event"] == "record_key_created"]
        assert created["fingerprint"] == key
    box.chatd("restart")
    assert fingerprint(box) == key
    assert len([line for line in box.log_lines("audit.log") if line["event"] == "record_key_created"]) == 1
    head = box.chatd("head").stdout
    assert box.chatd("verify", "--head", head).returncode == 0


def test_old_and_new_identities_log_in_and_show_the_key(box: Daemon) -> None:
    box.start()
    shown = json.loads(box.chatctl("whoami", "--json").stdout)
    assert (shown["device"], shown["record_key"]) == ("old", "")
    assert "older than the record key" in box.chatctl("whoami").stdout
    bob = box.add_user("bob")
    shown = box.run("chat", "whoami", "--identity", str(bob)).stdout
    assert f"record    {fingerprint(box)}" in shown


def test_without_the_ca_key_the_server_starts_and_check_says_what_to_do(box: Daemon) -> None:
    ca_key = box.home / "certs" / "ca.key"
    away = ca_key.rename(box.home.parent / "ca.key")
    box.start()
    assert [line["code"] for line in box.log_lines() if line["event"] == "no_record_key"] == ["E620"]
    shown = box.chatd("check", check=False)
    assert (shown.returncode, "W116" in shown.stdout) == (7, True)
    away.rename(ca_key)
    box.chatd("restart")  # as the fix says
    assert "W116" not in box.chatd("check").stdout


def test_adding_a_user_creates_the_key(box: Daemon) -> None:
    bob = box.add_user("bob")
    assert read_identity(bob).record_key == fingerprint(box)


def test_without_a_key_heads_are_refused_and_exports_say_that_they_are_not_signed(box: Daemon) -> None:
    done = box.chatd("head", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert NO_KEY in done.stderr
    assert "none" in box.chatd("cert", "show").stdout
    file = box.home.parent / "export"
    assert f"not signed: {NO_KEY}" in box.chatd("export", "-o", str(file)).stderr
    assert json.loads(file.read_text().splitlines()[0])["schema"] == 1
    shown = box.chatd("verify", "--export", str(file))
    assert "it is not signed, so nothing shows who made it" in shown.stdout
    refused = box.chatd(
        "verify", "--export", str(file), "--trust", str(box.home / "certs/ca.pem"), check=False
    )
    assert (refused.returncode, refused.stdout[:20]) == (1, "fail  it is not sign")


def test_a_backup_without_the_key_is_restored_with_a_new_one(box: Daemon, tmp_path: Path) -> None:
    file = str(tmp_path / "backup")
    made = box.chatd("backup", "create", file, "--passphrase-file", "-", input=PASSPHRASE)
    shown = box.chatd("backup", "show", file, "--passphrase-file", "-", input=PASSPHRASE)
    for text in (made.stdout, shown.stdout):
        assert "record key      none: not signed" in text
    new = Daemon(tmp_path / "new")
    new.home.mkdir()
    done = new.chatd("restore", file, "--passphrase-file", "-", input=PASSPHRASE)
    assert "record key      none: not signed" in done.stdout
    assert f"created a record key, which the backup did not contain: {fingerprint(new)}" in done.stderr
    assert (new.home / "certs" / "record.key").stat().st_mode & 0o777 == 0o600
    new.chatd("verify", "--head", new.chatd("head").stdout)


def test_a_backup_with_the_key_keeps_it(box: Daemon, tmp_path: Path) -> None:
    box.add_user("bob")
    box.chatd("cert", "renew", "--record-key")
    file = str(tmp_path / "backup")
    box.chatd("backup", "create", file, "--passphrase-file", "-", input=PASSPHRASE)
    new = Daemon(tmp_path / "new")
    new.home.mkdir()
    report = json.loads(
        new.chatd("restore", file, "--json", "--passphrase-file", "-", input=PASSPHRASE).stdout
    )
    assert report["signed_by"] == report["record_key"] == fingerprint(box) == fingerprint(new)
    assert report["record_key_created"] is False
    assert len(list((new.home / "certs").glob("record-*.pem"))) == 1


def test_a_key_that_does_not_fit_is_reported_and_can_be_replaced(box: Daemon, tmp_path: Path) -> None:
    other = Daemon(tmp_path / "other")
    other.init()
    box.add_user("bob")
    (box.home / "certs" / "record.key").write_bytes((other.home / "certs" / "record.key").read_bytes())
    shown = box.chatd("check", check=False)
    assert (shown.returncode, "do not belong together" in shown.stdout) == (1, True)
    assert box.chatd("export", "-o", str(tmp_path / "x"), check=False).returncode == 1
    assert not (tmp_path / "x").exists()
    box.chatd("cert", "renew", "--record-key")  # as the fix says
    assert box.chatd("check").returncode == 0
