"""Requests, answers and routes: what the parts of the gateway tell each other about HTTP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from chatd.gateway.client_stream import ClientStream

Headers = list[tuple[str, str]]

READ_ONLY = ("GET", "HEAD")
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class HttpRequest:
    """A request. ``path`` and ``query`` are as sent, percent signs included; ``address`` is the client's.

    Names of ``headers`` are in lower case; a repeated header is one, joined by commas (RFC 9110, 5.3).
    ``certificate`` is the TLS client certificate as DER, b"" without one.
    """

    method: str
    path: str
    headers: dict[str, str]
    address: str
    version: str = "1.1"
    query: str = ""
    body: bytes = b""
    certificate: bytes = b""


@dataclass(frozen=True)
class HttpAnswer:
    """An answer. ``headers`` replace those that every answer has (`http_exchange.ALWAYS`)."""

    status: int
    body: str | bytes = ""
    content_type: str = TEXT
    headers: Headers = field(default_factory=list)


@dataclass(frozen=True)
class HttpUpgrade:
    """A switch to another protocol. ``serve`` takes the connection over, with the bytes that have arrived
    after the request, and returns whether it keeps the socket."""

    headers: Headers
    serve: Callable[[ClientStream, bytes], bool]


class Audience(Enum):
    """Who may ask for a route; the route itself judges tokens and certificates."""

    EVERYBODY = 1
    MONITORS = 2  # addresses in gateway.monitors
    OWN_PAGES = 3  # pages that this gateway has served


class Route(NamedTuple):
    """What is served at a path. ``answer`` runs on any thread.

    ``body_limit``: bytes that a request's body may have; 0 means that it may have none.
    """

    answer: Callable[[HttpRequest], HttpAnswer | HttpUpgrade]
    methods: tuple[str, ...] = READ_ONLY
    audience: Audience = Audience.EVERYBODY
    body_limit: int = 0
