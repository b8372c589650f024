"""One HTTP client after its TLS handshake: read a request within bounds, answer it, and again.

h11 parses and composes. Its input is bounded before it sees it, and every wait has a deadline, so that a
client that trickles bytes costs a thread for a few seconds only.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from http import HTTPStatus

import h11

from chatd.child.login_slots import LoginSlot
from chatd.child.tls import TlsChannel
from chatd.gateway.http_messages import Headers, HttpAnswer, HttpRequest, Route

# The request line and all headers.
HEAD_BYTES_LIMIT = 16 * 1024
# From the first byte of a request to the end of its head, and from there to the end of its body.
REQUEST_SECONDS = 5.0
BODY_SECONDS = 10.0
# Between two requests: a monitor asks each minute or oftener.
IDLE_SECONDS = 75.0
WRITE_SECONDS = 10.0
REQUESTS_PER_CONNECTION = 1000
_RECEIVE_BYTES = 16 * 1024

# Nothing that is served here may be kept, guessed at, framed or run, unless its answer says so.
ALWAYS: Headers = [
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
]


class _ClosedError(Exception):
    """The client has closed, or was silent for too long."""


class HttpExchange:
    """Serves one connection. ``find`` returns a request's route, or the answer that refuses it; it has seen
    no body."""

    def __init__(
        self,
        sock: socket.socket,
        channel: TlsChannel,
        address: str,
        find: Callable[[HttpRequest], Route | HttpAnswer],
        slot: LoginSlot,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sock = sock
        self._channel = channel
        self._address = address
        self._find = find
        self._slot = slot
        self._clock = clock
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_LIMIT)
        # The deadline of what is being received, and whether a part of the next request has arrived.
        self._deadline = 0.0
        self._begun = False

    def serve(self, first: bytes) -> None:
        """Answer requests until the client closes; ``first`` is plaintext that came with the handshake."""
        try:
            self._deadline = self._clock() + REQUEST_SECONDS
            if first:
                self._http.receive_data(first)
            for _ in range(REQUESTS_PER_CONNECTION):
                if not self._serve_one():
                    break
                self._deadline, self._begun = self._clock() + IDLE_SECONDS, False
        except (_ClosedError, OSError, ssl.SSLError):
            return
        self._close()

    def _serve_one(self) -> bool:
        """Answer one request; return whether another may follow."""
        try:
            request = self._next_request()
            if request is None:
                return False
            if refusal := _refusal(request):
                self._send(refusal, closing=True)
                return False
            found = self._find(request)
            limit = found.body_limit if isinstance(found, Route) else 0
            if _declared_bytes(request) > limit:
                # The body stays unread: what follows on this connection would be that.
                self._send(found if isinstance(found, HttpAnswer) else _too_large(limit), closing=True)
                return False
            body = self._body(limit)
        except h11.RemoteProtocolError as error:
            self._send(HttpAnswer(error.error_status_hint, "the request is not valid HTTP\n"), closing=True)
            return False
        if body is None:
            self._send(_too_large(limit), closing=True)
            return False
        answer = found if isinstance(found, HttpAnswer) else found.answer(replace(request, body=body))
        self._send(answer, closing=False, head_only=request.method == "HEAD")
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    def _next_request(self) -> HttpRequest | None:
        """Return the next request without its body; None when the client has closed."""
        event = self._next_event()
        if not isinstance(event, h11.Request):
            return None
        path, _, query = event.target.decode("ascii").partition("?")
        headers: dict[str, str] = {}
        for name, value in event.headers:
            key, text = name.decode("ascii"), value.decode("latin-1")
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
        method, version = event.method.decode("ascii"), event.http_version.decode("ascii")
        return HttpRequest(
            method,
            path,
            headers,
            self._address,
            version,
            query,
            certificate=self._channel.peer_certificate(),
        )

    def _body(self, limit: int) -> bytes | None:
        """Read the body to its end; None as soon as it has more than ``limit`` bytes."""
        if self._http.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
            self._write(self._http.send(go_on) or b"")
        self._deadline = self._clock() + BODY_SECONDS
        body = bytearray()
        while isinstance(event := self._next_event(), h11.Data):
            if len(body) + len(event.data) > limit:
                return None
            body += event.data
        return bytes(body)

    def _next_event(self) -> h11.Event:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(self._receive())
            if not self._begun:
                self._begun = True
                self._deadline = self._clock() + REQUEST_SECONDS
        if isinstance(event, type):
            raise _ClosedError  # paused: only after a request to switch protocols, which nobody was granted
        return event

    def _receive(self) -> bytes:
        """Return plaintext; b"" once the client has closed its side."""
        while True:
            left = self._deadline - self._clock()
            if left <= 0:
                raise _ClosedError
            self._sock.settimeout(left)
            self._slot.wait_begins(self._clock())
            data = self._sock.recv(_RECEIVE_BYTES)
            self._slot.wait_ends()
            if not data:
                return b""
            try:
                plain = self._channel.receive(data)
            except ssl.SSLZeroReturnError:
                return b""
            if self._channel.outgoing_bytes:
                self._sock.sendall(self._channel.take_outgoing())
            if plain:
                return plain

    def _send(self, answer: HttpAnswer, *, closing: bool, head_only: bool = False) -> None:
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        body = answer.body.encode("utf-8") if isinstance(answer.body, str) else answer.body
        reason = HTTPStatus(answer.status).phrase.encode("ascii")
        own = {name for name, _ in answer.headers}
        headers = [
            ("Date", formatdate(usegmt=True)),
            ("Content-Type", answer.content_type),
            *([] if answer.status == HTTPStatus.NOT_MODIFIED else [("Content-Length", str(len(body)))]),
            *((name, text) for name, text in ALWAYS if name not in own),
            *answer.headers,
        ]
        if closing:
            headers.append(("Connection", "close"))
        data = self._http.send(h11.Response(status_code=answer.status, headers=headers, reason=reason)) or b""
        if not head_only and body:
            data += self._http.send(h11.Data(data=body)) or b""
        data += self._http.send(h11.EndOfMessage()) or b""
        self._write(data)

    def _write(self, data: bytes) -> None:
        self._sock.settimeout(WRITE_SECONDS)
        self._sock.sendall(self._channel.protect(data))

    def _close(self) -> None:
        try:
            self._sock.settimeout(WRITE_SECONDS)
            self._sock.sendall(self._channel.close_notify())
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            return


def _refusal(request: HttpRequest) -> HttpAnswer | None:
    """Refuse what is served for no path."""
    if request.version not in ("1.0", "1.1"):
        return HttpAnswer(505, "only HTTP/1.1\n")
    # h11 bounds what is incomplete only; a head that arrives in one piece may be larger.
    if _head_bytes(request) > HEAD_BYTES_LIMIT:
        return HttpAnswer(431, "the headers are too long\n")
    if "transfer-encoding" in request.headers and (
        "content-length" in request.headers or request.version == "1.0"
    ):
        # Two ways to tell where the request ends, of which a proxy may believe the other (RFC 9112, 6.1).
        return HttpAnswer(400, "the length of the request is ambiguous\n")
    return None


def _head_bytes(request: HttpRequest) -> int:
    return (
        len(request.path)
        + len(request.query)
        + sum(len(key) + len(text) for key, text in request.headers.items())
    )


def _declared_bytes(request: HttpRequest) -> int:
    """Return the least number of bytes that the request's body has, by its headers."""
    if "transfer-encoding" in request.headers:
        return 1  # the others are counted as they come
    return int(request.headers.get("content-length", "0"))


def _too_large(limit: int) -> HttpAnswer:
    why = f"the body may have at most {limit} bytes" if limit else "a request may not have a body"
    return HttpAnswer(413, f"{why}\n")
