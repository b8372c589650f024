"""One HTTP client after its TLS handshake: read a request within bounds, answer it, and again.

h11 parses and composes. Its input is bounded before it sees it, and every wait has a deadline, so that a
client that trickles bytes costs a thread for a few seconds only.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from http import HTTPStatus

import h11

from chatd.gateway.client_stream import ClientStream
from chatd.gateway.http_messages import Headers, HttpAnswer, HttpRequest, HttpUpgrade, Route

# The request line and all headers.
HEAD_BYTES_LIMIT = 16 * 1024
# From the first byte of a request to the end of its head, and from there to the end of its body.
REQUEST_SECONDS = 5.0
BODY_SECONDS = 10.0
# Between two requests: a monitor asks each minute or oftener.
IDLE_SECONDS = 75.0
REQUESTS_PER_CONNECTION = 1000

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

    def __init__(self, stream: ClientStream, find: Callable[[HttpRequest], Route | HttpAnswer]) -> None:
        self._stream = stream
        self._find = find
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_LIMIT)
        # Whether a part of the next request has arrived.
        self._begun = False
        self._upgrade: HttpUpgrade | None = None

    def serve(self, first: bytes) -> bool:
        """Answer requests until the client closes; ``first`` is plaintext that came with the handshake.

        Returns whether somebody keeps the socket.
        """
        try:
            self._stream.allow(REQUEST_SECONDS)
            if first:
                self._http.receive_data(first)
            for _ in range(REQUESTS_PER_CONNECTION):
                if not self._serve_one():
                    break
                self._stream.allow(IDLE_SECONDS)
                self._begun = False
        except (_ClosedError, OSError, ssl.SSLError):
            return False
        if self._upgrade is not None:
            return self._upgrade.serve(self._stream, self._http.trailing_data[0])
        self._stream.close()
        return False

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
        if isinstance(answer, HttpUpgrade):
            self._switch(answer)
            return False
        self._send(answer, closing=False, head_only=request.method == "HEAD")
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    def _switch(self, upgrade: HttpUpgrade) -> None:
        reason = HTTPStatus.SWITCHING_PROTOCOLS.phrase.encode("ascii")
        switch = h11.InformationalResponse(status_code=101, headers=upgrade.headers, reason=reason)
        self._stream.send(self._http.send(switch) or b"")
        self._upgrade = upgrade

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
            self._stream.address,
            version,
            query,
            certificate=self._stream.channel.peer_certificate(),
        )

    def _body(self, limit: int) -> bytes | None:
        """Read the body to its end; None as soon as it has more than ``limit`` bytes."""
        if self._http.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
            self._stream.send(self._http.send(go_on) or b"")
        self._stream.allow(BODY_SECONDS)
        body = bytearray()
        while isinstance(event := self._next_event(), h11.Data):
            if len(body) + len(event.data) > limit:
                return None
            body += event.data
        return bytes(body)

    def _next_event(self) -> h11.Event:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(self._stream.receive())
            if not self._begun:
                self._begun = True
                self._stream.allow(REQUEST_SECONDS)
        if isinstance(event, type):
            raise _ClosedError  # paused: only after a request to switch protocols, which nobody was granted
        return event

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
        self._stream.send(data)


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
