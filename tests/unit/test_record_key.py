"""The record key: creating, replacing and loading it, its certificate, and where identities name it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from chatctl.scripts.whoami_command import record_key_of
from chatd.errors import ChatdError
from chatd.pki.authority import Authority
from chatd.pki.identity import read_identity, write_identity
from chatd.pki.profiles import RECORD_KEY_OID, device_of, record_key_in, spki
from chatd.pki.record_key import (
    SigningKey,
    Trust,
    check_record_certificate,
    ensure_record_key,
    key_id,
    known_signers,
    load_record_key,
    replace_record_key,
    verify_head,
)
from tests.support.certificates import NOW, der, forge, key_usage, make_home, purposes, san, signer
from tests.support.signing import MADE, make_signer
from tests.unit.test_signature_vectors import vector_head

DOCUMENT_SIGNING = x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")]), False


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    certs = tmp_path / "certs"
    certs.mkdir()
    return certs


@pytest.fixture
def authority(certs: Path) -> Authority:
    """The CA of a home that was made by a chatd without record keys."""
    return make_home(certs)


@pytest.fixture
def key(certs: Path, authority: Authority) -> SigningKey:
    return ensure_record_key(certs, authority, now=NOW)[0]


def test_an_older_home_gets_one_key_once(certs: Path, authority: Authority) -> None:
    assert load_record_key(certs) is None
    key, created = ensure_record_key(certs, authority, now=NOW)
    again, created_again = ensure_record_key(certs, authority, now=NOW)
    assert (created, created_again) == (True, False)
    assert key.public.fingerprint == again.public.fingerprint
    assert (certs / "record.key").stat().st_mode & 0o777 == 0o600
    assert "PRIVATE" not in repr(key) and "SHA256" in repr(key)


def test_a_key_that_has_no_certificate_is_not_certified(
    certs: Path, authority: Authority, key: SigningKey
) -> None:
    """Somebody else may have put it there."""
    (certs / "record.pem").unlink()
    new, created = ensure_record_key(certs, authority, now=NOW)
    assert created
    assert new.public.fingerprint != key.public.fingerprint


@pytest.mark.parametrize("name", ["record.key", "record.pem", "ca.pem"])
def test_files_that_do_not_fit_are_refused(certs: Path, key: SigningKey, tmp_path: Path, name: str) -> None:
    make_signer(tmp_path / "other")
    (certs / name).write_bytes((tmp_path / "other" / name).read_bytes())
    with pytest.raises(ChatdError, match="E606"):
        load_record_key(certs)
    with pytest.raises(ChatdError, match="E606"):
        ensure_record_key(certs, Authority.load(tmp_path / "other"), now=NOW)


@pytest.mark.parametrize("name", ["record.key", "record.pem"])
def test_damaged_files_are_refused_and_can_be_replaced(
    certs: Path, authority: Authority, key: SigningKey, name: str
) -> None:
    (certs / name).write_text("damaged")
    with pytest.raises(ChatdError, match="chatd cert renew --record-key"):
        load_record_key(certs)
    assert replace_record_key(certs, authority, now=NOW).public.fingerprint != key.public.fingerprint


def test_a_replaced_key_is_still_known(certs: Path, authority: Authority, key: SigningKey) -> None:
    new = replace_record_key(certs, authority, now=NOW)
    known = [known.fingerprint for known in known_signers(certs)]
    assert sorted(known) == sorted([key.public.fingerprint, new.public.fingerprint])
    assert (certs / f"record-{key_id(key.public.key)}.pem").exists()


def test_a_certificate_of_another_ca_is_not_known(certs: Path, key: SigningKey, tmp_path: Path) -> None:
    make_signer(tmp_path / "other")
    (certs / "record-other.pem").write_bytes((tmp_path / "other" / "record.pem").read_bytes())
    (certs / "record-damaged.pem").write_text("damaged")
    assert [known.fingerprint for known in known_signers(certs)] == [key.public.fingerprint]


def test_only_the_profile_of_a_record_key_is_accepted(authority: Authority, key: SigningKey) -> None:
    ca = signer(authority)
    good = {
        "constraints": (x509.BasicConstraints(ca=False, path_length=None), True),
        "usage": key_usage("digital_signature"),
        "purpose": DOCUMENT_SIGNING,
        "san": san("chatd://lab/record"),
    }
    public = key.public.certificate
    assert check_record_certificate(public.public_bytes(Encoding.DER), ca.certificate).instance == "lab"
    for changes in (
        {"san": san("chatd://lab/server")},
        {"san": san("chatd://lab/record/")},
        {"san": san("chatd://lab/record", "chatd://lab/record")},
        {"purpose": purposes("client")},
        {"purpose": None},
        {"usage": key_usage("key_encipherment")},
        {"constraints": (x509.BasicConstraints(ca=True, path_length=None), True)},
        {},  # an ECDSA key
    ):
        issued = forge(ca, {**good, **changes})
        with pytest.raises(ValueError, match=r"certificate|name of the form"):
            check_record_certificate(der(issued), ca.certificate)


def test_no_other_time_or_server_is_signed(key: SigningKey) -> None:
    with pytest.raises(ChatdError, match="E612"):
        key.sign(b"", server="lab", at="2001-01-01T00:00:00Z")
    with pytest.raises(ChatdError, match="E606"):
        key.sign(b"", server="lob", at=MADE)


def test_a_signature_from_after_the_ca_s_end_is_refused(key: SigningKey) -> None:
    late = (NOW + timedelta(days=4000)).strftime("%Y-%m-%dT%H:%M:%SZ")
    with pytest.raises(ValueError, match="not valid at that time"):
        key.public.verify(b"x", key.private.sign(b"x").hex(), server="lab", at=late)


def test_an_identity_names_the_record_key(
    certs: Path, authority: Authority, key: SigningKey, tmp_path: Path
) -> None:
    spki_der = spki(key.public.key)
    for name, named, expected in (("new", spki_der, key.public.fingerprint), ("old", None, "")):
        issued = authority.issue_device("bob", "laptop", now=NOW, record_key=named)
        path = tmp_path / f"{name}.pem"
        write_identity(
            path, issued, authority.certificate, instance="lab", user="bob", device="laptop", servers=[]
        )
        identity = read_identity(path)
        assert identity.record_key == expected
        shown = record_key_of(identity)
        assert shown.startswith(expected or "the identity is older")
        assert (f"as of {identity.not_before:%Y-%m-%d}" in shown) == bool(expected)
        assert device_of(identity.certificate_der, authority.certificate).name.user == "bob"
        trust = Trust.of(str(path))
        assert trust.accepts(key.public)
        assert [spki(known) for known in trust.keys] == ([spki_der] if named else [])
    extension = issued_extension(tmp_path / "new.pem")
    assert not extension.critical, "older clients refuse critical extensions that they do not know"


def issued_extension(path: Path) -> x509.Extension[x509.ExtensionType]:
    leaf = x509.load_pem_x509_certificates(path.read_bytes())[0]
    return leaf.extensions.get_extension_for_oid(RECORD_KEY_OID)


@pytest.mark.parametrize("value", [b"", b"\x30", b"x" * 44])
def test_an_unreadable_record_key_in_a_certificate_counts_as_none(authority: Authority, value: bytes) -> None:
    issued = authority.issue_device("bob", "laptop", now=NOW, record_key=value)
    assert record_key_in(issued.certificate) is None


def test_trust_is_a_fingerprint_or_a_file(certs: Path, key: SigningKey, tmp_path: Path) -> None:
    public = key.public
    other = make_signer(tmp_path / "other").record.public
    for text in (
        public.fingerprint,
        public.ca_fingerprint,
        public.ca_fingerprint.lower(),
        public.ca_fingerprint.replace(":", "").replace("SHA256", "SHA256:"),
        str(certs / "ca.pem"),
        str(certs / "record.pem"),
    ):
        assert Trust.of(text).accepts(public)
        assert not Trust.of(text).accepts(other)
    (tmp_path / "text").write_text("hello")
    for text in ("SHA256:xy", str(tmp_path / "none"), str(tmp_path / "text"), str(certs / "server.pem")):
        with pytest.raises(ChatdError, match="E606"):
            Trust.of(text)


def test_a_head_is_verified_with_a_key_that_an_identity_names(key: SigningKey) -> None:
    head = vector_head()._replace(key_id=key_id(key.public.key))
    head = head._replace(signature=key.private.sign(head.signed).hex())
    verify_head(head, [], [Ed25519PrivateKey.generate().public_key(), key.public.key])
    with pytest.raises(ValueError, match="not known"):
        verify_head(head, [], [Ed25519PrivateKey.generate().public_key()])
    with pytest.raises(ValueError, match="does not fit"):
        verify_head(head._replace(seq=head.seq + 1), [], [key.public.key])
