"""``chatd crl`` beside a running server, judged by openssl: a program that knows the CA and nothing else."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.daemon import Daemon, running

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")


def openssl(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", *words], capture_output=True, text=True, check=False)


def judged(daemon: Daemon, crl: Path, identity: Path) -> str:
    """What ``openssl verify`` says about an identity's certificate, by the CA and the list."""
    certificate = identity.with_suffix(".crt")
    certificate.write_bytes(
        x509.load_pem_x509_certificates(identity.read_bytes())[0].public_bytes(Encoding.PEM)
    )
    ca = str(daemon.home / "certs" / "ca.pem")
    words = ("-x509_strict", "-crl_check", "-CAfile", ca, "-CRLfile", str(crl), str(certificate))
    found = openssl("verify", *words)
    return found.stdout + found.stderr


def test_openssl_refuses_revoked_devices_and_no_others(shared_daemon: Daemon, tmp_path: Path) -> None:
    kept, lost = (shared_daemon.add_user("crluser", device=name) for name in ("kept", "lost"))
    crl = tmp_path / "crl.pem"
    first = shared_daemon.chatd("crl", "-o", str(crl)).stdout
    assert f"{crl} lists 0 revoked certificates, valid until " in first
    assert "OK" in judged(shared_daemon, crl, lost)
    shared_daemon.chatctl("revoke", "crluser/lost", "--yes")
    assert "lists 1 revoked certificate, " in shared_daemon.chatd("crl", "-o", str(crl)).stdout
    assert "certificate revoked" in judged(shared_daemon, crl, lost)
    assert "OK" in judged(shared_daemon, crl, kept)
    assert crl.stat().st_mode & 0o777 == 0o644


def test_openssl_finds_the_printed_list_signed_by_the_ca(shared_daemon: Daemon, tmp_path: Path) -> None:
    printed = tmp_path / "printed.pem"
    printed.write_text(shared_daemon.chatd("crl", "--days", "1").stdout)
    ca = str(shared_daemon.home / "certs" / "ca.pem")
    assert "verify OK" in openssl("crl", "-in", str(printed), "-noout", "-CAfile", ca).stderr


def test_after_a_rotation_devices_of_both_cas_are_covered(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        before = [daemon.add_user("bob", device=name) for name in ("lost", "kept")]
        daemon.chatctl("revoke", "bob/lost", "--yes")
        daemon.chatd("ca", "rotate")
        after = [daemon.add_user("carol", device=name) for name in ("lost", "kept")]
        daemon.chatctl("revoke", "carol/lost", "--yes")
        crl = tmp_path / "crl.pem"
        assert "lists 2 revoked certificates, " in daemon.chatd("crl", "-o", str(crl)).stdout
        assert [len(one) for one in x509_lists(crl)] == [1, 1]
        for lost, kept in (before, after):
            assert "certificate revoked" in judged(daemon, crl, lost)
            assert "OK" in judged(daemon, crl, kept)


def x509_lists(file: Path) -> list[x509.CertificateRevocationList]:
    end = b"-----END X509 CRL-----\n"
    return [x509.load_pem_x509_crl(part + end) for part in file.read_bytes().split(end) if part]


def test_without_the_cas_key_no_list_is_written(shared_daemon: Daemon, tmp_path: Path) -> None:
    key, aside = shared_daemon.home / "certs" / "ca.key", tmp_path / "ca.key"
    shutil.move(key, aside)
    try:
        refused = shared_daemon.chatd("crl", "-o", str(tmp_path / "crl.pem"), check=False)
    finally:
        shutil.move(aside, key)
    assert (refused.returncode, "E620" in refused.stderr) == (1, True)
    assert not (tmp_path / "crl.pem").exists()
