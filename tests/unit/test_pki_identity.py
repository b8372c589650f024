"""Identity files: private, never replaced, and refused with a reason if anything is wrong."""

from __future__ import annotations

import os
import ssl
import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Timer

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from chatd.errors import ChatdError
from chatd.pki.authority import Authority
from chatd.pki.contexts import client_context
from chatd.pki.identity import IDENTITY_LIMIT, Identity, read_identity, write_identity
from chatd.pki.issued import Issued
from chatd.proto.alpn import ALPN_ENVELOPE
from tests.support.certificates import NOW, der

BEGIN = "-----BEGIN "
# `openssl ecparam -genkey` writes this before the key.
PARAMETERS = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
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
        (lambda text: "", "empty"),
        (lambda text: "\x00" * 100, "not an identity file"),
        (lambda text: "hello", "not an identity file"),
        (lambda text: text + "x" * IDENTITY_LIMIT, "longer than"),
        (lambda text: text.replace("lab", "läb", 1), "different devices"),
        (lambda text: text[: len(text) // 2], "damaged"),
        (lambda text: text.replace("\nMII", "\nMIJ"), "damaged"),
        (lambda text: text.replace("-----END PRIVATE KEY-----\n", ""), "damaged"),
        (lambda text: text[text.index("-----BEGIN") :], "not an identity file"),
        (lambda text: HEADER + text[text.index("-----BEGIN CERT") :], "no private key"),
        (lambda text: text[: text.rindex("-----BEGIN")], "1 of the two certificates"),
        (swap("BEGIN PRIVATE", "BEGIN OPENSSH PRIVATE"), "damaged"),
        (lambda text: text.replace(" PRIVATE KEY", " OPENSSH PRIVATE KEY"), "form of its own"),
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


def blocks(text: str) -> list[str]:
    """The header, the key, and both certificates."""
    return [part if i == 0 else BEGIN + part for i, part in enumerate(text.split(BEGIN))]


def reordered(*order: int) -> Callable[[str], str]:
    return lambda text: "".join(blocks(text)[i] for i in order)


def sec1(text: str) -> str:
    header, key, *rest = blocks(text)
    old = load_pem_private_key(key.encode(), None).private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    assert b"BEGIN EC PRIVATE KEY" in old
    return "".join([header, PARAMETERS, old.decode(), *rest])


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.rstrip("\n").encode(),
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.encode("utf-16"),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", " \t\n").encode(),
        lambda text: text.replace("\n", "\n  ").encode(),
        lambda text: text.replace(BEGIN, "\n" + BEGIN).encode(),
        lambda text: f"{text}-- \nGrüße, Alice\n".encode(),
        lambda text: (text + text).encode(),
        lambda text: sec1(text).encode(),
        lambda text: reordered(0, 2, 3, 1)(text).encode(),
        lambda text: reordered(0, 3, 1, 2)(text).encode(),
        lambda text: reordered(0, 1, 3, 2)(text).encode(),
        lambda text: reordered(0, 4, 3, 1, 2)(sec1(text)).encode(),
    ],
)
def test_a_whole_file_is_accepted_in_any_form(good: Path, change: Callable[[str], bytes]) -> None:
    whole = read_identity(good)
    good.write_bytes(change(good.read_text()))
    found = read_identity(good)
    assert replace(found, pem="") == whole
    client_context(found, alpn=[ALPN_ENVELOPE])


@pytest.mark.parametrize("named", [False, True])
def test_a_pipe_is_read_and_used(good: Path, tmp_path: Path, named: bool) -> None:
    whole = read_identity(good)
    if named:
        path = tmp_path / "fifo"
        os.mkfifo(path, 0o600)
        reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        writing = os.open(path, os.O_WRONLY)
    else:
        reading, writing = os.pipe()
        path = Path(f"/dev/fd/{reading}")

    def write_late() -> None:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(good.read_bytes())

    writer = Timer(0.05, write_late)
    writer.start()
    found = read_identity(path)
    writer.join()
    os.close(reading)
    good.unlink()
    assert replace(found, path=good, pem="") == whole
    client_context(found, alpn=[ALPN_ENVELOPE])
    assert "BEGIN" not in repr(found)


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key_is_named_and_the_advice_decrypts_it(
    good: Path, issued: Issued, form: PrivateFormat
) -> None:
    whole = read_identity(good)
    locked = issued.key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"secret"))
    good.write_text(good.read_text().replace(issued.key_pem.decode(), locked.decode()))
    with pytest.raises(ChatdError) as caught:
        read_identity(good)
    assert caught.value.code == "E608"
    assert "encrypted" in caught.value.reason
    advice = caught.value.fix.removeprefix("decrypt it with: ")
    typed = advice.replace("pkey ", "pkey -passin pass:secret ")
    subprocess.run(["/bin/sh", "-c", typed], check=True)
    assert replace(read_identity(good), pem="") == whole


def test_advice_asks_for_a_new_identity_only_if_the_key_is_lost(good: Path) -> None:
    header, key, leaf, ca = blocks(good.read_text())
    stranger = Authority.create("lab", now=NOW).certificate.public_bytes(Encoding.PEM).decode()
    for lost, parts in [
        (True, [header, leaf, ca]),
        (True, [header, key[:-40], leaf, ca]),
        (False, [key, leaf, ca]),
        (False, [header, key, leaf]),
        (False, [header, key, leaf, stranger]),
        (False, [header, "note: mine\n", key, leaf, ca]),
        (False, [header.replace("bob", "eve"), key, leaf, ca]),
        (False, [header.replace("schema: 1", "schema: 2"), key, leaf, ca]),
    ]:
        good.write_text("".join(parts))
        with pytest.raises(ChatdError) as caught:
            read_identity(good)
        assert ("new identity" in caught.value.fix) == lost, caught.value


def test_certificates_that_leave_a_choice_are_refused(
    good: Path, authority: Authority, issued: Issued
) -> None:
    text = good.read_text()
    other = authority.issue_device("bob", "phone", now=NOW)
    good.write_text(text + (other.key_pem + other.certificate_pem).decode())
    with pytest.raises(ChatdError, match="several devices"):
        read_identity(good)
    # Without its key the other certificate leaves no choice.
    good.write_text(text + other.certificate_pem.decode())
    assert read_identity(good).device == "laptop"


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
