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

from chatctl.client import Sent, left_behind, state_folder
from chatctl.client._state_store import FileStore
from chatctl.window import identity_input
from chatctl.window.carrying_over import carry_over
from chatctl.window.drafts import Drafts
from chatd.durable_files import set_aside
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
        (lambda text: "/nowhere/x.pem", "/nowhere/x.pem is neither an invite nor a file; paste the"),
        (lambda text: "x" * 5_000, "x\u2026 is neither an invite nor a file; paste the whole invite"),
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


def unsent(environ: dict[str, str], identity: Identity, *messages: Sent, drafts: dict[str, str]) -> Path:
    """Leave drafts and unsent messages of an identity behind; return their folder."""
    folder = state_folder(identity, environ)
    store = FileStore(folder)
    for sent in messages:
        store.add(sent)
    store.close()
    saving = Drafts(folder)
    saving.save(drafts)
    saving.close()
    return folder


def test_a_new_identity_of_the_same_person_takes_unsent_input_over(tmp_path: Path) -> None:
    environ, path = {"XDG_STATE_HOME": str(tmp_path)}, tmp_path / "identity.pem"
    messages = [
        Sent("0" * 32, "#war", "to arms", "action", None),
        Sent("1" * 32, "@alice", "psst", "text", None),
    ]
    old = unsent(environ, new_identity(path), *messages, drafts={"#war": "half a", "#lobby": "whole"})
    set_aside(path)
    new = new_identity(path)
    told = carry_over(new, environ)
    assert told == "2 messages were not sent: back in the input of #war, @alice"
    saved = Drafts(state_folder(new, environ)).saved
    assert saved == {"#war": "half a\n\n/me to arms", "#lobby": "whole", "@alice,bob": "psst"}
    assert (Drafts(old).saved, left_behind(old)) == ({}, 0)
    assert carry_over(new, environ) == "", "a second start changes nothing"
    assert Drafts(state_folder(new, environ)).saved == saved


def test_unsent_input_for_another_server_stays_and_is_told_of_once(tmp_path: Path) -> None:
    environ, path = {"XDG_STATE_HOME": str(tmp_path)}, tmp_path / "identity.pem"
    old = unsent(
        environ, new_identity(path), Sent("0" * 32, "#war", "secret", "text", None), drafts={"#war": "x"}
    )
    set_aside(path)
    new = new_identity(path, instance="office")
    assert carry_over(new, environ).startswith("1 message was not sent of bob on lab: kept for ")
    assert (Drafts(old).saved, left_behind(old)) == ({"#war": "x"}, 1)
    FileStore(state_folder(new, environ)).close()
    assert carry_over(new, environ) == ""


def test_what_exceeds_the_limits_of_drafts_stays_behind(tmp_path: Path) -> None:
    environ, path = {"XDG_STATE_HOME": str(tmp_path)}, tmp_path / "identity.pem"
    long = [Sent(f"{n:032x}", "#war", "x" * 20_000, "text", None) for n in range(2)]
    old = unsent(environ, new_identity(path), *long, drafts={})
    set_aside(path)
    new = new_identity(path)
    assert "1 message was not sent, and not put back: too many" in carry_over(new, environ)
    assert Drafts(state_folder(new, environ)).saved == {"#war": "x" * 20_000}
    assert left_behind(old) == 1
