"""Reloading a running daemon: invalid certificates, and settings that need a restart."""

from __future__ import annotations

from tests.support.daemon import Daemon, wait_until
from tests.support.under_attack import log_in_admin, session_on_each_worker


def test_a_reload_with_a_bad_certificate_keeps_the_old_one(daemon: Daemon) -> None:
    certificate = daemon.home / "certs" / "envelope.pem"
    good = certificate.read_bytes()
    certificate.write_bytes(good[:200])
    daemon.chatd("reload")

    def refusals() -> int:
        return sum(record["event"] == "certificates_kept" for record in daemon.log_lines("errors.log"))

    wait_until(lambda: refusals() == 2, what="both workers to refuse the certificate")
    with log_in_admin(daemon) as alice:
        alice.say("as before")
    certificate.write_bytes(good)


def test_a_setting_that_needs_a_restart_does_not_reach_a_restarted_worker(daemon: Daemon) -> None:
    daemon.add_user("bob")
    daemon.write_settings(lambda tree: tree["security"].update(encryption_enabled=False))
    for _ in range(2):
        assert "security.encryption_enabled" in daemon.chatd("reload").stderr
    daemon.kill_child("worker-1")
    wait_until(lambda: daemon.child("worker-1").get("restarts") == 1, what="the new worker")
    # A worker without encryption would not admit these clients.
    for client in session_on_each_worker(daemon, "bob"):
        with client:
            assert client.ask("ping")["type"] == "ok"
    daemon.write_settings(lambda tree: tree["security"].update(encryption_enabled=True))
    assert "restart" not in daemon.chatd("reload").stderr
