"""Installing the identity file on the first run, without a window."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chatd.errors import ChatdError
from chatd.pki.authority import Authority
from chatd.pki.identity import Identity, read_identity, write_identity

first_run = pytest.importorskip("chatctl.window.first_run", exc_type=ImportError)


def new_identity(path: Path) -> Identity:
    now = datetime.now(UTC)
    authority = Authority.create("lab", now=now)
    issued = authority.issue_device("bob", "laptop", now=now)
    names = {"instance": "lab", "user": "bob", "device": "laptop"}
    write_identity(path, issued, authority.certificate, servers=[], **names)
    return read_identity(path)


def test_a_usable_identity_is_never_replaced(tmp_path: Path) -> None:
    bundle, folder = tmp_path / "new.pem", tmp_path / "config"
    made = new_identity(bundle)
    assert first_run.install(bundle, folder).user == made.user
    target = folder / "identity.pem"
    assert target.stat().st_mode & 0o777 == 0o600
    before = target.read_bytes()
    with pytest.raises(ChatdError, match="already"):
        first_run.install(bundle, folder)
    assert target.read_bytes() == before
    assert [path.name for path in folder.iterdir()] == ["identity.pem"]


def test_an_expired_certificate_is_refused(tmp_path: Path) -> None:
    identity = new_identity(tmp_path / "new.pem")
    first_run.check_dates(identity)
    expired = replace(identity, not_after=datetime.now(UTC) - timedelta(days=1))
    with pytest.raises(ChatdError, match="expired on"):
        first_run.check_dates(expired)
