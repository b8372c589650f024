"""Connecting to wrong, hostile, silent and unreachable servers."""

from __future__ import annotations

import dataclasses
import queue
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from chatctl.client import Client, Connected, _dialing
from chatd.crypto.handshake import HANDSHAKE_LIMIT
from chatd.errors import ChatdError
from chatd.pki.authority import Authority, save_issued
from chatd.pki.contexts import server_context
from chatd.pki.identity import Identity, read_identity, write_identity
from chatd.proto.frames import FRAME_LIMIT, encode
from chatd.proto.unsealed import PlainSealer
from tests.support.certificates import NOW, make_home
from tests.support.daemon import wait_until
from tests.unit.test_client_session import bye, message, welcome

TIMEOUT = 20.0
PLAIN = "chatd-plain/1"
Behaviour = Callable[[socket.socket, "Server"], None]


class Server:
    """Listens on loopback and calls ``behave`` with each connection in turn."""

    def __init__(self, certs: Path, behave: Behaviour) -> None:
        self.certs = certs
        self._behave = behave
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(TIMEOUT)
            with connection:
                try:
                    self._behave(connection, self)
                except OSError:
                    pass

    def tls(self, connection: socket.socket, alpn: str) -> ssl.SSLSocket:
        return server_context(self.certs, alpn=alpn).wrap_socket(connection, server_side=True)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(TIMEOUT)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Authority]:
    certs = tmp_path_factory.mktemp("certs")
    return certs, make_home(certs)


@pytest.fixture
def serve(authority: tuple[Path, Authority], tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """A function that starts a server and a client that does not reconnect."""
    with ExitStack() as stack:

        def start(behave: Behaviour, *, host: str = "127.0.0.1", certs: Path | None = None) -> Client:
            server = Server(certs or authority[0], behave)
            stack.callback(server.close)
            identity = make_identity(authority[1], tmp_path / "bob.pem", f"{host}:{server.port}")
            return stack.enter_context(Client(identity, reconnect=False))

        yield start


def make_identity(authority: Authority, path: Path, server: str) -> Identity:
    issued = authority.issue_device("bob", "laptop", now=NOW)
    names = {"instance": "lab", "user": "bob", "device": "laptop"}
    write_identity(path, issued, authority.certificate, servers=[server], **names)
    return read_identity(path)


def sealed(*frames: dict[str, object]) -> bytes:
    return PlainSealer().seal(b"".join(encode(frame) for frame in frames))


def until_closed(connection: socket.socket) -> bytes:
    data = b""
    while more := connection.recv(65536):
        data += more
    return data


def answer(data: bytes, *, read: bool = True) -> Behaviour:
    """Return a behaviour that sends ``data`` instead of TLS."""

    def behave(connection: socket.socket, server: Server) -> None:
        if read:
            connection.recv(65536)
        connection.sendall(data)

    return behave


def after_tls(data: bytes, alpn: str = "chatd/1") -> Behaviour:
    def behave(connection: socket.socket, server: Server) -> None:
        with server.tls(connection, alpn) as tls:
            tls.sendall(data)
            until_closed(tls)

    return behave


@pytest.mark.parametrize(
    ("behave", "codes"),
    [
        (answer(b"HTTP/1.1 400 Bad Request\r\n\r\n"), {"E630"}),
        (answer(b"SSH-2.0-OpenSSH_9\r\n", read=False), {"E630", "E607"}),
        (answer(b""), {"E607"}),
        (after_tls(b"", alpn="h2"), {"E107"}),
        (after_tls(b"\x7f\xff\xff\xff" + b"x" * 10), {"E104"}),
        (after_tls((HANDSHAKE_LIMIT + 1).to_bytes(4, "big")), {"E104"}),
        (after_tls(b"\0\0\0\x03abc"), {"E104", "E107"}),
        (after_tls(b"\0\0\0\0"), {"E104", "E107"}),
        (after_tls((FRAME_LIMIT + 1).to_bytes(4, "big"), PLAIN), {"E101"}),
        (after_tls(PlainSealer().seal(b"\0\0\0\x05{}"), PLAIN), {"E100"}),
        (after_tls(PlainSealer().seal(b"\0\0\0\x02{}"), PLAIN), {"E106", "E100"}),
        (after_tls(sealed(message(1)), PLAIN), {"E100"}),
        (after_tls(sealed(bye("E207", False)), PLAIN), {"E207"}),
    ],
    ids=range(13),
)
def test_wrong_servers_raise_the_right_error(
    serve: Callable[..., Client], behave: Behaviour, codes: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatctl.client._session.WELCOME_TIMEOUT", 0.5)
    with pytest.raises(ChatdError) as failed:
        serve(behave).wait_connected(TIMEOUT)
    assert failed.value.code in codes, str(failed.value)


def test_a_bye_is_reported_even_if_the_connection_ends_at_once(serve: Callable[..., Client]) -> None:
    def behave(connection: socket.socket, server: Server) -> None:
        with server.tls(connection, PLAIN) as tls:
            tls.sendall(sealed(welcome()))
            assert tls.recv(65536)
            tls.sendall(sealed(bye("E206", False)) + PlainSealer().close())
            connection.shutdown(socket.SHUT_RDWR)

    client = serve(behave)
    # Do not use `wait_connected`: on a busy machine the connection may already have ended.
    assert any(isinstance(event, Connected) for event in client.events())
    while client.next_event(TIMEOUT) is not None:
        pass
    assert client.error is not None
    assert client.error.code == "E206"


def test_a_silent_server_times_out(serve: Callable[..., Client], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_dialing, "ANSWER_LIMIT", 0.2)

    def silent(connection: socket.socket, server: Server) -> None:
        until_closed(connection)

    with pytest.raises(ChatdError, match="did not answer within"):
        serve(silent).wait_connected(TIMEOUT)


def test_a_server_of_the_same_authority_but_another_name_is_not_trusted(
    serve: Callable[..., Client], authority: tuple[Path, Authority], tmp_path: Path
) -> None:
    certs, own = authority
    other = Authority(own.certificate, own._key)
    other.instance = "other"
    (tmp_path / "ca.pem").write_bytes((certs / "ca.pem").read_bytes())
    save_issued(tmp_path, "server", other.issue_server(["127.0.0.1"], now=NOW))
    with pytest.raises(ChatdError, match="E209"):
        serve(after_tls(b""), certs=tmp_path).wait_connected(TIMEOUT)


def test_all_addresses_of_a_name_are_tried(
    serve: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    def both(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        # Nothing listens on the first address; loopback refuses immediately.
        return [(socket.AF_INET, 1, 6, "", (address, port)) for address in ("127.0.0.9", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    client = serve(after_tls(sealed(welcome()), PLAIN), host="chat.example")
    assert client.wait_connected(TIMEOUT).user == "alice"


@pytest.fixture
def deaf() -> Iterator[socket.socket]:
    """A listener on 127.0.0.9 that drops the packets of every newcomer: its queue is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.9", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener


@pytest.mark.parametrize("accepts", [False, True])
def test_an_address_that_stays_silent_does_not_keep_the_client_from_the_next(
    serve: Callable[..., Client], monkeypatch: pytest.MonkeyPatch, deaf: socket.socket, accepts: bool
) -> None:
    monkeypatch.setattr(_dialing, "SILENT_DELAY", 0.3)
    if accepts:
        deaf.listen(100)

    def both(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, 1, 6, "", address) for address in (deaf.getsockname(), ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    client = serve(after_tls(sealed(welcome()), PLAIN), host="chat.example")
    assert client.wait_connected(TIMEOUT).user == "alice"


def test_dead_name_resolution_holds_up_neither_a_literal_address_nor_the_end(
    authority: tuple[Path, Authority],
    serve: Callable[..., Client],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, release = socket.getaddrinfo, threading.Event()

    def stuck(host: str, *arguments: Any, **options: Any) -> Any:
        if host == "chat.example":
            release.wait()
            raise OSError("no answer")
        return real(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", stuck)
    try:
        good = serve(after_tls(sealed(welcome()), PLAIN))
        good.close()  # the server serves one connection at a time
        servers = ("chat.example:5000", *good.identity.servers)
        with Client(dataclasses.replace(good.identity, servers=servers), reconnect=False) as client:
            assert client.wait_connected(TIMEOUT).user == "alice"
        alone = dataclasses.replace(good.identity, servers=("chat.example:5000",))
        client = Client(alone)
        client.start()
        wait_until(
            lambda: any(thread.name == "chat-lookup" for thread in threading.enumerate()), what="the look-up"
        )
        client.close()  # would wait for the name
        assert not release.is_set()
    finally:
        release.set()


def test_close_sends_the_close_record(serve: Callable[..., Client]) -> None:
    closed: queue.Queue[bytes] = queue.Queue()

    def behave(connection: socket.socket, server: Server) -> None:
        with server.tls(connection, PLAIN) as tls:
            tls.sendall(sealed(welcome()))
            closed.put(until_closed(tls))

    client = serve(behave)
    client.wait_connected(TIMEOUT)
    client.close()
    assert closed.get(timeout=TIMEOUT).endswith(PlainSealer().close())


@pytest.mark.parametrize("families", [(0, socket.AF_INET), (0,)])
def test_an_unsupported_address_family_is_skipped(
    serve: Callable[..., Client], monkeypatch: pytest.MonkeyPatch, families: tuple[int, ...]
) -> None:
    def found(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        # Family 0 does not exist; the error is that of IPv6 on a kernel without it.
        return [(family, 1, 6, "", ("127.0.0.1", port)) for family in families]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    client = serve(after_tls(sealed(welcome()), PLAIN), host="chat.example")
    if socket.AF_INET in families:
        assert client.wait_connected(TIMEOUT).user == "alice"
        return
    with pytest.raises(ChatdError, match=r"Address family not supported.*E607"):
        client.wait_connected(TIMEOUT)


@pytest.mark.parametrize("server", ["127.0.0.1:1", "not..a.name:5000"])
def test_an_unreachable_server_is_reported(
    authority: tuple[Path, Authority], tmp_path: Path, server: str
) -> None:
    identity = make_identity(authority[1], tmp_path / "bob.pem", server)
    with Client(identity, reconnect=False) as client, pytest.raises(ChatdError, match="E607"):
        client.wait_connected(TIMEOUT)
