"""What the gateway answers: a table of paths, and who may ask for each."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import NamedTuple

from cryptography import x509

from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.gateway.http_exchange import HttpAnswer, HttpRequest
from chatd.gateway.metrics_text import OPENMETRICS, PLAIN, metrics_text, wants_openmetrics
from chatd.pki.profiles import PARSE_ERRORS
from chatd.proto.frames import JsonObject

_METHODS = ("GET", "HEAD")
RETRY_SECONDS = "5"


class Route(NamedTuple):
    """``monitors_only``: only for addresses in gateway.monitors."""

    monitors_only: bool
    answer: Callable[[Routes, HttpRequest], HttpAnswer]


class Routes:
    """Answers requests, on any thread. ``ask_metrics`` returns the hub's metrics or raises ChatdError."""

    def __init__(
        self, ask_metrics: Callable[[], JsonObject], settings: Settings, files: Mapping[str, bytes]
    ) -> None:
        self._ask_metrics = ask_metrics
        self.reload(settings, files)

    def reload(self, settings: Settings, files: Mapping[str, bytes]) -> None:
        """Take new settings and certificates."""
        self._monitors = [ipaddress.ip_network(text) for text in settings.gateway.monitors]
        self._hosts = {"localhost", *(_host_of(address) for address in settings.server.addresses)}
        self._certificates = {name: _end_of(files[f"{name}.pem"]) for name in ("ca", "server")}

    def answer(self, request: HttpRequest) -> HttpAnswer:
        """Answer a request; refusals say no more than their status."""
        if not self._is_own_host(request.headers.get("host", "")):
            # A page of somebody else's site whose name was made to point here (DNS rebinding).
            return HttpAnswer(421, "this server does not have that name\n")
        route = ROUTES.get(request.path)
        if route is None:
            return HttpAnswer(404, "not found\n")
        if route.monitors_only and not self._is_monitor(request.address):
            return HttpAnswer(403, "this address is not in gateway.monitors\n")
        if request.method not in _METHODS:
            return HttpAnswer(405, "only GET and HEAD\n", headers=[("Allow", ", ".join(_METHODS))])
        return route.answer(self, request)

    def _health(self, _: HttpRequest) -> HttpAnswer:
        """Say that this process serves."""
        return HttpAnswer(200, "ok\n")

    def _ready(self, _: HttpRequest) -> HttpAnswer:
        """Say whether messages can be sent: the hub answers and has space to write."""
        try:
            writable = self._ask_metrics()["writable"]
        except ChatdError:
            return _not_ready("the hub does not answer")
        return HttpAnswer(200, "ready\n") if writable else _not_ready("the disk is full")

    def _metrics(self, request: HttpRequest) -> HttpAnswer:
        try:
            metrics = self._ask_metrics()
        except ChatdError:
            return _not_ready("the hub does not answer")
        openmetrics = wants_openmetrics(request.headers.get("accept", ""))
        text = metrics_text({**metrics, "certificates": self._certificates}, openmetrics=openmetrics)
        return HttpAnswer(200, text, OPENMETRICS if openmetrics else PLAIN)

    def _is_monitor(self, address: str) -> bool:
        ip = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
            ip = ip.ipv4_mapped
        return any(ip in network for network in self._monitors)

    def _is_own_host(self, host: str) -> bool:
        name = _host_of(host).lower()
        return name in self._hosts or _is_literal(name)


ROUTES: dict[str, Route] = {
    "/healthz": Route(False, Routes._health),
    "/readyz": Route(False, Routes._ready),
    "/metrics": Route(True, Routes._metrics),
}


def _not_ready(why: str) -> HttpAnswer:
    return HttpAnswer(503, f"not ready: {why}\n", headers=[("Retry-After", RETRY_SECONDS)])


def _host_of(address: str) -> str:
    """Return the host of HOST, HOST:PORT or [HOST]:PORT."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0]


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _end_of(pem: bytes) -> float:
    """Return when a certificate ends, in seconds since 1970. Raises ChatdError E606."""
    try:
        return x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()
    except PARSE_ERRORS as error:
        raise ChatdError("E606", f"a certificate in certs/ cannot be read: {error}") from None
