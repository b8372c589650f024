"""The gateway's WebSockets under attack: whose page asks, who logs in, and what frames may cost."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chatd.gateway.browser_login import LOGIN_BYTES
from chatd.gateway.gateway_listener import SLOTS_PER_BLOCK
from chatd.pki.authority import Authority
from chatd.pki.identity import write_identity
from chatd.proto.frames import FRAME_LIMIT
from tests.support.certificates import DEVICE, forge, signer
from tests.support.daemon import Daemon, wait_until
from tests.support.https import Https, gateway
from tests.support.key_updates import KeyUpdates
from tests.support.rawclient import RawClient, frame, pack, unverified_context
from tests.support.web_client import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, WebClient, ws_frame

Running = tuple[Daemon, Https]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("websocket-abuse") / "home"
    with gateway(home, CHATD_LIMITS__ATTEMPTS_PER_ADDRESS="2000") as found:
        daemon, https = found
        daemon.add_user("bob")
        # One message a second, and five at once.
        daemon.add_user("gus", role="guest")
        yield found
        with WebClient(https.port, daemon.identity("bob")) as web:
            assert web.logged_in().say("still here")["type"] == "ok"
        assert daemon.log_lines("errors.log") == []
        assert not any(child["restarts"] for child in daemon.status()["children"])


@pytest.fixture
def web(served: Running) -> Iterator[WebClient]:
    daemon, https = served
    with WebClient(https.port, daemon.identity("bob")) as client:
        yield client


# --- the handshake ---------------------------------------------------------------------------------

OTHERS = [
    # Cross-site WebSocket hijacking: a page of another origin, or one that hides its own.
    ({"origin": "https://evil.example"}, 403),
    ({"origin": "null"}, 403),
    ({"origin": None}, 403),
    ({"origin": "http://{host}"}, 403),
    ({"origin": "https://{host}/"}, 403),
    ({"origin": "https://{host}.evil.example"}, 403),
    ({"origin": "https://127.0.0.1:1"}, 403),
    ({"origin": "https://{host}, https://evil.example"}, 403),
    # DNS rebinding, and a relay under another port.
    ({"host": "evil.example", "origin": "https://evil.example"}, 421),
    ({"host": "127.0.0.1:1", "origin": "https://127.0.0.1:1"}, 421),
    ({"host": "127.0.0.1", "origin": "https://127.0.0.1"}, 421),
    ({"host": "127.0.0.1:", "origin": "https://127.0.0.1:"}, 421),
    # No handshake of RFC 6455.
    ({"upgrade": "h2c"}, 426),
    ({"upgrade": None}, 426),
    ({"connection": "keep-alive"}, 426),
    ({"sec_websocket_version": "12"}, 426),
    ({"sec_websocket_version": None}, 426),
    ({"sec_websocket_key": "c2hvcnQ="}, 400),
    ({"sec_websocket_key": "not base64, sixteen"}, 400),
    ({"sec_websocket_key": None}, 400),
    ({"sec_websocket_protocol": "chatd.2"}, 400),
    ({"sec_websocket_protocol": None}, 400),
    ({"content_length": "5"}, 413),
    ({"transfer_encoding": "chunked"}, 413),
]  # fmt: skip


_SUBPROTOCOLS = {"/session": "chatd.1", "/join": "chatd-join.1"}


@pytest.mark.parametrize("path", list(_SUBPROTOCOLS))
@pytest.mark.parametrize(("headers", "status"), OTHERS, ids=range(len(OTHERS)))
def test_only_the_servers_own_page_opens_a_websocket(
    web: WebClient, path: str, headers: dict[str, str | None], status: int
) -> None:
    web.tls_of(certificate=False)
    fields = {name: text and text.replace("{host}", web.host) for name, text in headers.items()}
    subprotocol = fields.pop("sec_websocket_protocol", _SUBPROTOCOLS[path])
    assert web.upgrade(web.request(path, subprotocol, **fields)) == status


def test_extensions_are_not_agreed(web: WebClient) -> None:
    web.tls_of(certificate=False)
    assert web.upgrade(web.request(sec_websocket_extensions="permessage-deflate")) == 101
    assert "extensions" not in web.head.lower()


@pytest.mark.parametrize("method", [b"POST", b"HEAD", b"PUT", b"get"])
def test_only_get_switches(web: WebClient, method: bytes) -> None:
    web.tls_of(certificate=False)
    assert web.upgrade(web.request().replace(b"GET", method, 1)) == 405


# --- the login -------------------------------------------------------------------------------------

REPLAYS: list[dict[str, str]] = [
    {"nonce": "A" * 43},
    {"instance": "other"},
    {"origin": "https://evil.example"},
    {"signature": ""},
    {"signature": "A" * 86},
    {"signature": "A" * 85},
    {"signature": "!" * 86},
    {"certificate": ""},
    {"certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"},
]


@pytest.mark.parametrize("changed", REPLAYS, ids=range(len(REPLAYS)))
def test_a_signature_is_of_this_challenge_page_and_server(web: WebClient, changed: dict[str, str]) -> None:
    web.send_plain(web.login_message(web.challenged(), **changed))
    assert web.refused()["code"] in ("E210", "E200")


def test_a_login_is_of_no_use_again(served: Running, web: WebClient) -> None:
    daemon, https = served
    login = web.login_message(web.challenged())
    web.send_plain(login)
    web.open_session()
    assert web.receive()["type"] == "welcome"
    with WebClient(https.port, daemon.identity("bob")) as again:
        again.challenged()
        again.send_plain(login)
        assert again.refused()["code"] == "E210"


def other_identity(daemon: Daemon, path: Path, *, ended: bool) -> Path:
    """Write an identity of bob by another CA of the same name, or one by this CA that has expired."""
    now = datetime.now(UTC)  # the daemon's CA may be younger than this module
    made = Authority.load(daemon.home / "certs") if ended else Authority.create("lab", now=now)
    issued = made.issue_device("bob", "laptop", now=now)
    if ended:
        issued = forge(signer(made), DEVICE, end=-timedelta(minutes=1))
    write_identity(path, issued, made.certificate, instance="lab", user="bob", device="laptop", servers=[])
    return path


@pytest.mark.parametrize(("ended", "code"), [(False, "E210"), (True, "E202")])
def test_certificates_of_others_and_of_the_past_log_nobody_in(
    served: Running, tmp_path: Path, ended: bool, code: str
) -> None:
    daemon, https = served
    with WebClient(https.port, other_identity(daemon, tmp_path / "bob.pem", ended=ended)) as web:
        web.send_plain(web.login_message(web.challenged()))
        assert web.refused()["code"] == code


@pytest.mark.parametrize("name", ["server", "envelope", "ca"])
def test_the_servers_own_certificates_log_nobody_in(served: Running, web: WebClient, name: str) -> None:
    daemon, _ = served
    pem = (daemon.home / "certs" / f"{name}.pem").read_text()
    web.send_plain(web.login_message(web.challenged(), certificate=pem))
    assert web.refused()["code"] == "E210"


def test_a_banned_user_is_refused_by_the_hub(served: Running) -> None:
    daemon, https = served
    identity = daemon.add_user("mallory")
    daemon.chatctl("ban", "mallory", "--for", "1h")
    with WebClient(https.port, identity) as web:
        web.send_plain(web.login_message(web.challenged()))
        web.open_session()
        assert web.read_bye()["code"] == "E207"


NO_LOGINS = [
    ws_frame(BINARY, b"{}"),
    ws_frame(TEXT, b"[]"),
    ws_frame(TEXT, b'{"type":"hello"}'),
    ws_frame(TEXT, b'{"type":"login"}'),
    ws_frame(TEXT, b'{"type":"login","type":"login","certificate":"","signature":""}'),
    ws_frame(TEXT, b"\xff"),
    ws_frame(TEXT, b"{}", masked=False),
    ws_frame(TEXT, b"{}", rsv=4),
    ws_frame(CONTINUATION, b"{}"),
    ws_frame(PING, b"", fin=False),
    ws_frame(PING, b"a" * 126),
    ws_frame(3, b""),
    ws_frame(CLOSE, b"a"),
    ws_frame(TEXT, b"a" * (LOGIN_BYTES + 1)),
    ws_frame(TEXT, b"", fin=False) + ws_frame(CONTINUATION, b"a", fin=False) * (LOGIN_BYTES + 1),
    ws_frame(PING, b"") * 1000,
    b"GET / HTTP/1.1\r\n\r\n" * 100,
]


@pytest.mark.parametrize("sent", NO_LOGINS, ids=range(len(NO_LOGINS)))
def test_what_is_no_login_ends_the_connection(web: WebClient, sent: bytes) -> None:
    web.challenged()
    # A client that goes on sending may be reset before it reads the refusal.
    try:
        web.send_plain(sent)
        while (found := web.next_frame())[0] == PONG:
            pass
        assert json.loads(found[1])["type"] == "bye"
        assert web.next_frame()[0] == CLOSE
    except (EOFError, OSError):
        pass
    web.wait_for_end()


def test_slow_logins_are_cut_and_half_open_upgrades_make_way(served: Running) -> None:
    daemon, https = served
    with ExitStack() as stack:
        for _ in range(SLOTS_PER_BLOCK + 4):
            client = stack.enter_context(WebClient(https.port, daemon.identity("bob")))
            client.challenged()
        # They keep nobody out, each silent for a second or more.
        wait_until(lambda: _logs_in(https, daemon))
        # And each is ended in server.handshake_timeout, though a ping comes now and then.
        client.sock.settimeout(0.5)
        wait_until(lambda: _has_ended(client))


def _logs_in(https: Https, daemon: Daemon) -> bool:
    try:
        with WebClient(https.port, daemon.identity("bob")) as web:
            return bool(web.logged_in())
    except (EOFError, OSError):
        return False


def _has_ended(client: WebClient) -> bool:
    try:
        client.send_plain(ws_frame(PING, b""))
        client.next_frame()
        return False
    except TimeoutError:
        return False
    except (EOFError, OSError):
        return True


# --- the session -----------------------------------------------------------------------------------

# More than the server reads at once, of the smallest frames: what is read together costs a burst at most.
FRAMES = 9000


@pytest.fixture
def guest(served: Running) -> Iterator[WebClient]:
    daemon, https = served
    with WebClient(https.port, daemon.identity("gus")) as client:
        yield client.logged_in()


VIOLATIONS: list[Callable[[], bytes]] = [
    lambda: ws_frame(TEXT, b"{}"),
    lambda: ws_frame(BINARY, b"{}", masked=False),
    lambda: ws_frame(BINARY, b"\x78\x9c", rsv=4),
    lambda: ws_frame(CONTINUATION, b"{}"),
    lambda: ws_frame(BINARY, b"", fin=False) + ws_frame(BINARY, b""),
    lambda: ws_frame(BINARY, pack(b"{}")[:-1]),
    lambda: ws_frame(BINARY, b"\x00\x00\x00\x00"),
    lambda: ws_frame(BINARY, b"a" * (FRAME_LIMIT + 1)),
    lambda: ws_frame(BINARY, b"a" * 100_000, size=2**62),
    lambda: ws_frame(BINARY, b"a" * 40_000, fin=False) + ws_frame(CONTINUATION, b"a" * 40_000),
    lambda: ws_frame(BINARY, b"a", size=2**63),
    lambda: ws_frame(PING, b"a" * 126),
    lambda: ws_frame(11, b""),
    lambda: ws_frame(CLOSE, (999).to_bytes(2, "big")),
    lambda: ws_frame(CLOSE, (1000).to_bytes(2, "big") + b"\xff"),
]


@pytest.mark.parametrize("violation", VIOLATIONS, ids=range(len(VIOLATIONS)))
def test_a_violation_ends_the_session_with_a_bye(web: WebClient, violation: Callable[[], bytes]) -> None:
    web.logged_in()
    web.send_plain(violation())
    bye = web.read_bye()
    assert (bye["code"], bye["retry"]) == ("E100", False)


@pytest.mark.parametrize(
    "junk",
    [ws_frame(PING, b""), ws_frame(PONG, b"x"), ws_frame(BINARY, b"")],
    ids=["pings", "pongs", "empty messages"],
)
def test_frames_without_a_request_cost_as_much_as_messages(guest: WebClient, junk: bytes) -> None:
    """Else a client could have the server parse and answer without end, whatever its role's rate."""
    guest.send_plain(junk * FRAMES)
    assert guest.until(type="slowed")["seconds"] >= 1


def test_empty_fragments_cost_as_much_as_messages(guest: WebClient) -> None:
    pieces = ws_frame(BINARY, b"", fin=False) + ws_frame(CONTINUATION, b"", fin=False) * FRAMES
    guest.send_plain(pieces + ws_frame(CONTINUATION, frame({"type": "ping", "id": 7})))
    assert guest.until(type="slowed")["seconds"] >= 1


def test_ordinary_requests_cost_nothing_more(served: Running) -> None:
    """Five requests are the burst, so a charge too many would slow the client down before the sixth."""
    daemon, https = served
    with WebClient(https.port, daemon.add_user("gina", role="guest")) as web:
        web.logged_in()
        for number in range(1, 6):
            web.send({"type": "rooms", "id": number})
            assert web.receive()["id"] == number


def test_pongs_that_nobody_reads_are_bounded(served: Running) -> None:
    """The answers to pings wait in the outbox, which has a limit."""
    daemon, https = served
    with WebClient(https.port, daemon.identity("bob"), receive_buffer=4096) as web:
        web.logged_in()
        web.sock.settimeout(0.5)
        with pytest.raises(OSError):
            while True:
                web.send_plain(ws_frame(PING, b"a" * 125) * 64)
    wait_until(lambda: daemon.child("gateway")["rss"] < 200_000_000)


def test_key_updates_are_answered_and_charged(served: Running, tmp_path: Path) -> None:
    daemon, https = served
    context = unverified_context(None, "http/1.1")
    context.keylog_filename = str(tmp_path / "keys")
    with WebClient(https.port, daemon.identity("gus")) as web:
        web.tls(context)
        assert web.upgrade() == 101
        web.send_plain(web.login_message(web.next_text()))
        web.open_session()
        assert web.receive()["type"] == "welcome"
        web.send_tcp(KeyUpdates(web, tmp_path / "keys").make(FRAMES // 20))
        # To decrypt this, the client's TLS follows the server's new keys.
        assert web.until(type="slowed")["seconds"] >= 1


def test_no_certificate_but_a_devices_is_taken_by_tls(served: Running, tmp_path: Path) -> None:
    daemon, https = served
    daemon.write_settings(lambda settings: settings["gateway"].update(client_certificates="required"))
    daemon.chatd("reload")
    try:
        with WebClient(https.port, daemon.identity("bob")) as web:
            challenge = web.challenged(certificate=True)
            assert challenge["certificate"] is True
            web.send_plain(ws_frame(TEXT, b'{"type":"login"}'))
            web.open_session()
            assert web.receive()["type"] == "welcome"
        with WebClient(https.port, daemon.identity("bob")) as web:
            # Without one the page is served, and nobody logs in, whatever they sign.
            web.send_plain(web.login_message(web.challenged()))
            assert web.refused()["code"] == "E200"
        ended = other_identity(daemon, tmp_path / "bob.pem", ended=True)
        with WebClient(https.port, ended) as web, pytest.raises((EOFError, OSError)):
            web.challenged(certificate=True)
    finally:
        daemon.write_settings(lambda settings: settings["gateway"].update(client_certificates="off"))
        daemon.chatd("reload")


def test_native_clients_do_not_notice(served: Running) -> None:
    daemon, _ = served
    port = int(daemon.status()["address"].rpartition(":")[2])
    with RawClient(port, daemon.identity("bob")) as native:
        assert native.logged_in().say("native")["type"] == "ok"
