"""Enrolment under attack: races, a man in the middle, wrong codes, hostile requests, junk, silence."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from chatctl.client import join as redeem
from chatd.config.schema import Settings
from chatd.enrol import admission
from chatd.enrol.admission import Admission
from chatd.errors import ChatdError
from chatd.pki.authority import Authority
from chatd.pki.contexts import enrol_context_from
from chatd.pki.profiles import fingerprint
from chatd.proto.frames import encode
from chatd.proto.invite_code import InviteCode, authority_mark, parse_code
from chatd.supervisor.main import child_specs
from tests.support.daemon import Daemon, running, wait_until
from tests.support.joining import RawJoiner, devices_of, invite, join, outcome_of


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(tmp_path_factory.mktemp("abuse") / "home") as daemon:
        yield daemon


def _request(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, name: str = "x") -> str:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    uri = x509.SubjectAlternativeName([x509.UniformResourceIdentifier("chatd://lab/user/alice/device/x")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(uri, critical=True)
    return base64.b64encode(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)).decode()


def test_of_a_hundred_who_redeem_one_code_one_gets_in(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        code = invite(daemon, "carol")
        with ThreadPoolExecutor(100) as pool:
            outcomes = Counter(pool.map(lambda _: outcome_of(daemon.port, code), range(100)))
        assert outcomes["enrolled"] == 1, outcomes
        assert set(outcomes) <= {"enrolled", "E213", "cut"}, outcomes
        assert outcomes["E213"] > 0
        assert devices_of(daemon, "carol") == ["laptop"]


class _Impostor:
    """A server with a CA of its own, which may show any CA certificate; ``heard`` is what clients send it."""

    def __init__(self, authority: Authority, shown: bytes) -> None:
        issued = authority.issue_server(["127.0.0.1"], now=datetime.now(UTC))
        self._context = enrol_context_from(
            {"server.pem": issued.certificate_pem, "server.key": issued.key_pem}
        )
        self._shown = shown
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.heard: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        plain, _ = self._listener.accept()
        with self._context.wrap_socket(plain, server_side=True) as sock:
            sock.sendall(encode({"type": "authority", "ca": self._shown.decode()}))
            try:
                self.heard.append(sock.recv(65536))
            except (OSError, ssl.SSLError):
                self.heard.append(b"")

    def finish(self) -> list[bytes]:
        self._thread.join(30)
        self._listener.close()
        return self.heard


@pytest.mark.parametrize("shows", ["its own CA", "the server's CA"])
def test_a_man_in_the_middle_gets_no_secret(tmp_path: Path, shows: str) -> None:
    real, other = (Authority.create("lab", now=datetime.now(UTC)) for _ in range(2))
    ca = (other if shows == "its own CA" else real).certificate.public_bytes(Encoding.PEM)
    impostor = _Impostor(other, ca)
    mark = authority_mark(real.certificate.public_bytes(Encoding.DER))
    with pytest.raises(ChatdError) as caught:
        redeem(InviteCode(impostor.address, b"s" * 16, mark), tmp_path / "carol.pem")
    assert caught.value.code == "E209"
    assert impostor.finish() == [b""]
    assert list(tmp_path.iterdir()) == []


def test_a_device_of_the_server_cannot_pose_as_it(tmp_path: Path) -> None:
    """Its certificate is from the same CA."""
    authority = Authority.create("lab", now=datetime.now(UTC))
    impostor = _Impostor(authority, authority.certificate.public_bytes(Encoding.PEM))
    device = authority.issue_device("bob", "laptop", now=datetime.now(UTC))
    chain, key = _files(tmp_path / "bob", device.certificate_pem, device.key_pem)
    impostor._context.load_cert_chain(chain, key)
    mark = authority_mark(authority.certificate.public_bytes(Encoding.DER))
    with pytest.raises(ChatdError) as caught:
        redeem(InviteCode(impostor.address, b"s" * 16, mark), tmp_path / "carol.pem")
    assert caught.value.code == "E209"
    assert impostor.finish() == [b""]


def _files(folder: Path, *contents: bytes) -> list[Path]:
    folder.mkdir()
    paths = [folder / str(number) for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


def test_the_server_shows_the_fingerprint_of_its_ca(daemon: Daemon, tmp_path: Path) -> None:
    seen: list[str] = []
    redeem(parse_code(invite(daemon, "sam")), tmp_path / "sam.pem", saw=seen.append)
    ca = x509.load_pem_x509_certificate((daemon.home / "certs" / "ca.pem").read_bytes())
    assert seen == [fingerprint(ca.public_bytes(Encoding.DER))]
    assert seen[0] in daemon.chatd("cert", "show").stdout


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"csr": "no base64!"}, "E217"),
        ({"csr": base64.b64encode(b"junk").decode()}, "E217"),
        ({"csr": _request(rsa.generate_private_key(public_exponent=65537, key_size=2048))}, "E217"),
        ({"csr": _request(ec.generate_private_key(ec.SECP384R1()))}, "E217"),
        ({"csr": "A" * 3000}, "E217"),
        ({"csr": "A" * 3100}, "E102"),
        ({"csr": 7}, "E102"),
        ({"secret": "zz" * 16}, "E102"),
        ({"secret": "00" * 15}, "E102"),
        ({"device": "../x"}, "E403"),
        ({"device": "x" * 33}, "E102"),
        ({"type": "ping"}, "E102"),
        ({"padding": "x" * 5000}, "cut"),
    ],
    # Not the values: the keys are new in each process that runs tests.
    ids=[
        "no base64", "junk", "RSA", "P-384", "not DER", "too long", "no text",
        "secret of other digits", "short secret", "bad device", "long device", "other type", "long frame",
    ],
)  # fmt: skip
def test_a_hostile_request_is_refused_and_the_code_stays_good(
    daemon: Daemon, fields: dict[str, object], code: str
) -> None:
    user = "pat"
    if "pat" not in daemon.chatctl("invite", "list").stdout:
        _CODES[daemon.port] = invite(daemon, user)
    assert outcome_of(daemon.port, _CODES[daemon.port], **fields) in (code, "E101")
    assert devices_of(daemon, user) == []


_CODES: dict[int, str] = {}


def test_names_in_a_request_count_for_nothing(daemon: Daemon) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    with RawJoiner(daemon.port) as joiner:
        answer = joiner.redeem(invite(daemon, "quinn"), csr=_request(key, "alice"))
    assert (answer["user"], answer["device"]) == ("quinn", "laptop")
    certificate = x509.load_pem_x509_certificate(answer["certificate"].encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["chatd://lab/user/quinn/device/laptop"]


@pytest.mark.parametrize("junk", [b"\0" * 100, b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x00\x02\x01\x00"])
def test_junk_after_the_handover_ends_only_its_connection(daemon: Daemon, junk: bytes) -> None:
    with RawJoiner(daemon.port) as joiner:
        raw = socket.socket(fileno=joiner.sock.detach())
        with raw:
            raw.sendall(junk)
            raw.settimeout(30)
            while raw.recv(65536):
                pass
    assert outcome_of(daemon.port, InviteCode("127.0.0.1:1", b"?" * 16, b"?" * 16)) == "E211"
    assert daemon.child("enrol")["restarts"] == 0


def test_a_silent_client_is_cut_and_holds_up_nobody(daemon: Daemon) -> None:
    silent = RawJoiner(daemon.port)
    assert silent.receive()["type"] == "authority"
    assert outcome_of(daemon.port, InviteCode("127.0.0.1:1", b"?" * 16, b"?" * 16)) == "E211"
    assert silent.receive() == {}, "the server ends it"
    silent.sock.close()


def test_wrong_codes_use_up_a_rate_and_are_logged_as_a_count(tmp_path: Path) -> None:
    with running(tmp_path / "home") as daemon:
        wrong = InviteCode("127.0.0.1:1", b"?" * 16, b"?" * 16)
        outcomes = [outcome_of(daemon.port, wrong) for _ in range(40)]
        assert outcomes[0] == "E211"
        assert outcomes[-1] == "cut"
        done = join(daemon, invite(daemon, "rob"), tmp_path / "rob.pem")
        assert "too many invites are being tried (E218); trying again for up to 60 s" in done.stderr
        assert devices_of(daemon, "rob") == ["laptop"]
        wait_until(
            lambda: any("count" in line for line in daemon.log_lines("security.log")), what="the count"
        )
        lines = [one for one in daemon.log_lines("security.log") if one["event"].startswith("enrol")]
        assert len(lines) < 20


class _Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_each_block_has_its_own_share_of_everything() -> None:
    clock = _Clock()
    bounds = Admission(clock)
    pairs = [socket.socketpair() for _ in range(400)]
    socks = iter([one for pair in pairs for one in pair])
    try:
        allowed = 0
        for sock in islice(socks, 200):
            allowed += bounds.admit(sock, "192.0.2.1") is not None
            bounds.leave(sock)
        assert 0 < allowed <= admission.ATTEMPTS_PER_BLOCK * admission.ATTEMPTS_PER_BLOCK_BURST_SECONDS
        assert bounds.admit(next(socks), "198.51.100.1") is not None, "another block"
        for _ in range(int(admission.FAILURES_PER_BLOCK * admission.FAILURES_PER_BLOCK_BURST_SECONDS)):
            bounds.note_failure("198.51.100.1")
        assert bounds.admit(next(socks), "198.51.100.77") is None
        assert bounds.admit(next(socks), "203.0.113.1") is not None
        clock.now += 1 / admission.FAILURES_PER_BLOCK + 1
        assert bounds.admit(next(socks), "198.51.100.77") is not None
    finally:
        for pair in pairs:
            for one in pair:
                one.close()


def test_whoever_finds_no_slot_may_come_back_as_often_as_it_takes() -> None:
    """A hundred people behind one address come at once: none uses up the attempts of the others."""
    bounds = Admission(_Clock())
    people = int(admission.ATTEMPTS_PER_BLOCK * admission.ATTEMPTS_PER_BLOCK_BURST_SECONDS)
    waiting = [socket.socketpair() for _ in range(people)]
    pairs = list(waiting)
    rounds = 0
    while waiting:
        inside = []
        for pair in waiting:
            slot = bounds.admit(pair[0], "192.0.2.1")
            if slot is not None:
                slot.wait_ends()  # it has sent something, so that nobody takes its place
                inside.append(pair)
        assert inside, f"{len(waiting)} of {people} are left outside"
        for pair in inside:
            bounds.leave(pair[0])
            waiting.remove(pair)
        rounds += 1
    assert rounds >= people // admission.SLOTS_PER_BLOCK
    for pair in pairs:
        for one in pair:
            one.close()


def test_only_the_enrol_process_is_given_the_cas_key(tmp_path: Path) -> None:
    specs = child_specs(Settings(), tmp_path)
    given = {spec.kind for spec in specs if any(path.name == "ca.key" for path in spec.files)}
    assert given == {"enrol"}
    assert {spec.kind for spec in specs} == {"hub", "worker", "enrol"}


def test_another_process_cannot_be_the_enrol_process(daemon: Daemon) -> None:
    """The hub knows it by its pid."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(daemon.home / "run" / "hub.sock"))
        sock.settimeout(30)
        assert sock.recv(100) == b""
