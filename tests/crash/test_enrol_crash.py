"""Each process of an enrolment is killed at each of its points: a retry succeeds, and there is one device.

The same holds for a renewal, with one new certificate.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from chatctl.client import Identity
from chatctl.client._new_certificate import renew
from chatd.crashpoints import POINTS
from chatd.errors import ChatdError
from chatd.pki.identity import read_identity
from tests.support.daemon import running
from tests.support.joining import devices_of, invite, join

ENROL_POINTS = [name for name in POINTS if name.startswith("enrol.")]
ATTEMPTS = 20


@pytest.mark.parametrize("point", ENROL_POINTS)
def test_a_retry_after_a_crash_succeeds_with_one_device(tmp_path: Path, point: str) -> None:
    fired = tmp_path / "fired"
    fired.mkdir()
    crash = {"CHATD_CRASH_AT": point, "CHATD_CRASH_ONCE": str(fired)}
    with running(tmp_path / "home", **crash) as daemon:
        code, path = invite(daemon, "carol"), tmp_path / "client" / "carol.pem"
        for _ in range(ATTEMPTS):
            done = join(daemon, code, path)
            if done.returncode == 0:
                break
            assert done.returncode in (1, 5), done.stderr
            assert "try again" in done.stderr or "again" in done.stderr
            assert not path.exists()
            assert len(devices_of(daemon, "carol")) <= 1
        assert done.returncode == 0, done.stderr
        assert (fired / point).exists(), "the point was passed"
        assert devices_of(daemon, "carol") == ["laptop"]
        assert [one.name for one in path.parent.iterdir()] == ["carol.pem"]
        assert read_identity(path).user == "carol"
        daemon.run("chat", "--identity", str(path), "send", "#lobby", "here I am")


def renew_at_last(identity: Identity) -> Identity:
    """Renew as often as it takes; after each failure the file is as it was."""
    for _ in range(ATTEMPTS):
        try:
            return renew(identity, identity.servers[0], datetime.now(UTC))
        except ChatdError as error:
            assert error.code in ("E502", "E503", "E607"), error
            assert read_identity(identity.path) == identity
    raise AssertionError("no renewal succeeded")


@pytest.mark.parametrize("point", ["enrol.issued", "enrol.redeemed", "enrol.queued"])
def test_a_renewal_after_a_crash_leaves_one_new_certificate(tmp_path: Path, point: str) -> None:
    fired = tmp_path / "fired"
    fired.mkdir()
    crash = {"CHATD_CRASH_AT": point, "CHATD_CRASH_ONCE": str(fired)}
    with running(tmp_path / "home", **crash) as daemon:
        before = read_identity(daemon.add_user("bob"))
        former = tmp_path / "former.pem"
        former.write_bytes(before.path.read_bytes())
        former.chmod(0o600)
        renewed = renew_at_last(before)
        assert (fired / point).exists(), "the point was passed"
        lines = [one for one in daemon.log_lines("audit.log") if one["event"] == "device_renewed"]
        assert len(lines) == 1
        serial = x509.load_der_x509_certificate(renewed.certificate_der).serial_number
        assert lines[0]["serial"] == f"{serial:x}"
        # Whoever still has the former one goes on.
        for path in (former, before.path):
            daemon.run("chat", "--identity", str(path), "send", "#lobby", "here I am")
