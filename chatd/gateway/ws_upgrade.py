"""Judge a request to switch to a WebSocket (RFC 6455, 4.2). Whose page asks is judged with the route."""

from __future__ import annotations

from collections.abc import Callable

from chatd.gateway.client_stream import ClientStream
from chatd.gateway.http_messages import Audience, HttpAnswer, HttpRequest, HttpUpgrade, Route
from chatd.gateway.websocket import VERSION, accept_of

# Serves the request's client once it has switched; ``first`` are bytes that have arrived since.
Serve = Callable[[HttpRequest, ClientStream, bytes], bool]


def websocket_route(subprotocol: str, serve: Serve) -> Route:
    """Return the route of a WebSocket for this gateway's own pages."""

    def answer(request: HttpRequest) -> HttpAnswer | HttpUpgrade:
        return _switch(request, subprotocol, serve)

    return Route(answer, methods=("GET",), audience=Audience.OWN_PAGES)


def _switch(request: HttpRequest, subprotocol: str, serve: Serve) -> HttpAnswer | HttpUpgrade:
    headers = request.headers
    if "websocket" not in _tokens(headers, "upgrade") or "upgrade" not in _tokens(headers, "connection"):
        return HttpAnswer(426, "only for WebSockets\n", headers=[("Upgrade", "websocket")])
    if headers.get("sec-websocket-version") != VERSION:
        return HttpAnswer(426, f"only version {VERSION}\n", headers=[("Sec-WebSocket-Version", VERSION)])
    accept = accept_of(headers.get("sec-websocket-key", ""))
    if accept is None or request.version != "1.1":
        return HttpAnswer(400, "this is no WebSocket handshake\n")
    if subprotocol not in _tokens(headers, "sec-websocket-protocol"):
        return HttpAnswer(400, f"only the subprotocol {subprotocol}\n")
    return HttpUpgrade(
        [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", accept),
            ("Sec-WebSocket-Protocol", subprotocol),
        ],
        lambda stream, first: serve(request, stream, first),
    )


def _tokens(headers: dict[str, str], name: str) -> list[str]:
    return [token.strip().lower() for token in headers.get(name, "").split(",")]
