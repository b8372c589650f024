"""EST (RFC 7030) at the gateway of a real server, with curl and openssl as its clients."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7

from chatctl.client import read_identity
from chatd.pki.signing_request import REQUEST_LIMIT
from tests.support.daemon import Daemon
from tests.support.https import Https, gateway
from tests.support.joining import devices_of, invite

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")

Served = tuple[Daemon, Https]


class Answer(NamedTuple):
    status: int
    body: str
    head: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with gateway(tmp_path_factory.mktemp("est") / "home") as found:
        yield found


def openssl(*arguments: str, data: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=True).stdout


def curl(served: Served, path: str, *options: str) -> Answer:
    daemon, https = served
    done = subprocess.run(
        ["curl", "-sS", "-i", "--cacert", str(daemon.home / "certs" / "ca.pem"), *options,
         f"https://127.0.0.1:{https.port}/.well-known/est/{path}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    head, _, body = done.stdout.replace("\r", "").partition("\n\n")
    return Answer(int(head.split()[1]), body, head)


def make_key(folder: Path, *options: str) -> Path:
    """Make a key and a request for it; return the request (PEM), which lies beside key.pem."""
    kind = options or ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    openssl("genpkey", *kind, "-out", str(folder / "key.pem"))
    openssl("req", "-new", "-key", str(folder / "key.pem"), "-subj", "/CN=ignored",
            "-out", str(folder / "request.pem"))  # fmt: skip
    return folder / "request.pem"


def enrol(served: Served, request: Path, login: str, *options: str) -> Answer:
    return curl(served, "simpleenroll", "--user", login, "--data-binary", f"@{request}",
                "-H", "Content-Type: application/pkcs10", *options)  # fmt: skip


def certificates(answer: Answer) -> bytes:
    """Return the certificates of an answer, as openssl reads them, in PEM."""
    assert answer.status == 200, answer
    assert "application/pkcs7-mime" in answer.head
    der = openssl("base64", "-d", data=answer.body.encode())
    return openssl("pkcs7", "-inform", "DER", "-print_certs", data=der)


def test_the_cas_are_those_of_the_server(served: Served) -> None:
    ca = x509.load_pem_x509_certificate((served[0].home / "certs" / "ca.pem").read_bytes())
    assert x509.load_pem_x509_certificates(certificates(curl(served, "cacerts"))) == [ca]
    assert curl(served, "csrattrs").status == 204


def test_an_invite_buys_a_certificate_that_logs_in(served: Served, tmp_path: Path) -> None:
    daemon, _ = served
    code = invite(daemon, "carol").partition("/")[2]
    request = make_key(tmp_path)
    first = enrol(served, request, f"carol:{code}")
    again = enrol(served, request, f"carol:{code}")  # as a client whose answer was lost
    leaf = certificates(first)
    serials = {x509.load_pem_x509_certificate(certificates(one)).serial_number for one in (first, again)}
    assert len(serials) == 1
    instance = read_identity(daemon.identity("alice", "console")).instance
    header = f"schema: 1\ninstance: {instance}\nuser: carol\ndevice: laptop\n"
    header += f"server: 127.0.0.1:{daemon.port}\n"
    identity = tmp_path / "carol.pem"
    ca = (daemon.home / "certs" / "ca.pem").read_bytes()
    identity.write_bytes(header.encode() + (tmp_path / "key.pem").read_bytes() + leaf + ca)
    identity.chmod(0o600)
    assert read_identity(identity).user == "carol"
    assert daemon.run("chatctl", "--identity", str(identity), "whois", "carol").returncode == 0


def test_an_invite_is_for_one_key_and_for_the_name_that_asks(served: Served, tmp_path: Path) -> None:
    daemon, _ = served
    line = invite(daemon, "dora")
    request = make_key(tmp_path)
    wrong = enrol(served, request, f"carol:{line}")
    assert (wrong.status, devices_of(daemon, "dora")) == (401, [])
    assert "not for this name (E211)" in wrong.body
    assert enrol(served, request, f"dora:{line}").status == 200
    other = enrol(served, make_key(tmp_path), f"dora:{line}")
    assert (other.status, "E213" in other.body) == (403, True)
    assert devices_of(daemon, "dora") == ["laptop"]


@pytest.mark.parametrize("login", ["carol:", "carol:MISTYPED", ":x", "x" * 3000])
def test_without_an_invite_nothing_is_issued(served: Served, tmp_path: Path, login: str) -> None:
    answer = enrol(served, make_key(tmp_path), login)
    assert (answer.status, "WWW-Authenticate: Basic" in answer.head) == (401, True)
    assert "E215" in answer.body


def test_requests_that_are_refused_leave_the_invite_as_it_was(served: Served, tmp_path: Path) -> None:
    daemon, _ = served
    login = f"erin:{invite(daemon, 'erin')}"
    rsa = make_key(tmp_path, "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
    refused = enrol(served, rsa, login)
    assert (refused.status, "P-256 (E217)" in refused.body) == (400, True)
    junk = tmp_path / "junk"
    junk.write_text("%%%")
    assert enrol(served, junk, login).status == 400
    junk.write_text("A" * (2 * REQUEST_LIMIT + 1))
    assert enrol(served, junk, login).status == 413
    request = make_key(tmp_path)
    assert curl(served, "simpleenroll", "--user", login, "--data-binary", f"@{request}").status == 415
    assert enrol(served, request, login).status == 200


def test_a_device_renews_with_its_tls_certificate_and_its_key(tmp_path: Path) -> None:
    settings = {"CHATD_GATEWAY__CLIENT_CERTIFICATES": "optional"}
    with gateway(tmp_path / "home", **settings) as renewing:
        daemon, _ = renewing
        request = make_key(tmp_path)
        leaf = certificates(enrol(renewing, request, f"fay:{invite(daemon, 'fay')}"))
        (tmp_path / "leaf.pem").write_bytes(leaf)
        shown = ("--cert", str(tmp_path / "leaf.pem"), "--key", str(tmp_path / "key.pem"))
        kind = ("-H", "Content-Type: application/pkcs10")
        first, again = (
            curl(renewing, "simplereenroll", *shown, *kind, "--data-binary", f"@{request}") for _ in range(2)
        )
        before, renewed = (x509.load_pem_x509_certificate(one) for one in (leaf, certificates(first)))
        assert (renewed.public_key(), renewed.subject) == (before.public_key(), before.subject)
        assert renewed.serial_number != before.serial_number
        assert x509.load_pem_x509_certificate(certificates(again)).serial_number == renewed.serial_number
        (tmp_path / "other").mkdir()
        other = make_key(tmp_path / "other")
        refused = curl(renewing, "simplereenroll", *shown, *kind, "--data-binary", f"@{other}")
        assert (refused.status, "keeps its key (E217)" in refused.body) == (400, True)


def test_a_renewal_needs_the_certificate_of_the_device(served: Served, tmp_path: Path) -> None:
    answer = curl(served, "simplereenroll", "--data-binary", f"@{make_key(tmp_path)}",
                  "-H", "Content-Type: application/pkcs10")  # fmt: skip
    assert (answer.status, "TLS client certificate (E210)" in answer.body) == (403, True)
    assert curl(served, "simpleenroll").status == 405


def test_the_answer_can_be_read_by_others_than_openssl(served: Served) -> None:
    body = openssl("base64", "-d", data=curl(served, "cacerts").body.encode())
    assert len(pkcs7.load_der_pkcs7_certificates(body)) == 1
