"""Where a new home serves its web page, and who is told."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import ValidationError

from chatd.config.page_address import page_address, page_hosts
from chatd.config.schema import Settings
from chatd.pki.authority import Authority
from tests.support.certificates import NOW
from tests.support.daemon import Daemon, free_port
from tests.support.https import Https


def home(path: Path, *options: str) -> Daemon:
    path.mkdir()
    daemon = Daemon(path)
    del daemon.environ["CHATD_GATEWAY__LISTEN"]
    daemon.chatd("init", "--name", "lab", "--listen", "127.0.0.1:0", "--admin", "alice", *options)
    return daemon


def listen_of(daemon: Daemon) -> str:
    found: list[str] = []
    daemon.write_settings(lambda settings: found.append(settings["gateway"]["listen"]))
    return found[0]


def test_a_newcomer_is_told_the_page_and_finds_it(tmp_path: Path) -> None:
    port = free_port()
    daemon = home(tmp_path / "home", "--web", f"127.0.0.1:{port}")
    page = f"https://127.0.0.1:{port}/"
    try:
        for words in (("start",), ("start",), ("restart",)):
            assert f"in a browser: {page}" in daemon.chatd(*words).stderr
        assert f"page  {page}" in daemon.chatd("status").stdout
        https = Https(port, daemon.home / "certs" / "ca.pem")
        assert "<html" in https.get("/").text
        # The certificate names localhost, too: the context checks that.
        https.context.wrap_socket(
            socket.create_connection(("localhost", port)), server_hostname="localhost"
        ).close()
        invited = daemon.chatctl("invite", "create", "bob")
        code = invited.stdout.split("/")[-1].strip()
        assert f"or in a browser on the server's machine: {page}#{code}" in invited.stderr
    finally:
        daemon.stop()


def test_a_new_home_takes_a_port_that_is_free(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 5443))
            taken.listen()
        except OSError:
            pass  # somebody else has it
        host, _, port = listen_of(home(tmp_path / "home")).rpartition(":")
    assert host == "127.0.0.1"
    assert int(port) not in (0, 5443)


@pytest.mark.parametrize(
    ("option", "expected"), [("off", ""), ("[::1]:7443", "[::1]:7443"), ("192.0.2.1", "192.0.2.1:5443")]
)
def test_the_address_of_the_page_can_be_chosen(tmp_path: Path, option: str, expected: str) -> None:
    assert listen_of(home(tmp_path / "home", "--web", option)) == expected


def test_a_public_certificate_is_for_browsers_only(tmp_path: Path) -> None:
    port = free_port()
    daemon = home(tmp_path / "home", "--web", f"127.0.0.1:{port}")
    public = Authority.create("public", now=NOW)
    issued = public.issue_server(["127.0.0.1"], now=NOW)
    certs = daemon.home / "certs"
    (certs / "public-ca.pem").write_bytes(public.certificate.public_bytes(Encoding.PEM))
    (certs / "web.pem").write_bytes(issued.certificate.public_bytes(Encoding.PEM))
    (certs / "web.key").write_bytes(
        issued.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    named = {"certificate_file": "certs/web.pem", "key_file": str(certs / "web.key")}
    daemon.write_settings(lambda settings: settings["gateway"].update(named))
    daemon.chatd("start")
    try:
        assert Https(port, certs / "public-ca.pem").get("/healthz").status == 200
        assert "alice" in daemon.chatctl("users").stdout
    finally:
        daemon.stop()


@pytest.mark.parametrize(
    "wrong",
    [
        {"certificate_file": "a.pem"},
        {"key_file": "a.key"},
        {"certificate_file": "server.pem", "key_file": "b"},
    ],
    ids=range(3),
)
def test_a_certificate_needs_its_key_and_names_of_their_own(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="certificate_file and key_file"):
        Settings.model_validate({"gateway": wrong})


@pytest.mark.parametrize(
    ("gateway", "expected"),
    [
        ({}, ""),
        ({"listen": "127.0.0.1:5443"}, "https://127.0.0.1:5443/"),
        ({"listen": "0.0.0.0:5443"}, "https://chat.example.org:5443/"),
        ({"listen": "[::]:443"}, "https://chat.example.org/"),
        ({"listen": "[::1]:5443"}, "https://[::1]:5443/"),
        ({"listen": "0.0.0.0:5443", "addresses": ["web.example.org:443"]}, "https://web.example.org/"),
    ],
    ids=range(6),
)
def test_the_page_has_the_first_address_that_others_can_use(gateway: dict[str, Any], expected: str) -> None:
    server = {"addresses": ["chat.example.org:5000"]}
    settings = Settings.model_validate({"server": server, "gateway": gateway})
    assert page_address(settings) == expected
    assert {"chat.example.org", "localhost", "127.0.0.1"} <= set(page_hosts(settings))
