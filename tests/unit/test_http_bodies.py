"""Bodies of requests: within their route's bound, whole, once, and never a way to smuggle a request."""

from __future__ import annotations

import re
import socket
import threading

import pytest

from chatd.child.login_slots import LoginSlots
from chatd.child.tls import TlsChannel
from chatd.gateway.client_stream import ClientStream
from chatd.gateway.http_exchange import HttpExchange
from chatd.gateway.http_messages import HttpAnswer, HttpRequest, Route

LIMIT = 10
HOST = b"Host: a\r\n"
POST = b"POST /in?k=v HTTP/1.1\r\n" + HOST
# Follows each request: an answer to it shows that the bytes before it were taken as one request's.
NEXT = b"GET /next HTTP/1.1\r\n" + HOST + b"\r\n"


class PlainChannel(TlsChannel):
    """A channel without TLS, so that a test sees what h11 sees."""

    def __init__(self) -> None:
        pass

    def receive(self, data: bytes) -> bytes:
        return data

    def protect(self, plain: bytes) -> bytes:
        return plain

    @property
    def outgoing_bytes(self) -> int:
        return 0

    def close_notify(self) -> bytes:
        return b""

    def peer_certificate(self) -> bytes:
        return b""


def exchange(*sent: bytes, ends: bool = True, clock: float | None = None) -> tuple[bytes, list[HttpRequest]]:
    """Return what a client that sends these pieces gets, and the requests that were answered."""
    taken: list[HttpRequest] = []

    def answer(request: HttpRequest) -> HttpAnswer:
        taken.append(request)
        return HttpAnswer(200, request.body)

    def find(request: HttpRequest) -> Route | HttpAnswer:
        if request.path == "/in":
            return Route(answer, ("POST",), body_limit=LIMIT)
        return Route(answer) if request.path == "/next" else HttpAnswer(404, "not found\n")

    ours, its = socket.socketpair()
    slots = LoginSlots(1, 1)
    slots.take(its, "192.0.2.1")
    slot = slots.find(its)
    assert slot is not None
    times = iter([0.0] * 4)
    frozen = (lambda: next(times, clock)) if clock is not None else (lambda: 0.0)
    served = HttpExchange(ClientStream(its, PlainChannel(), "192.0.2.1", slot, frozen), find)
    thread = threading.Thread(target=_serve, args=(served, its))
    with ours:
        thread.start()
        got = b""
        for piece in sent:
            ours.sendall(piece)
        if ends:
            ours.shutdown(socket.SHUT_WR)
        while part := ours.recv(65536):
            got += part
        thread.join()
    return got, taken


def _serve(served: HttpExchange, sock: socket.socket) -> None:
    with sock:
        served.serve(b"")


def statuses(data: bytes) -> list[int]:
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", data)]


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (b"Content-Length: 10\r\n\r\n0123456789", b"0123456789"),
        (b"Content-Length: 0\r\n\r\n", b""),
        (b"\r\n", b""),
        (b"Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n6\r\nefghij\r\n0\r\n\r\n", b"abcdefghij"),
        (b"Transfer-Encoding: chunked\r\n\r\n0\r\nTrailer: x\r\n\r\n", b""),
        (b"Content-Length: 3, 3\r\n\r\nabc", b"abc"),
    ],
    ids=range(6),
)
def test_a_body_within_its_bound_arrives_whole(framing: bytes, body: bytes) -> None:
    got, (first, second) = exchange(POST + framing + NEXT)
    assert statuses(got) == [200, 200]
    assert (first.body, first.path, first.query) == (body, "/in", "k=v")
    assert (second.method, second.path) == ("GET", "/next")


def test_a_body_arrives_whole_however_it_is_cut() -> None:
    sent = POST + b"Content-Length: 10\r\n\r\n0123456789" + NEXT
    got, requests = exchange(*(bytes([byte]) for byte in sent))
    assert statuses(got) == [200, 200]
    assert requests[0].body == b"0123456789"


def test_a_client_that_waits_is_told_to_go_on() -> None:
    got, requests = exchange(POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n", b"ok", NEXT)
    assert statuses(got) == [100, 200, 200]
    assert requests[0].body == b"ok"


CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
REFUSED = [
    # Too large, said at once or found while it is read.
    (POST + b"Content-Length: 11\r\n\r\n01234567890", 413),
    (POST + b"Content-Length: 11\r\nExpect: 100-continue\r\n\r\n", 413),
    (POST + CHUNKED + b"b\r\n01234567890\r\n0\r\n\r\n", 413),
    (POST + CHUNKED + b"6\r\n012345\r\n6\r\n012345\r\n0\r\n\r\n", 413),
    # A route without bodies, and no route.
    (b"GET /next HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\n\r\nx", 413),
    (b"POST /nope HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\n\r\nx", 404),
    # Smuggling: two lengths, or one that parsers read differently (RFC 9112, 6 and 11.2).
    (POST + b"Content-Length: 4\r\n" + CHUNKED + b"0\r\n\r\n", 400),
    (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", 400),
    (POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", 400),
    (POST + b"Content-Length: 4, 5\r\n\r\nabcde", 400),
    (POST + b"Content-Length: +4\r\n\r\nabcd", 400),
    (POST + b"Content-Length: 0x4\r\n\r\nabcd", 400),
    (POST + b"Content-Length: 4 4\r\n\r\nabcd", 400),
    (POST + b"Content-Length: \xb2\r\n\r\nab", 400),
    (POST + b"Content-Length : 4\r\n\r\nabcd", 400),
    (POST + b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n", 501),
    (POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 501),
    (POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 501),
    (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    (POST + CHUNKED + b"-1\r\n\r\n", 400),
    (POST + CHUNKED + b"0x1\r\na\r\n0\r\n\r\n", 400),
    (POST + CHUNKED + b"1\r\nabc\r\n0\r\n\r\n", 400),
    (POST + CHUNKED + b"1\na\n0\n\n", 400),
    (b"POST /in HTTP/1.0\r\n" + HOST + CHUNKED + b"0\r\n\r\n", 400),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "status"), REFUSED, ids=range(len(REFUSED)))
def test_a_refused_body_ends_the_connection(sent: bytes, status: int) -> None:
    """What follows a refused body would be read as the next request."""
    got, requests = exchange(sent + NEXT)
    assert statuses(got) == [status]
    assert requests == []
    assert b"connection: close" in got.lower()


def test_a_folded_header_means_the_same_as_on_one_line() -> None:
    got, requests = exchange(POST + b"Content-Length:\r\n 2\r\n\r\nok" + NEXT)
    assert statuses(got) in ([200, 200], [400])
    assert [request.path for request in requests] in (["/in", "/next"], [])


def test_a_body_that_does_not_end_is_answered_by_nothing() -> None:
    for framing in (b"Content-Length: 5\r\n\r\nab", CHUNKED + b"5\r\nab"):
        got, requests = exchange(POST + framing)
        assert requests == []
        assert statuses(got) in ([], [400])


def test_a_slow_body_is_cut() -> None:
    got, requests = exchange(POST + b"Content-Length: 5\r\n\r\nab", ends=False, clock=1000.0)
    assert (got, requests) == (b"", [])


def test_repeated_headers_are_one_so_that_none_hides_another() -> None:
    _, (request,) = exchange(b"GET /next HTTP/1.1\r\n" + HOST + b"Origin: x\r\nOrigin: y\r\n\r\n")
    assert request.headers["origin"] == "x, y"
