"""Two CAs of one server: what each certifies, and what a client accepts of it."""

from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from chatctl.client._piped_identity import keep, newest
from chatd.errors import ChatdError
from chatd.pki import contexts
from chatd.pki.authority import Authority, load_chain, load_roots
from chatd.pki.file_change import change_files, finish_change
from chatd.pki.identity import Identity, read_identity, write_identity
from chatd.pki.record_key import Trust, ensure_record_key, known_signers, load_record_key
from chatd.pki.rollover import crosses_of, is_root, successor
from chatd.pki.rotation import retire, rotate
from tests.support import tlspair
from tests.support.certificates import NOW, make_home, make_identity

LATER = NOW + timedelta(days=3654 - 100)


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    folder = tmp_path / "certs"
    folder.mkdir()
    make_home(folder)
    return folder


def identity_of(certs: Path, name: str) -> Identity:
    """An identity as `chatd user add` makes it at this moment."""
    authority, path = Authority.load(certs), certs / f"{name}.txt"
    issued = authority.issue_device("bob", name, now=NOW)
    crosses = crosses_of(authority.certificate, load_chain(certs))
    write_identity(
        path, issued, authority.certificate, *crosses, instance="lab", user="bob", device=name, servers=[]
    )
    return read_identity(path)


def connect(certs: Path, identity: Identity) -> None:
    """Do what both sides do in TLS and for the envelope. Raises ssl.SSLError or ChatdError."""
    server = contexts.server_context(certs, alpn="chatd/2")
    client = contexts.client_context(identity, alpn=["chatd/2"])
    outcome = tlspair.connect(server, client)
    if error := outcome.client_error or outcome.server_error:
        raise error
    contexts.check_server(outcome.client_saw, identity)
    envelope = x509.load_pem_x509_certificate((certs / "envelope.pem").read_bytes())
    contexts.envelope_key_of(identity)(envelope.public_bytes(Encoding.DER))


def test_old_and_new_identities_connect_before_and_after_a_rotation(certs: Path) -> None:
    old = identity_of(certs, "old")
    connect(certs, old)
    rotate(certs, now=NOW)
    new = identity_of(certs, "new")
    assert (new.ca != old.ca, len(new.crosses)) == (True, 1)
    for identity in (old, new):
        connect(certs, identity)
    retire(certs, now=NOW, days=90)
    connect(certs, new)
    with pytest.raises((ssl.SSLError, ChatdError)):
        connect(certs, old)


def test_an_identity_of_the_old_ca_is_told_by_the_server_itself_that_the_ca_has_changed(certs: Path) -> None:
    old = identity_of(certs, "old")
    rotate(certs, now=NOW)
    retire(certs, now=NOW, days=90)
    leaf = x509.load_pem_x509_certificate((certs / "server.pem").read_bytes())
    with pytest.raises(ChatdError, match=r"another CA by now.*E201"):
        contexts.check_server(leaf.public_bytes(Encoding.DER), old)


def test_several_rotations_in_a_row(certs: Path) -> None:
    for number in range(3):
        rotate(certs, now=NOW)
        connect(certs, identity_of(certs, f"d{number}"))
        retire(certs, now=NOW, days=90)
        connect(certs, identity_of(certs, f"e{number}"))
    assert len(load_roots(certs, "ca-retired.pem")) == 3


def test_a_stranger_of_the_same_name_certifies_nothing(certs: Path) -> None:
    mine, stranger, third = (Authority.create("lab", now=NOW) for _ in range(3))
    forged = stranger.cross_sign(third, now=NOW)
    assert crosses_of(mine.certificate, [forged, third.certificate, mine.certificate]) == ()
    for named in (third, stranger):
        with pytest.raises(ChatdError, match="E209"):
            successor(mine.certificate, named.certificate, [forged, stranger.cross_sign(mine, now=NOW)])
    true = mine.cross_sign(third, now=NOW)
    assert successor(mine.certificate, third.certificate, [forged, true]) == third.certificate
    assert is_root(third.certificate) and not is_root(true)
    # A cross certificate itself is no CA to pin: it has the key but not the successor's own word.
    with pytest.raises(ChatdError, match="E209"):
        successor(mine.certificate, true, [true])


def test_a_device_that_signs_a_ca_is_no_authority(certs: Path) -> None:
    authority = Authority.load(certs)
    device = authority.issue_device("bob", "laptop", now=NOW)
    assert crosses_of(authority.certificate, [device.certificate]) == ()


def test_the_servers_certificates_stay_those_of_the_old_ca_until_it_is_retired(certs: Path) -> None:
    old = Authority.load(certs)
    new = rotate(certs, now=NOW)
    issued = new.issue_server(["127.0.0.1"], now=NOW)
    issued.certificate.verify_directly_issued_by(old.certificate)
    with pytest.raises(ChatdError, match="not complete"):
        rotate(certs, now=NOW)
    retire(certs, now=NOW, days=90)
    after = Authority.load(certs)
    assert after.old is None
    after.issue_server(["127.0.0.1"], now=NOW).certificate.verify_directly_issued_by(new.certificate)
    with pytest.raises(ChatdError, match="E410"):
        retire(certs, now=NOW, days=90)


def test_a_ca_that_has_ended_certifies_no_other(certs: Path) -> None:
    with pytest.raises(ChatdError, match="E612"):
        rotate(certs, now=NOW + timedelta(days=4000))
    assert len(load_roots(certs)) == 1


def test_a_ca_near_its_end_is_replaced_by_one_of_full_length(certs: Path) -> None:
    new = rotate(certs, now=LATER)
    assert new.certificate.not_valid_after_utc - LATER > timedelta(days=3650)
    assert all(
        cross.not_valid_after_utc <= load_roots(certs)[1].not_valid_after_utc for cross in load_chain(certs)
    )


def test_the_record_key_stays_and_both_its_certificates_count(certs: Path) -> None:
    before, _ = ensure_record_key(certs, Authority.load(certs), now=NOW)
    rotate(certs, now=NOW)
    after = load_record_key(certs)
    assert after is not None
    assert after.public.fingerprint == before.public.fingerprint
    for _ in range(2):
        authorities = {signer.ca_fingerprint for signer in known_signers(certs)}
        assert authorities == {before.public.ca_fingerprint, after.public.ca_fingerprint}
        if load_roots(certs)[1:]:
            retire(certs, now=NOW, days=90)
    trusted = Trust.of(str(certs / "ca.pem"))
    assert trusted.accepts(after.public) and not trusted.accepts(before.public)


def test_an_identity_from_a_pipe_moves_with_the_certificates_that_lead_there(
    certs: Path, tmp_path: Path
) -> None:
    path = certs / "laptop.txt"
    piped = make_identity(Authority.load(certs), path)
    pem = path.read_text().partition("-----BEGIN")[2]
    piped = Identity(**{**vars(piped), "pem": "-----BEGIN" + pem, "path": tmp_path / "gone"})
    new = rotate(certs, now=NOW)
    key = x509.load_der_x509_certificate(piped.certificate_der).public_key()
    leaf = new.issue_for_key(key, "bob", "laptop", now=NOW, days=30)  # type: ignore[arg-type]  # a device's
    crosses = load_chain(certs)

    def text(*certificates: x509.Certificate) -> str:
        return "".join(one.public_bytes(Encoding.PEM).decode() for one in certificates)

    moved = keep(piped, text(leaf, new.certificate, *crosses), tmp_path / "state")
    assert moved.ca == new.certificate and len(moved.crosses) == 1
    assert newest(piped, tmp_path / "state").certificate_der == moved.certificate_der
    connect(certs, moved)
    with pytest.raises(ChatdError, match="E209"):
        keep(piped, text(leaf, new.certificate), tmp_path / "state")


def test_a_change_of_files_that_was_not_decided_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_text("old")
    (tmp_path / ".change.new").mkdir()
    (tmp_path / ".change.new" / "a.pem").write_text("new")
    finish_change(tmp_path)
    assert (tmp_path / "a.pem").read_text() == "old"
    change_files(tmp_path, {"a.pem": b"newer", "b.key": b"key"}, ["c.key"])
    assert (tmp_path / "a.pem").read_text() == "newer"
    assert (tmp_path / "b.key").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pem", "b.key"]
