"""Identity files: private, never replaced, and refused with a reason if anything is wrong."""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from chatd.errors import ChatdError
from chatd.pki.authority import Authority, Issued
from chatd.pki.identity import IDENTITY_LIMIT, Identity, read_identity, write_identity
from tests.support.certificates import NOW, der

SERVERS = ["127.0.0.1:5000", "[::1]:5000", "chat.example.org:443"]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("lab", now=NOW)


@pytest.fixture(scope="module")
def issued(authority: Authority) -> Issued:
    return authority.issue_device("bob", "laptop", now=NOW)


def write(path: Path, authority: Authority, issued: Issued, servers: list[str] | None = None) -> Path:
    write_identity(
        path,
        issued,
        authority.certificate,
        instance="lab",
        user="bob",
        device="laptop",
        servers=SERVERS if servers is None else servers,
    )
    return path


@pytest.fixture
def good(tmp_path: Path, authority: Authority, issued: Issued) -> Path:
    return write(tmp_path / "bob.pem", authority, issued)


def test_a_written_identity_is_read_back(good: Path, authority: Authority, issued: Issued) -> None:
    assert read_identity(good) == Identity(
        path=good,
        instance="lab",
        user="bob",
        device="laptop",
        servers=tuple(SERVERS),
        certificate_der=der(issued),
        ca_pem=authority.certificate.public_bytes(Encoding.PEM).decode(),
        not_before=issued.certificate.not_valid_before_utc,
        not_after=issued.certificate.not_valid_after_utc,
    )


def test_openssl_reads_the_same_file(good: Path) -> None:
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(good)


def test_the_file_is_private_whatever_the_umask(tmp_path: Path, authority: Authority, issued: Issued) -> None:
    old = os.umask(0)
    try:
        path = write(tmp_path / "bob.pem", authority, issued)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_is_never_replaced(good: Path, authority: Authority, issued: Issued) -> None:
    with pytest.raises(ChatdError) as caught:
        write(good, authority, issued)
    assert caught.value.code == "E606"


@pytest.mark.parametrize("server", ["", "host", "host:0", "host:65536", "host:1\nuser: eve", "ho st:1", ":1"])
def test_bad_servers_are_not_written(
    tmp_path: Path, authority: Authority, issued: Issued, server: str
) -> None:
    with pytest.raises(ChatdError) as caught:
        write(tmp_path / "bob.pem", authority, issued, [server])
    assert caught.value.code == "E600"
    assert not (tmp_path / "bob.pem").exists()


def test_the_number_of_servers_is_bounded(tmp_path: Path, authority: Authority, issued: Issued) -> None:
    assert len(read_identity(write(tmp_path / "a", authority, issued, ["h:1"] * 16)).servers) == 16
    assert read_identity(write(tmp_path / "b", authority, issued, [])).servers == ()
    with pytest.raises(ChatdError):
        write(tmp_path / "c", authority, issued, ["h:1"] * 17)


def test_crlf_line_ends_are_accepted(good: Path) -> None:
    good.write_bytes(good.read_bytes().replace(b"\n", b"\r\n"))
    assert read_identity(good).user == "bob"


def test_no_key_material_in_the_repr(good: Path) -> None:
    text = repr(read_identity(good))
    assert "BEGIN" not in text and "certificate_der" not in text


def swap(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


HEADER = "schema: 1\ninstance: lab\nuser: bob\ndevice: laptop\n"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda text: "", "not an identity file"),
        (lambda text: "\x00" * 100, "invalid header line"),
        (lambda text: "hello", "invalid header line"),
        (lambda text: text + "x" * IDENTITY_LIMIT, "longer than"),
        (lambda text: text.replace("lab", "läb", 1), "not a text file"),
        (lambda text: text[: len(text) // 2], "damaged"),
        (lambda text: text + "more\n", "damaged"),
        (lambda text: text + text, "damaged"),
        (lambda text: text.replace("\nMII", "\nMIJ"), "damaged"),
        (lambda text: text[text.index("-----BEGIN") :], "not an identity file"),
        (lambda text: HEADER + text[text.index("-----BEGIN CERT") :], "damaged"),
        (swap("schema: 1", "schema: 2"), "newer version"),
        (swap("user: bob\n", ""), "incomplete"),
        (swap("user: bob", "user: eve"), "different devices"),
        (swap("instance: lab", "instance: other"), "different devices"),
        (swap("user: bob", "user: bob\nuser: bob"), "invalid header line"),
        (swap("user: bob", "user: bob\nrole: admin"), "invalid header line"),
        (swap("user: bob", "user:bob"), "invalid header line"),
        (swap(SERVERS[0], "host:99999"), "invalid header line"),
        (swap(SERVERS[0], "\x1b]52;c;eA==\x07:1"), r"\x1b]52"),
        (swap("server:", "server: h:1\n" * 16 + "server:"), "too many servers"),
    ],
)
def test_a_damaged_file_is_refused_with_the_reason(
    good: Path, damage: Callable[[str], str], reason: str
) -> None:
    good.write_text(damage(good.read_text()))
    with pytest.raises(ChatdError) as caught:
        read_identity(good)
    assert caught.value.code == "E608"
    assert reason in caught.value.reason


def test_a_file_with_mismatched_parts_is_refused(
    tmp_path: Path, authority: Authority, issued: Issued
) -> None:
    other = Authority.create("lab", now=NOW)
    stranger = authority.issue_device("bob", "laptop", now=NOW)
    server = authority.issue_server([], now=NOW)
    cases = [
        (other, issued, "not issued by its CA"),
        (authority, Issued(issued.certificate, stranger.key), "does not match its certificate"),
        (authority, server, "extended key usage"),
    ]
    for number, (ca, parts, reason) in enumerate(cases):
        path = write(tmp_path / f"{number}.pem", ca, parts)
        with pytest.raises(ChatdError) as caught:
            read_identity(path)
        assert caught.value.code == "E608"
        assert reason in caught.value.reason


def test_a_key_with_a_password_is_refused_without_a_prompt(good: Path, issued: Issued) -> None:
    locked = issued.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    good.write_text(good.read_text().replace(issued.key_pem.decode(), locked.decode()))
    with pytest.raises(ChatdError) as caught:
        read_identity(good)
    assert caught.value.code == "E608"


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o644, 0o660])
def test_a_key_readable_by_others_is_refused(good: Path, mode: int) -> None:
    good.chmod(mode)
    with pytest.raises(ChatdError) as caught:
        read_identity(good)
    assert caught.value.code == "E608"
    assert "chmod 600" in caught.value.fix


def test_a_path_that_is_not_a_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", tmp_path / "missing", Path("/dev/zero")):
        with pytest.raises(ChatdError) as caught:
            read_identity(path)
        assert caught.value.code == "E608"
