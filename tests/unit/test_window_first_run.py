"""Installing an identity on the first run from a file or a text, without a window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from chatctl.window import identity_input
from chatd.errors import ChatdError
from chatd.pki.authority import Authority
from chatd.pki.identity import Identity, read_identity, write_identity


def new_identity(path: Path, instance: str = "lab") -> Identity:
    now = datetime.now(UTC)
    authority = Authority.create(instance, now=now)
    issued = authority.issue_device("bob", "laptop", now=now)
    names = {"instance": instance, "user": "bob", "device": "laptop"}
    write_identity(path, issued, authority.certificate, servers=[], **names)
    return read_identity(path)


def test_a_usable_identity_is_never_replaced(tmp_path: Path) -> None:
    bundle, folder = tmp_path / "new.pem", tmp_path / "config"
    made = new_identity(bundle)
    assert identity_input.install(identity_input.take_file(bundle), folder).user == made.user
    target = folder / "identity.pem"
    assert target.stat().st_mode & 0o777 == 0o600
    before = target.read_bytes()
    with pytest.raises(ChatdError, match="already"):
        identity_input.install(identity_input.take_file(bundle), folder)
    assert target.read_bytes() == before
    assert [path.name for path in folder.iterdir()] == ["identity.pem"]


def test_an_expired_certificate_is_refused(tmp_path: Path) -> None:
    identity = new_identity(tmp_path / "new.pem")
    identity_input.check_dates(identity)
    expired = replace(identity, not_after=datetime.now(UTC) - timedelta(days=1))
    with pytest.raises(ChatdError, match="expired on"):
        identity_input.check_dates(expired)


@pytest.mark.parametrize(
    "change", [str, lambda text: f"\ufeff{text}", lambda text: text.replace("\n", "\r\n")]
)
def test_a_pasted_text_is_installed(tmp_path: Path, change: Callable[[str], str]) -> None:
    new_identity(tmp_path / "new.pem")
    given = identity_input.take(change((tmp_path / "new.pem").read_text()))
    folder = tmp_path / "config"
    assert identity_input.check(given, folder).user == "bob"
    assert list(folder.iterdir()) == []
    assert identity_input.install(given, folder).user == "bob"
    assert (folder / "identity.pem").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("form", ["{}", " {}\n", "'{}'", "file://{}"])
def test_a_name_is_read_as_file_managers_and_shells_write_it(tmp_path: Path, form: str) -> None:
    path = tmp_path / "my identity.pem"
    new_identity(path)
    named = str(path).replace(" ", "%20") if form.startswith("file:") else str(path)
    assert identity_input.take(form.format(named)).data == path.read_bytes()


def encrypted(text: str) -> str:
    key = load_pem_private_key(text[text.index("-----BEGIN PRIVATE") :].encode(), None)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    return text[: text.index("-----BEGIN PRIVATE")] + pem.decode() + text[text.index("-----BEGIN CERT") :]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: "hello\nthere\nagain", "the text is not an identity; choose another: an identity has"),
        (lambda text: "", "nothing was given; paste the invite, or choose an identity file"),
        (lambda text: "/nowhere/x.pem", "/nowhere/x.pem cannot be read: No such file"),
        (lambda text: text[text.index("-----BEGIN CERT") :], "the lines before the key are missing"),
        (encrypted, "encrypted with a password; save it as FILE and decrypt it with: openssl"),
        (lambda text: text[: text.rindex("-----BEGIN")], "it has 1 of the two certificates"),
        (lambda text: text[: text.rindex("-----END")], "it is damaged"),
    ],
)
def test_what_is_wrong_is_said_in_words(tmp_path: Path, change: Callable[[str], str], words: str) -> None:
    new_identity(tmp_path / "new.pem")
    with pytest.raises(ChatdError) as refused:
        given = identity_input.take(change((tmp_path / "new.pem").read_text()))
        identity_input.install(given, tmp_path / "config")
    assert words in f"{refused.value.reason}; {refused.value.fix}"
    assert ".identity-" not in str(refused.value)
    assert not list(tmp_path.glob("config/*"))


def test_another_server_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "config"
    folder.mkdir()
    assert identity_input.other_server(new_identity(tmp_path / "new.pem"), folder) == ""
    new_identity(folder / "identity.pem", "office")
    assert identity_input.other_server(new_identity(tmp_path / "newer.pem"), folder) == "office"
    assert identity_input.other_server(new_identity(tmp_path / "third.pem", "office"), folder) == ""
