"""The gateway under attack: slow, large, ambiguous and malformed requests; the chat goes on."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from chatd.child.unix_socket import connect_unix
from chatd.config.schema import Settings
from chatd.gateway.gateway_listener import SLOTS_PER_BLOCK
from chatd.gateway.http_exchange import HEAD_BYTES_LIMIT
from chatd.hub.links import UnknownOperationError
from chatd.link.wire import GATEWAY_NAME, LINK_VERSION, pack
from tests.support.daemon import Daemon, wait_until
from tests.support.https import Https, gateway, read_to_end
from tests.support.hub_harness import HubHarness

Running = tuple[Daemon, Https]
HOST = b"Host: 127.0.0.1\r\n"
GET = b"GET /healthz HTTP/1.1\r\n" + HOST


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with gateway(tmp_path_factory.mktemp("gateway-abuse") / "home") as found:
        yield found
        daemon, https = found
        assert https.get("/readyz").status == 200
        assert daemon.log_lines("errors.log") == []
        assert not any(child["restarts"] for child in daemon.status()["children"])


def statuses(data: bytes) -> list[int]:
    """The status codes of all answers in a stream."""
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", data)]


REFUSED = [
    # Two ways to tell where a request ends (RFC 9112, 6.3 and 11.2).
    (GET + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n", [400, 413]),
    (GET + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", [400]),
    (GET + b"Content-Length: -1\r\n\r\n", [400]),
    (GET + b"Content-Length: 99999999999999999999999\r\n\r\n", [400, 413]),
    (GET + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", [413]),
    (GET + b"Transfer-Encoding: xchunked\r\n\r\n", [400, 501]),
    (GET + b"Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n", [413]),
    (b"GET /healthz HTTP/1.1\r\n\r\n", [400]),
    (b"GET /healthz HTTP/1.1\r\n" + HOST + HOST + b"\r\n", [400]),
    (GET + b"X : y\r\n\r\n", [400]),
    (GET + b"X: a\x00b\r\n\r\n", [400]),
    (b"GET /health\x00z HTTP/1.1\r\n" + HOST + b"\r\n", [400]),
    (b"GET  /healthz HTTP/1.1\r\n" + HOST + b"\r\n", [400]),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [505]),
    (b"GET http://evil.example/metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", [421]),
    (b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n", [421]),
    (b"\x16\x03\x01\x00\x05hello", [400]),
    (b"SSH-2.0-x\r\n\r\n", [400]),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "expected"), REFUSED, ids=range(len(REFUSED)))
def test_ambiguous_and_malformed_requests_get_one_refusal(
    served: Running, sent: bytes, expected: list[int]
) -> None:
    _, https = served
    (found,) = statuses(https.exchange(sent))
    assert found in expected


def test_pipelined_requests_are_answered_in_order(served: Running) -> None:
    _, https = served
    many = GET + b"\r\n" + b"GET /nope HTTP/1.1\r\n" + HOST + b"\r\n" + GET + b"\r\n"
    assert statuses(https.exchange(many)) == [200, 404, 200]


@pytest.mark.parametrize(
    ("size", "expected"),
    # A client that goes on sending may be reset before it reads the refusal.
    [(HEAD_BYTES_LIMIT // 2, [[200]]), (HEAD_BYTES_LIMIT + 1, [[431]]), (4 * HEAD_BYTES_LIMIT, [[431], []])],
)
def test_a_head_is_bounded(served: Running, size: int, expected: list[list[int]]) -> None:
    _, https = served
    assert statuses(https.exchange(GET + b"X: " + b"a" * size + b"\r\n\r\n")) in expected


def test_a_head_without_an_end_is_cut(served: Running) -> None:
    _, https = served
    with https.open() as sock, pytest.raises((ConnectionError, ssl.SSLError)):
        sock.sendall(GET)
        while True:
            sock.sendall(b"X: " + b"a" * 1000 + b"\r\n")


def test_a_slow_request_is_cut_though_bytes_still_come(served: Running) -> None:
    """Slowloris: a byte now and then must not keep a connection."""
    _, https = served
    with ExitStack() as stack:
        slow = [stack.enter_context(https.open()) for _ in range(3)]
        for sock, begun in zip(slow, (b"G", b"GET /heal", GET), strict=True):
            sock.sendall(begun)
            sock.settimeout(0.2)
        wait_until(lambda: all(_is_cut(sock) for sock in slow))


def _is_cut(sock: ssl.SSLSocket) -> bool:
    """Send one more byte; return whether the connection has ended."""
    try:
        sock.sendall(b"X")
        return sock.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_silent_connections_make_way(served: Running) -> None:
    """More connections than there are slots, of each kind that says nothing, keep nobody out."""
    daemon, https = served
    with ExitStack() as stack:
        for _ in range(SLOTS_PER_BLOCK + 8):
            stack.enter_context(socket.create_connection(("127.0.0.1", https.port), timeout=30))
        wait_until(lambda: _status(https) == 200)
    with ExitStack() as stack:
        for _ in range(SLOTS_PER_BLOCK):
            with_tls = _open(https)
            if with_tls is not None:
                stack.enter_context(with_tls)
        wait_until(lambda: _status(https) == 200)
    gateway_process = psutil.Process(daemon.child("gateway")["pid"])
    wait_until(lambda: gateway_process.num_threads() <= 3 + 1)


def _open(https: Https) -> ssl.SSLSocket | None:
    try:
        return https.open()
    except OSError:  # more attempts than one block may make
        return None


def _status(https: Https) -> int:
    try:
        return https.get("/healthz").status
    except OSError:
        return 0


@pytest.mark.parametrize(
    "junk", [b"GET /metrics HTTP/1.1\r\n\r\n", b"\x00" * 400, b"\x16\x03\x01\xff\xff" + b"a" * 70_000]
)
def test_what_is_no_tls_is_cut(served: Running, junk: bytes) -> None:
    _, https = served
    with socket.create_connection(("127.0.0.1", https.port), timeout=30) as sock:
        try:
            sock.sendall(junk)
        except ConnectionError:
            return
        answer = read_to_end(sock)
    assert b"HTTP" not in answer


def test_old_tls_is_refused(served: Running) -> None:
    daemon, https = served
    old = ssl.create_default_context(cafile=str(daemon.home / "certs" / "ca.pem"))
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", https.port), timeout=30) as plain, pytest.raises(OSError):
        old.wrap_socket(plain, server_hostname="127.0.0.1")


def test_a_process_that_poses_as_the_gateway_is_cut_by_the_hub(served: Running) -> None:
    daemon, _ = served
    with connect_unix(daemon.home / "run" / "hub.sock", 30) as sock:
        with suppress(BrokenPipeError):
            sock.sendall(pack(["hello", LINK_VERSION]) + pack(["metrics", 1]))
        assert read_to_end(sock) == b""


@pytest.mark.parametrize("operation", ["check", "redeem", "check_renewal", "renew", "ask", "answer", "admit"])
def test_the_gateway_may_neither_enrol_nor_answer(tmp_path: Path, operation: str) -> None:
    harness = HubHarness(tmp_path / "data", Settings())
    try:
        link = harness.workers[0].link
        link.name = GATEWAY_NAME
        harness.hub.take(link, [(["metrics", 1], b"")])
        with pytest.raises(UnknownOperationError):
            harness.hub.take(link, [([operation, 1, "alice", "laptop"], b"{}")])
    finally:
        harness.close()


def test_nothing_private_is_in_the_metrics(served: Running) -> None:
    daemon, https = served
    daemon.add_user("zebulon")
    text = https.get("/metrics").text
    for secret in ("zebulon", "alice", "#lobby", str(daemon.home)):
        assert secret not in text


def test_the_gateway_has_neither_the_files_nor_the_calls_of_others(served: Running) -> None:
    daemon, _ = served
    sandbox = daemon.child("gateway")["sandbox"]
    assert sandbox
    assert all(sandbox.values())
