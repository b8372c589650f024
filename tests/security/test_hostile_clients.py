"""Hostile clients of a real server: they stall logins, show forged certificates and inject text.

The injected texts target terminals, logs and the search's query language.
"""

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
from chatd.pki.authority import Authority
from chatd.pki.contexts import explain_tls_failure
from chatd.pki.identity import Identity, read_identity
from chatd.pki.issued import Issued
from chatd.proto.text import visible
from tests.support.certificates import DEVICE, NOW, der, forge, san, signer
from tests.support.daemon import Daemon, wait_until
from tests.support.hostile import TEXTS
from tests.support.rawclient import Json, RawClient, new_id, pack, unverified_context
from tests.support.under_attack import UNLIMITED, log_in, open_live_session, update_section, witnessed_daemon

HANDSHAKE_SECONDS = 3
HANDSHAKES_PER_ADDRESS = 8
OTHER_ADDRESS = "127.0.0.9"


def settings(tree: dict[str, Any]) -> None:
    update_section(tree, "server", handshake_timeout=HANDSHAKE_SECONDS, timeout=120)
    update_section(
        tree,
        "limits",
        handshakes_per_address=HANDSHAKES_PER_ADDRESS,
        message_chars=4000,
        per_role={"user": UNLIMITED, "admin": UNLIMITED},
    )


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with witnessed_daemon(tmp_path_factory.mktemp("hostile") / "home", settings, "bob") as daemon:
        yield daemon
        assert_logs_are_intact(daemon)


@pytest.fixture
def bob(daemon: Daemon) -> Iterator[RawClient]:
    with open_live_session(daemon, "bob") as client:
        yield client


def assert_logs_are_intact(daemon: Daemon) -> None:
    """Check that every line is one JSON object in printable ASCII, and that no record is missing."""
    for path in (daemon.home / "logs").glob("*.log"):
        for line in path.read_text().splitlines():
            assert line.isascii(), path
            assert line.isprintable(), path
        daemon.log_lines(path.name)
    numbers: dict[str, list[int]] = {}
    for record in daemon.log_lines("server.log"):
        numbers.setdefault(record["proc"], []).append(record["n"])
    numbers.pop("chatd", None)  # commands: each is a process of its own and counts from 1
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


STALLS: list[Callable[[RawClient], None]] = [_silent, _half_a_hello, _after_tls, _half_an_m1, _after_m1]


def test_stalled_logins_of_one_address_are_limited_and_end_while_others_log_in(
    daemon: Daemon, bob: RawClient
) -> None:
    before = _count(daemon, "turned_away")
    with contextlib.ExitStack() as stack:
        stalled = []
        for number in range(6 * HANDSHAKES_PER_ADDRESS):
            client = stack.enter_context(RawClient(daemon.port, daemon.identity("bob"), source=OTHER_ADDRESS))
            stalled.append(client)
            with contextlib.suppress(EOFError, OSError):  # turned away
                STALLS[number % len(STALLS)](client)
        assert bob.say("I am still here")["type"] == "ok"
        for _ in range(5):
            with log_in(daemon, "bob") as newcomer:
                assert newcomer.ask("ping")["type"] == "ok"
        wait_until(lambda: _count(daemon, "turned_away") > before, what="a client to be turned away")
        for client in stalled:
            client.wait_for_end()
    wait_until(lambda: _count(daemon, "handshake_timeout") > 0, what="a handshake_timeout line")


def test_a_login_that_trickles_in_byte_by_byte_is_ended(daemon: Daemon) -> None:
    with RawClient(daemon.port, daemon.identity("bob"), source=OTHER_ADDRESS) as client:
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


def test_300_connections_that_hang_up_at_once_harm_nobody(daemon: Daemon, bob: RawClient) -> None:
    for _ in range(300):
        RawClient(daemon.port, source=OTHER_ADDRESS).sock.close()
    assert bob.say("still here")["type"] == "ok"


def _count(daemon: Daemon, event: str) -> int:
    return sum(line["event"] == event for line in daemon.log_lines("connections.log"))


# --- certificates ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(daemon: Daemon) -> Authority:
    return Authority.load(daemon.home / "certs")


def foreign_ca(name: str = "lab") -> Issued:
    """Another server's authority, by default of the same name."""
    return signer(Authority.create(name, now=NOW))


def _expired(ca: Issued) -> Issued:
    return forge(ca, DEVICE, start=-timedelta(days=3), end=-timedelta(days=2))


def _not_yet_valid(ca: Issued) -> Issued:
    return forge(ca, DEVICE, start=timedelta(days=2), end=timedelta(days=3))


def _named(uri: str) -> Callable[[Issued], Issued]:
    return lambda ca: forge(ca, DEVICE | {"san": san(uri)})


# Case -> what makes the certificate from the real CA, and the code and words that its owner sees.
CERTIFICATES: dict[str, tuple[Callable[[Issued], Issued], str, str]] = {
    "another authority": (lambda ca: forge(foreign_ca("other"), DEVICE), "E201", "authority"),
    "an authority of the same name": (lambda ca: forge(foreign_ca(), DEVICE), "E201", "authority"),
    "self-signed": (lambda ca: forge(None, DEVICE), "E201", "authority"),
    "signed by a device": (lambda ca: forge(forge(ca, DEVICE), DEVICE), "E201", "authority"),
    "expired": (_expired, "E202", "expired on"),
    "not yet valid": (_not_yet_valid, "E203", "valid from"),
    "unregistered": (lambda ca: forge(ca, DEVICE), "E205", "not in the registry"),
    "of nobody": (_named("chatd://lab/user/zoe/device/laptop"), "E205", "zoe/laptop"),
    "for another server": (_named("chatd://other/user/bob/device/laptop"), "E607", "before the login"),
    "with a hostile name": (_named("chatd://lab/user/b%0ab/device/laptop"), "E607", "before the login"),
}


@pytest.mark.parametrize("case", CERTIFICATES)
def test_the_owner_of_a_bad_certificate_is_told_what_is_wrong(
    daemon: Daemon, authority: Authority, tmp_path: Path, case: str
) -> None:
    make, code, words = CERTIFICATES[case]
    error = _refusal(daemon, tmp_path, make(signer(authority)))
    assert error.code == code, error
    assert words in error.reason
    assert error.fix


def test_the_servers_own_certificates_cannot_log_in(daemon: Daemon, tmp_path: Path) -> None:
    certs = daemon.home / "certs"
    for name in ("server", "envelope"):
        shown = tmp_path / f"{name}.pem"
        shown.write_bytes((certs / f"{name}.key").read_bytes() + (certs / f"{name}.pem").read_bytes())
        with RawClient(daemon.port, shown) as client, pytest.raises((EOFError, ssl.SSLError)):
            client.tls().envelope()


def test_a_client_without_a_certificate_is_refused_with_e200(daemon: Daemon) -> None:
    with RawClient(daemon.port) as client, pytest.raises(ssl.SSLError) as caught:
        client.tls(unverified_context(None))
        client.read_message()
    identity = read_identity(daemon.identity("bob"))
    error = explain_tls_failure(caught.value, server="here", identity=identity, now=time.time())
    assert error.code == "E200"


def _refusal(daemon: Daemon, folder: Path, issued: Issued) -> ChatdError:
    """Connect with bob's identity but the certificate ``issued``; return the error shown to the user."""
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
    """Check that no field contains anything that a terminal would obey."""
    for field in fields:
        text = message.get(field, "")
        assert visible(text) == text, (field, text)
        if field != "body":
            assert "\n" not in text


@pytest.mark.parametrize("case", TEXTS)
def test_a_hostile_text_in_any_field_reaches_nobody_unescaped(
    bob: RawClient, alice: RawClient, case: str
) -> None:
    text = TEXTS[case]
    reply = bob.ask_unparsable("send", msg_id=new_id(), to="#lobby", body=text)
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
        refused = alice.ask_unparsable(kind, **fields)
        assert refused["type"] == "error", kind
        assert refused["code"] != "E500", kind
        assert_harmless(refused, "reason", "fix")
    if alice.ask_unparsable("topic", room="#lobby", topic=text[:250])["type"] == "ok":
        assert_harmless(bob.until(type="topic"), "topic")
    if alice.ask_unparsable("mute", user="bob", reason=text[:250])["type"] == "ok":
        assert_harmless(bob.say("x"), "reason")
        alice.ask("unmute", user="bob")
    if bob.ask_unparsable("away", text=text[:250])["type"] == "ok":
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


def test_an_injected_reason_or_name_cannot_forge_a_log_line(
    daemon: Daemon, bob: RawClient, alice: RawClient
) -> None:
    for text in INJECTIONS:
        alice.ask("mute", user="bob", reason=text)
        alice.ask("unmute", user="bob")
        bob.ask("whois", user=text[:32])
        bob.ask("kick", user=text[:32], reason=text)
        bob.send({"type": text, "id": 1})
        bob.until(type="error")

    def mutes() -> list[Json]:
        return [line for line in daemon.log_lines("audit.log") if line["event"] == "muted"]

    wait_until(lambda: len(mutes()) >= len(INJECTIONS), what="the mutes in audit.log")
    assert_logs_are_intact(daemon)
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
def test_no_query_finds_messages_of_a_room_one_is_not_in(
    bob: RawClient, alice: RawClient, query: str
) -> None:
    alice.ask("create", room="#closed")
    alice.say("secret plans", "#closed")
    reply = bob.ask("search", query=query)
    if reply["type"] == "ok":
        assert [e for e in reply["result"]["events"] if e["room"] == "#closed"] == []
    else:
        assert reply["code"] in ("E102", "E301", "E403", "E404", "E411"), reply
        assert_harmless(reply, "reason", "fix")


# --- false claims ------------------------------------------------------------------------------------


def test_a_users_msg_id_stands_for_one_message_only(bob: RawClient, alice: RawClient) -> None:
    message = {"msg_id": new_id(), "to": "#lobby", "body": "once"}
    first = bob.ask("send", **message)["result"]
    assert bob.ask("send", **message)["result"]["seq"] == first["seq"]
    for change in ({"body": "twice"}, {"to": "@alice"}, {"kind": "action"}, {"reply_to": 1}):
        assert bob.ask("send", **(message | change))["code"] == "E408", change
    # Another user may happen to choose the same id.
    assert alice.ask("send", **message)["result"]["seq"] > first["seq"]


def test_no_field_of_a_request_changes_who_is_asking(bob: RawClient, alice: RawClient) -> None:
    for extra in ({"user": "alice"}, {"from": "alice"}, {"role": "admin"}, {"device": "x"}, {"seq": 1}):
        reply = bob.ask("send", msg_id=new_id(), to="#lobby", body="I am alice", **extra)
        assert reply["code"] == "E102", extra
    assert bob.ask("user_add", user="eve", device="d", serial="ff", role="admin")["code"] == "E300"
    assert alice.ask("user_add", user="eve", device="d", serial="ff", role="admin")["code"] == "E300"


def test_no_name_opens_the_conversation_of_others(bob: RawClient, alice: RawClient) -> None:
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
