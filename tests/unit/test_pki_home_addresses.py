"""run/addresses: clients on the server's box find the running server of their home."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from chatd.pki.home_addresses import ADDRESSES_FILE, servers_elsewhere, servers_of, write_addresses
from chatd.pki.identity import Identity

OLD = ("192.0.2.7:5000", "127.0.0.1:5000")


def _identity(path: Path) -> Identity:
    return cast(Identity, SimpleNamespace(path=path, servers=OLD, servers_in_file=OLD))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for folder in ("certs/identities", "run"):
        (tmp_path / "home" / folder).mkdir(parents=True)
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("listens_on", "here"),
    [
        ("0.0.0.0:5001", "127.0.0.1:5001"),
        ("[::]:5001", "[::1]:5001"),
        ("192.0.2.7:5001", "192.0.2.7:5001"),
    ],
)
def test_identities_in_a_home_follow_its_server(home: Path, listens_on: str, here: str) -> None:
    write_addresses(home, listens_on, ["chat.example:443"])
    identity = _identity(home / "certs" / "identities" / "bob-laptop.pem")
    assert servers_of(identity) == (here, "chat.example:443", *OLD)
    assert servers_elsewhere(identity) == ("chat.example:443",)


def test_servers_that_a_program_chose_are_kept(home: Path) -> None:
    write_addresses(home, "127.0.0.1:5001", ["chat.example:443"])
    path, proxy = home / "certs" / "identities" / "bob-laptop.pem", ("127.0.0.1:7",)
    identity = cast(Identity, SimpleNamespace(path=path, servers=proxy, servers_in_file=OLD))
    assert (servers_of(identity), servers_elsewhere(identity)) == (proxy, proxy)


def test_a_link_to_an_identity_in_a_home_counts_as_it(home: Path, tmp_path: Path) -> None:
    write_addresses(home, "127.0.0.1:5001", [])
    (home / "certs" / "identities" / "bob.pem").touch()
    (tmp_path / "identity.pem").symlink_to(home / "certs" / "identities" / "bob.pem")
    assert servers_of(_identity(tmp_path / "identity.pem")) == ("127.0.0.1:5001", *OLD)
    assert servers_elsewhere(_identity(tmp_path / "identity.pem")) == OLD


def test_other_identities_keep_their_servers(home: Path, tmp_path: Path) -> None:
    write_addresses(home, "127.0.0.1:5001", [])
    for path in (tmp_path / "identity.pem", home / "certs" / "bob.pem", home / "identities" / "bob.pem"):
        assert servers_of(_identity(path)) == OLD


@pytest.mark.parametrize(
    "content", [None, b"", b"\xff\xfe\n", b"nonsense\n127.0.0.1:99999\n", b"\0" * 20_000]
)
def test_a_home_without_a_usable_file_changes_nothing(home: Path, content: bytes | None) -> None:
    if content is not None:
        (home / ADDRESSES_FILE).write_bytes(content)
    assert servers_of(_identity(home / "certs" / "identities" / "bob-laptop.pem")) == OLD
