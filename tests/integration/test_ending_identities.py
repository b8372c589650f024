"""Identities that have expired or end soon: chatd check, the default choice, and a warning on stderr."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chatctl.client import load_identity
from chatctl.client._new_certificate import renew
from chatctl.model.expiring import expiry_warning
from chatd.errors import ChatdError
from chatd.pki.authority import Authority
from chatd.pki.identity import read_identity, write_identity
from tests.support.certificates import make_home
from tests.support.daemon import Daemon, running

NOW = datetime.now(UTC)


def issue(authority: Authority, folder: Path, user: str, days: int, age: int = 0) -> Path:
    """Write an identity that ends in ``days``; ``age``: the file's, in s."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{user}-laptop.pem"
    then = NOW - timedelta(days=400)
    issued = authority.issue_device(user, "laptop", now=then, days=400 + days)
    write_identity(
        path,
        issued,
        authority.certificate,
        instance="lab",
        user=user,
        device="laptop",
        servers=["127.0.0.1:1"],
    )
    os.utime(path, (NOW.timestamp() - age, NOW.timestamp() - age))
    return path


def test_a_valid_identity_is_chosen_beside_an_expired_one(tmp_path: Path) -> None:
    authority = make_home(tmp_path, now=NOW - timedelta(days=500))
    folder = tmp_path / "certs" / "identities"
    expired = issue(authority, folder, "old", -2, age=99)
    assert load_identity(None, str(tmp_path)).path == expired  # its error says what to do
    valid = issue(authority, folder, "valid", 200, age=50)
    issue(authority, folder, "young", 200)
    assert load_identity(None, str(tmp_path)).path == valid


def test_check_names_identities_that_end_or_have_ended(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "home")
    daemon.init()
    certs = daemon.home / "certs"
    for name in ("ca.pem", "ca.key", "record.pem", "record.key"):
        (certs / name).unlink()
    authority = make_home(certs, now=NOW - timedelta(days=500))
    folder = daemon.home / "certs" / "identities"
    for user, days in (("gone", -3), ("soon", 5), ("later", 90)):
        issue(authority, folder, user, days)
    shown = " ".join(daemon.chatd("check", check=False).stdout.split())
    assert "the identity gone-laptop.pem has expired W112" in shown
    assert "the identity soon-laptop.pem expires in 4 days W112" in shown
    assert "later-laptop" not in shown and "alice-console" not in shown


@pytest.mark.parametrize(
    ("life", "days", "words"),
    [
        (365, 13.5, "in 13 days"),
        (365, 1.5, "tomorrow"),
        (365, 0.5, "today"),
        (365, 14.5, ""),
        (365, -0.5, "today"),
        (30, 7.4, "in 7 days"),
        (30, 7.6, ""),
    ],
)
def test_the_warning_tells_the_days(tmp_path: Path, life: float, days: float, words: str) -> None:
    authority = make_home(tmp_path, now=NOW - timedelta(days=500))
    identity = read_identity(issue(authority, tmp_path, "bob", 300))
    ends = NOW + timedelta(days=days)
    warning = expiry_warning(replace(identity, not_before=ends - timedelta(days=life), not_after=ends), NOW)
    assert words in warning
    assert bool(warning) == bool(words)


def test_an_identity_that_cannot_be_replaced_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = make_home(tmp_path, now=NOW - timedelta(days=500))
    identity = read_identity(issue(authority, tmp_path, "bob", 300))
    ending = replace(identity, not_before=NOW - timedelta(days=29), not_after=NOW + timedelta(days=1.5))
    assert "cannot be written" not in expiry_warning(ending, NOW)
    # Root may write everywhere but on a read-only file system.
    monkeypatch.setattr("chatd.pki.identity.os.access", lambda *_: False)
    warning = expiry_warning(ending, NOW)
    assert f"{tmp_path} cannot be written" in warning
    assert f"cp {identity.path} ~/{identity.path.name}" in warning
    # Nobody asks the server for a certificate that could not be kept: there is no server here.
    with pytest.raises(ChatdError, match="E606"):
        renew(ending, "127.0.0.1:1", NOW)


def test_a_command_warns_on_stderr(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        bob = daemon.add_user("bob")
        send = ("chat", "--identity", str(bob), "send", "lobby", "hello")
        assert daemon.run(*send).stderr == ""
        daemon.environ["PYTHONPATH"] = str(_patched(tmp_path))
        done = daemon.run(*send)
        assert (done.stdout, done.returncode) == ("", 0)
        assert "warning: your identity ends in " in done.stderr


def _patched(folder: Path) -> Path:
    """Make programs tell people of the end a year before it."""
    (folder / "sitecustomize.py").write_text(
        "import chatd.pki.lifetimes as lifetimes\nlifetimes._WARN_AT = 0.0\n"
        "lifetimes._LONGEST_WARNING = 27 * lifetimes._LONGEST_WARNING\n"
    )
    return folder
