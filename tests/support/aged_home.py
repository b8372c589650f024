"""A home that is a year old, with devices whose certificates were issued at any time since."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from chatd.cli.operator import operate
from chatd.config.loading import load_settings
from chatd.pki.authority import Authority
from chatd.pki.identity import write_identity
from chatd.pki.record_key import ensure_record_key
from tests.support.certificates import make_home
from tests.support.daemon import Daemon

AGE = timedelta(days=400)


def make_aged(daemon: Daemon) -> Authority:
    """Initialise a home whose CA is `AGE` old; no daemon runs yet, and there is no user."""
    daemon.init()
    certs = daemon.home / "certs"
    for path in (*certs.glob("*.pem"), *certs.glob("*.key"), *(certs / "identities").iterdir()):
        path.unlink()
    authority = make_home(certs, now=datetime.now(UTC) - AGE)
    ensure_record_key(certs, authority, now=datetime.now(UTC) - AGE)
    return authority


class AgedHome(NamedTuple):
    """A running daemon in an aged home, and the CA of that."""

    daemon: Daemon
    authority: Authority


@contextmanager
def running_aged(home: Path) -> Iterator[AgedHome]:
    """Run a daemon in a new aged home while the context is open."""
    daemon = Daemon(home)
    authority = make_aged(daemon)
    try:
        daemon.start()
        yield AgedHome(daemon, authority)
    finally:
        daemon.stop()


def add_device(daemon: Daemon, authority: Authority, user: str, *, age: timedelta, days: int = 30) -> Path:
    """Register a user's laptop with a certificate of this age; return the path of its identity."""
    path = daemon.identity(user)
    issued = authority.issue_device(user, "laptop", now=datetime.now(UTC) - age, days=days)
    write_identity(
        path,
        issued,
        authority.certificate,
        instance="lab",
        user=user,
        device="laptop",
        servers=[f"127.0.0.1:{daemon.port}"],
    )
    operate(
        daemon.home,
        load_settings(daemon.home, os.environ),
        "user_add",
        user=user,
        device="laptop",
        serial=f"{issued.certificate.serial_number:x}",
        role="user",
        ends=round(issued.certificate.not_valid_after_utc.timestamp() * 1000),
    )
    return path
