"""The certificate that is kept for an identity from a pipe counts only if it fits the key and the names."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from chatctl.client._piped_identity import FILE_NAME, is_piped, keep, newest
from chatd.errors import ChatdError
from chatd.pki.authority import Authority
from chatd.pki.identity import Identity, read_identity
from tests.support.certificates import NOW, make_identity

OTHER_KEY = ec.generate_private_key(ec.SECP256R1()).public_key()


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("lab", now=NOW)


@pytest.fixture
def identity(authority: Authority, tmp_path: Path) -> Identity:
    """What `read_identity` returns for a pipe: a file with another line end, which is then gone."""
    path = tmp_path / "bob.pem"
    make_identity(authority, path)
    path.write_bytes(path.read_bytes() + b"\n")
    path.chmod(0o600)
    identity = read_identity(path)
    assert not is_piped(identity)
    path.unlink()
    assert is_piped(identity)
    return identity


def certify(authority: Authority, identity: Identity, user: str = "bob", days: int = 400) -> str:
    key = x509.load_der_x509_certificate(identity.certificate_der).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    issued = authority.issue_for_key(key, user, "laptop", now=NOW + timedelta(minutes=1), days=days)
    return issued.public_bytes(Encoding.PEM).decode()


def test_a_kept_certificate_replaces_an_older_one(
    authority: Authority, identity: Identity, tmp_path: Path
) -> None:
    folder = tmp_path / "state" / "device"
    assert newest(identity, folder) == identity
    renewed = keep(identity, certify(authority, identity), folder)
    assert renewed.not_after > identity.not_after
    assert newest(identity, folder) == renewed
    assert (renewed.user, renewed.device, renewed.servers) == ("bob", "laptop", identity.servers)
    assert (folder / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    # Renewed once more.
    again = keep(renewed, certify(authority, identity, days=500), folder)
    assert newest(identity, folder) == newest(renewed, folder) == again


def _another_key(authority: Authority, identity: Identity) -> str:
    issued = authority.issue_for_key(OTHER_KEY, "bob", "laptop", now=NOW, days=400)
    return issued.public_bytes(Encoding.PEM).decode()


UNFIT: dict[str, Callable[[Authority, Identity], str]] = {
    "another key's": _another_key,
    "another user's": lambda authority, identity: certify(authority, identity, "mallory"),
    "another authority's": lambda authority, identity: certify(Authority.create("lab", now=NOW), identity),
    "nothing": lambda authority, identity: "",
    "no certificate": lambda authority, identity: "-----BEGIN CERTIFICATE-----\n\u00e9",
}


@pytest.mark.parametrize("unfit", UNFIT)
def test_another_certificate_does_not_count(
    unfit: str, authority: Authority, identity: Identity, tmp_path: Path
) -> None:
    text = UNFIT[unfit](authority, identity)
    (tmp_path / FILE_NAME).write_text(text, "utf-8")
    assert newest(identity, tmp_path) == identity
    with pytest.raises(ChatdError, match="E608"):
        keep(identity, text, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_an_older_certificate_does_not_count(
    authority: Authority, identity: Identity, tmp_path: Path
) -> None:
    (tmp_path / FILE_NAME).write_text(certify(authority, identity, days=3))
    assert newest(identity, tmp_path) == identity


def test_a_folder_that_cannot_be_made_is_named(
    authority: Authority, identity: Identity, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ChatdError, match="E606") as caught:
        keep(identity, certify(authority, identity), tmp_path / "file" / "state")
    assert "cannot be made" in caught.value.reason


def test_the_identity_of_a_removed_file_is_no_pipe(authority: Authority, tmp_path: Path) -> None:
    path = tmp_path / "bob.pem"
    identity = make_identity(authority, path)
    path.unlink()
    assert not is_piped(identity)
