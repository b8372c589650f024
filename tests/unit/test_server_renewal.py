"""The server's own certificates: when they are renewed, with which key, and what the supervisor writes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from chatd.enrol.server_renewal import LOOK_SECONDS, ServerRenewal
from chatd.errors import ChatdError
from chatd.pki.authority import Authority, save_issued
from chatd.pki.profiles import ENVELOPE, SERVER
from chatd.pki.server_certificates import PROFILES
from chatd.supervisor.renewed_certificates import install
from chatd.worker.main import load_credentials
from tests.support.certificates import NOW, make_home

DAYS = 90
# When certificates of `NOW` are due.
LATER = NOW + timedelta(days=80)


class Server:
    """An enrol process's renewal and a supervisor's writing, with one clock that tests move."""

    def __init__(self, certs: Path) -> None:
        self.certs = certs
        self.clock = NOW
        self.seconds = 0.0
        self.sent: list[dict[str, object]] = []
        self.renewal = ServerRenewal(self.sent.append, now=lambda: self.clock, monotonic=lambda: self.seconds)

    def take(self, authority: Authority | None = None) -> None:
        files = {path.name: path.read_bytes() for path in self.certs.iterdir() if path.is_file()}
        self.renewal.take(authority, files, DAYS)

    def look(self, authority: Authority | None) -> bool:
        """Let some time pass and a look happen; return whether certificates were renewed and written."""
        self.seconds += LOOK_SECONDS
        self.renewal.run()
        if not self.sent:
            return False
        certificates = self.sent.pop()["certificates"]
        assert isinstance(certificates, dict)
        install(self.certs, certificates, self.clock)
        self.take(authority)
        return True

    def certificates(self) -> list[x509.Certificate]:
        return [x509.load_pem_x509_certificate((self.certs / name).read_bytes()) for name in PROFILES]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    certs = tmp_path_factory.mktemp("template") / "certs"
    certs.mkdir()
    authority = make_home(certs, now=NOW)
    for name, issued in (
        ("server", authority.issue_server(["127.0.0.1", "chat.example.org"], now=NOW)),
        ("envelope", authority.issue_envelope(2048, now=NOW)),
    ):
        save_issued(certs, name, issued)
    return certs


@pytest.fixture
def server(template: Path, tmp_path: Path) -> Server:
    return Server(Path(shutil.copytree(template, tmp_path / "certs")))


@pytest.fixture
def authority(server: Server) -> Authority:
    authority = Authority.load(server.certs)
    server.take(authority)
    return authority


def names_in(certificate: x509.Certificate) -> list[x509.GeneralName]:
    return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)


def test_two_years_pass_with_valid_certificates_and_the_same_keys(
    server: Server, authority: Authority
) -> None:
    first = server.certificates()
    renewed = 0
    for _ in range(730):
        server.clock += timedelta(days=1)
        renewed += server.look(authority)
        for before, now in zip(first, server.certificates(), strict=True):
            assert now.not_valid_before_utc <= server.clock < now.not_valid_after_utc
            assert now.public_key() == before.public_key()
            assert (names_in(now), now.subject) == (names_in(before), before.subject)
    # Each after two thirds of 90 days or a little later, together or apart.
    assert 10 <= renewed <= 26
    files = {path.name: path.read_bytes() for path in server.certs.iterdir()}
    assert load_credentials(files, "lab", True).instance == "lab"


def test_nothing_is_renewed_before_two_thirds_of_its_life(server: Server, authority: Authority) -> None:
    server.clock += timedelta(days=59)
    assert not server.look(authority)
    server.clock += timedelta(days=9)
    assert server.look(authority)
    assert not server.look(authority)


def test_looks_are_rare(server: Server, authority: Authority) -> None:
    server.renewal.run()
    server.clock += timedelta(days=80)
    server.seconds += LOOK_SECONDS - 1
    server.renewal.run()
    assert server.sent == []
    server.seconds += 1
    server.renewal.run()
    assert len(server.sent) == 1


def test_a_mixture_of_old_and_new_files_fits_together(server: Server, authority: Authority) -> None:
    server.clock += timedelta(days=80)
    old = (server.certs / "envelope.pem").read_bytes()
    server.look(authority)
    assert (server.certs / "envelope.pem").read_bytes() != old
    (server.certs / "envelope.pem").write_bytes(old)  # as if the supervisor had died between the two
    files = {path.name: path.read_bytes() for path in server.certs.iterdir()}
    assert load_credentials(files, "lab", True).envelope_certificate
    server.take(authority)
    assert server.look(authority)


def test_certificates_that_have_expired_are_renewed(server: Server, authority: Authority) -> None:
    server.clock += timedelta(days=300)
    assert server.look(authority)


def test_what_a_clock_that_was_ahead_has_issued_is_renewed(server: Server, authority: Authority) -> None:
    server.clock += timedelta(days=1000)
    assert server.look(authority)
    server.clock = NOW
    assert server.look(authority)
    assert all(one.not_valid_before_utc <= NOW for one in server.certificates())


def test_close_to_the_end_of_the_authority_nothing_is_gained(server: Server, authority: Authority) -> None:
    end = authority.certificate.not_valid_after_utc
    server.clock = end - timedelta(days=20)
    assert server.look(authority)
    server.clock = end - timedelta(hours=1)
    assert not server.look(authority)


def test_without_the_key_of_the_authority_the_log_says_so_once(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.take(None)
    server.clock += timedelta(days=80)
    for _ in range(3):
        assert not server.look(None)
    (record,) = caplog.records
    assert vars(record)["event"] == "certificates_not_renewed"
    assert "chatd ca import" in vars(record)["fields"]["fix"]


def test_a_certificate_of_somebody_else_is_left_alone(
    server: Server, template: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = Authority.create("lab", now=NOW)
    save_issued(server.certs, "server", other.issue_server([], now=NOW))
    authority = Authority.load(server.certs)
    server.take(authority)
    server.clock += timedelta(days=80)
    assert not server.look(authority)
    assert "not issued directly" in vars(caplog.records[0])["fields"]["why"]


def test_a_damaged_certificate_is_told_of_and_nothing_is_renewed(
    server: Server, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    path = server.certs / "envelope.pem"
    path.write_bytes(path.read_bytes()[:200])
    server.take(authority)
    assert "cannot be read" in vars(caplog.records[0])["fields"]["why"]
    assert not server.look(authority)


def test_after_the_end_of_the_authority_the_log_says_what_to_do(
    server: Server, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    server.clock = authority.certificate.not_valid_after_utc + timedelta(days=1)
    assert not server.look(authority)
    assert vars(caplog.records[0])["fields"]["code"] == "E612"


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def _again(server: Server, name: str, authority: Authority, now: datetime = LATER) -> str:
    certificate = x509.load_pem_x509_certificate((server.certs / name).read_bytes())
    return _pem(authority.issue_again(certificate, PROFILES[name], now=now, days=DAYS))


# What a process that has taken over enrol might send: (file, its content).
FORGED: dict[str, Callable[[Server, Authority], tuple[str, object]]] = {
    "another key": lambda s, a: ("server.pem", _pem(a.issue_server([], now=LATER).certificate)),
    "another authority": lambda s, a: (
        "server.pem",
        _again(s, "server.pem", Authority.create("lab", now=NOW)),
    ),
    "another instance": lambda s, a: (
        "server.pem",
        _pem(Authority.create("other", now=NOW).issue_server([], now=LATER).certificate),
    ),
    "the envelope's as the server's": lambda s, a: ("server.pem", _again(s, "envelope.pem", a)),
    "the server's as the envelope's": lambda s, a: ("envelope.pem", _again(s, "server.pem", a)),
    "a device's": lambda s, a: ("server.pem", _pem(a.issue_device("bob", "laptop", now=LATER).certificate)),
    "one that has ended": lambda s, a: (
        "server.pem",
        _pem(a.issue_again(s.certificates()[0], SERVER, now=LATER, days=0)),
    ),
    "one that is not valid yet": lambda s, a: (
        "envelope.pem",
        _pem(a.issue_again(s.certificates()[1], ENVELOPE, now=LATER + timedelta(days=2), days=DAYS)),
    ),
    "one that ends today": lambda s, a: (
        "envelope.pem",
        _pem(a.issue_again(s.certificates()[1], ENVELOPE, now=LATER - timedelta(hours=23), days=1)),
    ),
    "no certificate": lambda s, a: ("server.pem", "-----BEGIN CERTIFICATE-----"),
    "no text": lambda s, a: ("server.pem", 7),
    "a long text": lambda s, a: ("server.pem", _again(s, "server.pem", a) + "x" * 20_000),
    "another file": lambda s, a: ("ca.pem", _pem(a.certificate)),
    "a path": lambda s, a: ("../settings.json", _again(s, "server.pem", a)),
}


@pytest.mark.parametrize("forged", FORGED)
def test_the_supervisor_writes_nothing_else(forged: str, server: Server, authority: Authority) -> None:
    before = {path: path.read_bytes() for path in server.certs.parent.rglob("*") if path.is_file()}
    name, content = FORGED[forged](server, authority)
    good = {"envelope.pem": _again(server, "envelope.pem", authority)}
    with pytest.raises(ChatdError) as error:
        install(server.certs, good | {name: content}, LATER + timedelta(minutes=1))
    assert error.value.code == "E606"
    assert {path: path.read_bytes() for path in server.certs.parent.rglob("*") if path.is_file()} == before


def test_the_supervisor_writes_no_certificate_before_it_is_due(server: Server, authority: Authority) -> None:
    """Each one makes all processes load their files anew."""
    with pytest.raises(ChatdError, match="not due"):
        install(server.certs, {"server.pem": _again(server, "server.pem", authority, NOW)}, NOW)
    renewed = {"server.pem": _again(server, "server.pem", authority)}
    install(server.certs, renewed, LATER)
    with pytest.raises(ChatdError, match="not due"):
        install(server.certs, renewed, LATER)


def test_the_supervisor_takes_no_empty_message(server: Server) -> None:
    with pytest.raises(ChatdError, match="no certificates"):
        install(server.certs, {}, NOW)
