"""The authority: certificates it issues, requests it refuses, files it writes."""

from __future__ import annotations

import os
import re
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from chatd.durable_files import create_file
from chatd.errors import ChatdError
from chatd.pki.authority import Authority, save_issued
from chatd.pki.profiles import DeviceName, device_of, fingerprint
from tests.support.certificates import NOW, der, make_home


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("lab", now=NOW)


def test_device_certificate_names_the_device_and_its_serial(authority: Authority) -> None:
    issued = authority.issue_device("bob", "laptop", now=NOW)
    device = device_of(der(issued), authority.certificate)
    assert device.name == DeviceName("lab", "bob", "laptop")
    assert device.serial == f"{issued.certificate.serial_number:x}"
    assert device.ends == issued.certificate.not_valid_after_utc.timestamp()
    assert isinstance(issued.key, ec.EllipticCurvePrivateKey)


def test_names_of_maximum_length_fit_into_a_certificate(authority: Authority) -> None:
    long = Authority.create("i" * 32, now=NOW)
    name = device_of(der(long.issue_device("u" * 32, "d" * 32, now=NOW)), long.certificate).name
    assert name == ("i" * 32, "u" * 32, "d" * 32)


@pytest.mark.parametrize("kind", ["server", "envelope"])
def test_the_servers_certificates_cannot_log_in(authority: Authority, kind: str) -> None:
    issued = (
        authority.issue_server([], now=NOW) if kind == "server" else authority.issue_envelope(2048, now=NOW)
    )
    with pytest.raises(ChatdError) as caught:
        device_of(der(issued), authority.certificate)
    assert caught.value.code == "E210"


def test_validity_is_backdated_and_limited_by_the_authority(authority: Authority) -> None:
    issued = authority.issue_device("bob", "laptop", now=NOW + timedelta(days=1), days=365)
    assert issued.certificate.not_valid_before_utc == NOW + timedelta(days=1, minutes=-5)
    assert issued.certificate.not_valid_after_utc == NOW + timedelta(days=366)
    forever = authority.issue_device("bob", "laptop", now=NOW, days=100_000)
    assert forever.certificate.not_valid_after_utc == authority.certificate.not_valid_after_utc
    first = authority.issue_device("bob", "laptop", now=NOW)
    assert first.certificate.not_valid_before_utc == authority.certificate.not_valid_before_utc


@pytest.mark.parametrize("days", [-1, 4000])
def test_nothing_is_issued_when_the_clock_is_implausible(authority: Authority, days: int) -> None:
    with pytest.raises(ChatdError) as caught:
        authority.issue_device("bob", "laptop", now=NOW + timedelta(days=days))
    assert caught.value.code == "E612"


@pytest.mark.parametrize("name", ["", "Bob", "b/b", "b" * 33, "-b", "b\n", "böb", "b b", "..", "b%00"])
def test_invalid_names_are_refused(authority: Authority, name: str) -> None:
    for call in (
        lambda: Authority.create(name, now=NOW),
        lambda: authority.issue_device(name, "laptop", now=NOW),
        lambda: authority.issue_device("bob", name, now=NOW),
    ):
        with pytest.raises(ChatdError) as caught:
            call()
        assert caught.value.code == "E403"


def test_server_addresses_are_in_the_certificate(authority: Authority) -> None:
    hosts = ["127.0.0.1", "::1", "[fe80::1]", "chat.example.org", "box_1", "127.0.0.1"]
    sans = authority.issue_server(hosts, now=NOW).certificate.extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert sans.value.get_values_for_type(x509.DNSName) == ["chat.example.org", "box_1"]
    assert [str(a) for a in sans.value.get_values_for_type(x509.IPAddress)] == [
        "127.0.0.1",
        "::1",
        "fe80::1",
    ]
    assert sans.value.get_values_for_type(x509.UniformResourceIdentifier) == ["chatd://lab/server"]


@pytest.mark.parametrize("host", ["", "*.example.org", "a b", "a\x00b", "bücher.example", "-a", "a" * 254])
def test_bad_server_addresses_are_refused(authority: Authority, host: str) -> None:
    with pytest.raises(ChatdError) as caught:
        authority.issue_server([host], now=NOW)
    assert caught.value.code == "E600"


def test_too_many_addresses_are_refused(authority: Authority) -> None:
    authority.issue_server([f"h{n}" for n in range(64)], now=NOW)
    with pytest.raises(ChatdError):
        authority.issue_server([f"h{n}" for n in range(65)], now=NOW)


@pytest.mark.parametrize("size", [0, 1024, 2047, 8193])
def test_rsa_sizes_are_bounded(authority: Authority, size: int) -> None:
    with pytest.raises(ChatdError) as caught:
        authority.issue_envelope(size, now=NOW)
    assert caught.value.code == "E600"


def test_keys_of_a_home_are_private_and_the_authority_loads(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        created = make_home(tmp_path)
    finally:
        os.umask(old)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    public = {f"{name}.pem": 0o644 for name in ("ca", "server", "envelope")}
    assert modes == public | {f"{name}.key": 0o600 for name in ("ca", "server", "envelope")}
    loaded = Authority.load(tmp_path)
    assert loaded.certificate == created.certificate
    assert loaded.instance == "lab"
    loaded.issue_device("bob", "laptop", now=NOW).certificate.verify_directly_issued_by(created.certificate)


def test_an_authority_is_never_replaced(tmp_path: Path, authority: Authority) -> None:
    authority.save(tmp_path)
    before = (tmp_path / "ca.key").read_bytes()
    with pytest.raises(ChatdError) as caught:
        Authority.create("lab", now=NOW).save(tmp_path)
    assert caught.value.code == "E606"
    assert (tmp_path / "ca.key").read_bytes() == before


def test_a_renewed_certificate_replaces_the_old_one(tmp_path: Path, authority: Authority) -> None:
    (tmp_path / ".server.key.new").write_text("left behind by a crash")
    for _ in range(2):
        issued = authority.issue_server([], now=NOW)
        save_issued(tmp_path, "server", issued)
    assert (tmp_path / "server.pem").read_bytes() == issued.certificate_pem
    assert sorted(path.name for path in tmp_path.iterdir()) == ["server.key", "server.pem"]


def test_a_file_is_not_created_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ChatdError):
        create_file(tmp_path / "link", b"secret", 0o600)
    assert not (tmp_path / "elsewhere").exists()


def test_an_unwritable_place_is_reported(tmp_path: Path, authority: Authority) -> None:
    with pytest.raises(ChatdError) as caught:
        authority.save(tmp_path / "missing")
    assert caught.value.code == "E606"
    with pytest.raises(ChatdError) as caught:
        save_issued(tmp_path / "missing", "server", authority.issue_server([], now=NOW))
    assert caught.value.code == "E606"


@pytest.mark.parametrize("damage", ["missing", "empty", "other key", "rsa key", "leaf"])
def test_loading_damage_is_reported(tmp_path: Path, authority: Authority, damage: str) -> None:
    device = authority.issue_device("bob", "laptop", now=NOW)
    authority.save(tmp_path)
    key = tmp_path / "ca.key"
    if damage == "missing":
        key.unlink()
    elif damage == "empty":
        key.write_bytes(b"")
    elif damage == "other key":
        key.write_bytes(device.key_pem)
    elif damage == "rsa key":
        key.write_bytes(authority.issue_envelope(2048, now=NOW).key_pem)
    else:
        save_issued(tmp_path, "ca", device)
    with pytest.raises(ChatdError) as caught:
        Authority.load(tmp_path)
    assert caught.value.code == ("E620" if damage == "missing" else "E606")


def test_fingerprint_matches_openssl(authority: Authority) -> None:
    text = fingerprint(b"abc")
    assert re.fullmatch(r"SHA256(:[0-9A-F]{2}){32}", text)
    assert text.startswith("SHA256:BA:78:16:BF") and text.endswith("15:AD")


def test_a_repr_shows_no_key(authority: Authority) -> None:
    issued = authority.issue_envelope(2048, now=NOW)
    assert isinstance(issued.key, rsa.RSAPrivateKey)
    assert repr(issued) == f"Issued(serial {issued.certificate.serial_number:x})"
    assert "PRIVATE" not in repr(authority)
