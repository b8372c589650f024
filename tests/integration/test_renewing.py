"""Certificates renew themselves against a real server: when due, when expired, and never around a refusal."""

from __future__ import annotations

import json
import shlex
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from chatctl.client import Client, state_folder
from chatctl.client._new_certificate import renew
from chatd.errors import ChatdError
from chatd.pki.authority import Authority
from chatd.pki.identity import Identity, read_identity, write_identity
from chatd.pki.issued import Issued
from tests.support.aged_home import AgedHome, add_device, running_aged
from tests.support.certificates import NOW, make_identity
from tests.support.daemon import BIN, wait_until
from tests.support.joining import RawJoiner

DUE, EXPIRED, FORGOTTEN = timedelta(days=23), timedelta(days=35), timedelta(days=60)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgedHome]:
    with running_aged(tmp_path_factory.mktemp("renewing") / "home") as home:
        yield home


def add(home: AgedHome, user: str, age: timedelta) -> Identity:
    return read_identity(add_device(home.daemon, home.authority, user, age=age))


def key_in(path: Path) -> bytes:
    key = load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.private_numbers().private_value.to_bytes(32, "big")


def test_a_client_renews_a_certificate_that_is_due_and_talks_on(home: AgedHome) -> None:
    before = add(home, "ann", DUE)
    key, os_stat = key_in(before.path), before.path.stat()
    with Client(before) as client:
        client.wait_connected(30)
        wait_until(lambda: client.identity.not_after > before.not_after, what="the renewal")
        assert client.request("whois", user="ann")["user"] == "ann"
    after = read_identity(before.path)
    assert after == client.identity
    assert abs(after.not_after - datetime.now(UTC) - timedelta(days=30)) < timedelta(hours=1)
    assert key_in(after.path) == key
    assert (after.servers, after.ca_pem, after.instance) == (before.servers, before.ca_pem, "lab")
    assert stat.S_IMODE(after.path.stat().st_mode) == 0o600
    # A home's first identity is its oldest file.
    assert after.path.stat().st_mtime_ns == os_stat.st_mtime_ns
    assert [one.name for one in after.path.parent.glob(".*")] == []
    with Client(after) as client:
        client.wait_connected(30)


def test_a_command_renews_before_it_ends(home: AgedHome) -> None:
    before = add(home, "cat", DUE)
    home.daemon.run("chat", "--identity", str(before.path), "whoami")
    assert read_identity(before.path).not_after > before.not_after
    renewed = [one for one in home.daemon.log_lines("audit.log") if one["event"] == "device_renewed"]
    assert any((one["user"], one["device"], one["by"]) == ("cat", "laptop", "cat") for one in renewed)


def test_a_fresh_certificate_is_left_alone(home: AgedHome) -> None:
    before = add(home, "dan", timedelta(days=1))
    home.daemon.run("chat", "--identity", str(before.path), "whoami")
    assert read_identity(before.path) == before


def test_an_expired_identity_renews_and_logs_in(home: AgedHome) -> None:
    before = add(home, "eve", EXPIRED)
    done = home.daemon.run("chat", "--identity", str(before.path), "whoami")
    assert done.stdout.startswith("eve/laptop")
    assert read_identity(before.path).not_after > datetime.now(UTC)


def run_piped(home: AgedHome, identity: Identity) -> subprocess.CompletedProcess[str]:
    typed = f"chat --identity <(cat {shlex.quote(str(identity.path))}) whoami"
    environ = home.daemon.environ | {"PATH": f"{BIN}:{home.daemon.environ['PATH']}"}
    return subprocess.run(
        ["bash", "-c", typed], env=environ, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(("user", "age"), [("pia", DUE), ("quin", EXPIRED)])
def test_an_identity_from_a_pipe_keeps_its_key_there(home: AgedHome, user: str, age: timedelta) -> None:
    before = add(home, user, age)
    content = before.path.read_bytes()
    for _ in range(2):
        done = run_piped(home, before)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"{user}/laptop")
    assert done.stderr == ""
    kept = state_folder(before, home.daemon.environ) / "certificate.pem"
    assert b"PRIVATE" not in kept.read_bytes()
    assert x509.load_pem_x509_certificate(kept.read_bytes()).not_valid_after_utc > before.not_after
    assert before.path.read_bytes() == content
    # The second run had the first one's certificate.
    lines = [one for one in home.daemon.log_lines("audit.log") if one["event"] == "device_renewed"]
    assert sum(one["user"] == user for one in lines) == 1


def test_an_identity_that_ended_long_ago_is_refused_with_advice(home: AgedHome) -> None:
    before = add(home, "fay", FORGOTTEN)
    done = home.daemon.run("chat", "--identity", str(before.path), "whoami", check=False)
    assert done.returncode != 0
    assert "expired" in done.stderr and "14 days only" in done.stderr and "E202" in done.stderr
    assert read_identity(before.path) == before
    refused = [one for one in home.daemon.log_lines("security.log") if one["event"] == "enrol_refused"]
    assert any(one["code"] == "E202" for one in refused)


def test_a_renewal_that_the_log_has_forgotten_logs_in(home: AgedHome) -> None:
    """As after `chatd restore`: the device has a later certificate of its key than the log knows."""
    home.daemon.chatd("user", "add", "rea", "--device", "laptop", "--days", "20")
    known = read_identity(home.daemon.identity("rea"))
    key = load_pem_private_key(known.path.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)

    def identity(of: ec.EllipticCurvePrivateKey, days: int) -> Identity:
        path = known.path.with_name(f"rea-{days}-{of is key}.pem")
        certificate = home.authority.issue_for_key(
            of.public_key(), "rea", "laptop", now=datetime.now(UTC), days=days
        )
        write_identity(path, Issued(certificate, of), home.authority.certificate, instance="lab", user="rea",
                       device="laptop", servers=known.servers)  # fmt: skip
        return read_identity(path)

    for refused in (identity(key, 10), identity(ec.generate_private_key(ec.SECP256R1()), 40)):
        with Client(refused) as client, pytest.raises(ChatdError, match="E205"):
            client.wait_connected(30)
    later = identity(key, 40)
    for _ in range(2):
        with Client(later) as client:
            client.wait_connected(30)
    events = json.loads(
        home.daemon.run("chatctl", "--identity", str(later.path), "whois", "rea", "--json").stdout
    )
    assert [one["device"] for one in events["devices"]] == ["laptop"]


def test_a_revoked_device_does_not_renew(home: AgedHome) -> None:
    before = add(home, "gus", EXPIRED)
    admin = add(home, "boss", timedelta(days=1))
    home.daemon.write_settings(lambda tree: tree["roles"]["assigned"].update(boss="admin"))
    home.daemon.chatd("reload")
    home.daemon.run("chatctl", "--identity", str(admin.path), "revoke", "gus/laptop", "--yes")
    with pytest.raises(ChatdError) as caught:
        renew(before, before.servers[0], datetime.now(UTC))
    assert caught.value.code == "E206"


def test_two_programs_of_one_identity_share_the_renewal(home: AgedHome, tmp_path: Path) -> None:
    first = add(home, "hal", DUE)
    shutil.copy2(first.path, tmp_path / "copy.pem")
    copy = read_identity(tmp_path / "copy.pem")
    now = datetime.now(UTC)
    assert renew(first, first.servers[0], now).certificate_der
    one, other = read_identity(first.path), renew(copy, copy.servers[0], now)
    assert one.not_after == other.not_after
    for identity in (one, other):
        with Client(identity) as client:
            client.wait_connected(30)


def test_a_session_outlives_its_first_certificate(home: AgedHome) -> None:
    """The server ends a session with its certificate; the client comes back with the next one."""
    life = timedelta(days=30)
    before = add(home, "ivy", life - timedelta(seconds=12))
    with Client(before) as client:
        client.wait_connected(30)
        wait_until(lambda: client.identity.not_after > before.not_after, what="the renewal")
        client.send("#lobby", "before the end")
        left = before.not_after.timestamp() - time.time()
        wait_until(lambda: time.time() > before.not_after.timestamp() + 1, seconds=left + 60)
        client.send("#lobby", "after the end")
        wait_until(lambda: client.unsent == 0, what="the last message")
        assert client.error is None


def test_a_certificate_alone_renews_nothing(home: AgedHome) -> None:
    """A certificate is public: without a signature of its key over this connection it is worth nothing."""
    victim = add(home, "joe", DUE)
    for identity, proof in ((victim, "30" * 70), (victim, "00" * 8)):
        with RawJoiner(home.daemon.port) as joiner:
            assert joiner.receive()["type"] == "authority"
            assert joiner.renew(identity, proof)["code"] == "E217"
    with RawJoiner(home.daemon.port) as joiner, RawJoiner(home.daemon.port) as other:
        assert joiner.receive() == other.receive()
        proof = joiner.proof_of(victim)
        assert other.renew(victim, proof)["code"] == "E217"  # a proof holds on its own connection only


def test_a_foreign_certificate_is_refused(home: AgedHome, tmp_path: Path) -> None:
    stranger = Authority.create("lab", now=NOW)
    path = tmp_path / "stranger.pem"
    identity = make_identity(stranger, path)
    with RawJoiner(home.daemon.port) as joiner:
        joiner.receive()
        assert joiner.renew(identity, joiner.proof_of(identity))["code"] == "E210"
    server = home.daemon.home / "certs" / "server.pem"
    with RawJoiner(home.daemon.port) as joiner:
        joiner.receive()
        answer = joiner.send({"type": "renew", "certificate": server.read_text(), "proof": "30" * 70})
        assert answer["code"] == "E210"


def test_an_identity_in_a_folder_that_cannot_be_written_is_kept(home: AgedHome, tmp_path: Path) -> None:
    before = add(home, "kim", DUE)
    kept = tmp_path / "kept"
    kept.mkdir()
    path = kept / "kim.pem"
    shutil.copy2(before.path, path)
    (kept / ".kim.pem.new").mkdir()  # in the way of the new file
    with Client(read_identity(path)) as client:
        client.wait_connected(30)
    assert read_identity(path).not_after == before.not_after
    (kept / ".kim.pem.new").rmdir()
    renewed = renew(read_identity(path), before.servers[0], datetime.now(UTC))
    assert renewed.not_after > before.not_after
