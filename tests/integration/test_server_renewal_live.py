"""A running server renews its own certificates: sessions go on, and new ones get the new certificates."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from chatd.pki.authority import save_issued
from tests.support.aged_home import AgedHome, running_aged
from tests.support.daemon import wait_until
from tests.support.rawclient import unverified_context
from tests.support.under_attack import log_in

OLD = timedelta(days=80)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgedHome]:
    with running_aged(tmp_path_factory.mktemp("server_renewal") / "home") as home:
        home.daemon.add_user("bob")
        yield home


def make_due(home: AgedHome) -> None:
    """Replace the server's certificates by old ones, as if 80 of 90 days had passed."""
    certs, then = home.daemon.home / "certs", datetime.now(UTC) - OLD
    save_issued(certs, "envelope", home.authority.issue_envelope(2048, now=then))
    save_issued(certs, "server", home.authority.issue_server(["127.0.0.1"], now=then))


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def is_new(certificate: x509.Certificate) -> bool:
    return abs(certificate.not_valid_after_utc - datetime.now(UTC) - timedelta(days=90)) < timedelta(hours=1)


def test_certificates_are_renewed_while_sessions_go_on(home: AgedHome) -> None:
    daemon, certs = home.daemon, home.daemon.home / "certs"
    pids = daemon.pids()
    before = [log_in(daemon, "bob") for _ in range(4)]
    make_due(home)
    keys = {name: certificate(certs / f"{name}.pem").public_key() for name in ("server", "envelope")}
    daemon.chatd("reload")
    for name, key in keys.items():
        wait_until(lambda: is_new(certificate(certs / f"{name}.pem")), what=name)  # noqa: B023 - called at once
        assert certificate(certs / f"{name}.pem").public_key() == key
        assert (certs / f"{name}.pem").stat().st_mode & 0o777 == 0o644

    def shown() -> bool:
        """Whether a new connection sees the new certificate; both workers accept."""
        context = unverified_context(daemon.identity("bob"))
        with context.wrap_socket(socket.create_connection(("127.0.0.1", daemon.port), 30)) as sock:
            der = sock.getpeercert(binary_form=True)
        return is_new(x509.load_der_x509_certificate(der or b""))

    wait_until(lambda: all(shown() for _ in range(10)), what="the new certificate on new connections")
    for client in before:
        with client:
            assert client.ask("ping")["type"] == "ok"
    assert daemon.pids() == pids
    (line,) = [one for one in daemon.log_lines("audit.log") if one["event"] == "certificates_renewed"]
    assert line["by"] == "server"
    assert line["ends"] == certificate(certs / "server.pem").not_valid_after_utc.strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    )
    assert daemon.log_lines("errors.log") == []


def test_without_the_key_of_the_authority_the_server_goes_on_and_says_so(home: AgedHome) -> None:
    daemon, certs = home.daemon, home.daemon.home / "certs"
    key = certs / "ca.key"
    make_due(home)
    key.rename(certs / "ca.key.away")
    old = (certs / "server.pem").read_bytes()
    daemon.chatd("reload")

    def told() -> list[str]:
        lines = daemon.log_lines("errors.log")
        return [line["fix"] for line in lines if line["event"] == "certificates_not_renewed"]

    (fix,) = wait_until(told, what="the reason in errors.log")
    assert (certs / "server.pem").read_bytes() == old
    with log_in(daemon, "bob") as client:
        assert client.ask("ping")["type"] == "ok"
    assert "chatd ca import" in fix
    (certs / "ca.key.away").rename(key)
    daemon.chatd("reload")
    wait_until(lambda: is_new(certificate(certs / "server.pem")), what="the renewal")
