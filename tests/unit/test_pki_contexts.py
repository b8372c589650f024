"""TLS contexts: the agreed parameters, and files that are refused."""

from __future__ import annotations

import ssl
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from chatd.errors import ChatdError
from chatd.pki.authority import Authority
from chatd.pki.contexts import check_server, client_context, envelope_key_of, server_context
from chatd.pki.identity import Identity
from chatd.pki.profiles import device_of
from tests.support.certificates import NOW, der, make_home, make_identity
from tests.support.tlspair import connect

ALPN = "chatd/1"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return make_home(tmp_path)


@pytest.fixture
def identity(authority: Authority, tmp_path: Path) -> Identity:
    return make_identity(authority, tmp_path / "bob.pem")


def test_both_ends_see_each_others_certificate(
    tmp_path: Path, authority: Authority, identity: Identity
) -> None:
    outcome = connect(
        server_context(tmp_path, alpn=ALPN), client_context(identity, alpn=[ALPN, "chatd-plain/1"])
    )
    assert outcome.client_error is None
    assert outcome.server_saw == identity.certificate_der
    assert device_of(outcome.server_saw, authority.certificate).name == ("lab", "bob", "laptop")
    check_server(outcome.client_saw, identity)
    assert outcome.alpn == ALPN


def test_both_ends_share_a_binding_that_differs_for_each_connection(
    tmp_path: Path, identity: Identity
) -> None:
    server, client = server_context(tmp_path, alpn=ALPN), client_context(identity, alpn=[ALPN])
    bindings = []
    for _ in range(2):
        ends = shake(server, client)
        first, second = (end.get_channel_binding("tls-unique") for end in ends)
        assert first == second and first is not None and len(first) >= 32
        bindings.append(first)
    assert bindings[0] != bindings[1]


def shake(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(3):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                pass
    assert ends[1].version() == "TLSv1.3"
    return ends


def test_no_session_tickets_are_issued(tmp_path: Path, identity: Identity) -> None:
    client, server = shake(server_context(tmp_path, alpn=ALPN), client_context(identity, alpn=[ALPN]))
    server.write(b"!")
    assert client.read(1) == b"!"
    assert client.session is not None and not client.session.has_ticket


def test_both_contexts_require_tls_1_3_and_the_pinned_authority(tmp_path: Path, identity: Identity) -> None:
    for context in (server_context(tmp_path, alpn=ALPN), client_context(identity, alpn=[ALPN])):
        assert context.minimum_version is context.maximum_version is ssl.TLSVersion.TLSv1_3
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.verify_flags & ssl.VerifyFlags.VERIFY_X509_STRICT
        assert context.security_level >= 2
        assert context.cert_store_stats()["x509_ca"] == context.cert_store_stats()["x509"] == 1


@pytest.mark.parametrize("name", ["server.pem", "server.key", "ca.pem"])
@pytest.mark.parametrize("damage", ["missing", "empty", "other"])
def test_a_home_with_damaged_files_is_refused(
    tmp_path: Path, authority: Authority, name: str, damage: str
) -> None:
    if damage == "missing":
        (tmp_path / name).unlink()
    else:
        text = (tmp_path / name.replace("server", "envelope").replace("ca.pem", "ca.key")).read_bytes()
        (tmp_path / name).write_bytes(b"" if damage == "empty" else text)
    with pytest.raises(ChatdError) as caught:
        server_context(tmp_path, alpn=ALPN)
    assert caught.value.code == "E606"


def test_a_key_with_a_password_is_refused_without_a_prompt(tmp_path: Path, authority: Authority) -> None:
    key = authority.issue_server([], now=NOW).key
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    (tmp_path / "server.key").write_bytes(locked)
    with pytest.raises(ChatdError) as caught:
        server_context(tmp_path, alpn=ALPN)
    assert caught.value.code == "E606"
    assert "password" in caught.value.reason


def test_a_missing_identity_file_is_refused(identity: Identity) -> None:
    identity.path.unlink()
    with pytest.raises(ChatdError) as caught:
        client_context(identity, alpn=[ALPN])
    assert caught.value.code == "E608"


def test_another_server_of_the_same_authority_is_refused(authority: Authority, identity: Identity) -> None:
    leaf = der(authority.issue_server([], now=NOW))
    check_server(leaf, identity)
    for bad, known in [
        (leaf, replace(identity, instance="other")),
        (leaf, replace(identity, instance="la")),
        (b"", identity),
        (leaf[:-1], identity),
        (leaf + b"0", identity),
    ]:
        with pytest.raises(ChatdError) as caught:
            check_server(bad, known)
        assert caught.value.code == "E209"


def test_the_envelope_key_must_come_from_the_pinned_authority(
    authority: Authority, identity: Identity
) -> None:
    issued = authority.issue_envelope(2048, now=NOW)
    assert envelope_key_of(identity)(der(issued)) == issued.key.public_key()


@pytest.mark.parametrize("days", [-1, 900])
def test_an_envelope_certificate_outside_its_validity_is_refused(
    authority: Authority, identity: Identity, days: int
) -> None:
    verify = envelope_key_of(identity, now=lambda: NOW + timedelta(days=days))
    with pytest.raises(ChatdError) as caught:
        verify(der(authority.issue_envelope(2048, now=NOW)))
    assert caught.value.code == "E209"
    assert "clock" in caught.value.reason
