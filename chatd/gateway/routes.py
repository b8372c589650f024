"""The table of paths, and what is judged of a request before its body is read."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from chatd.config.schema import Settings
from chatd.gateway.http_messages import READ_ONLY, Audience, HttpAnswer, HttpRequest, Route

HTTPS_PORT = 443


class Routes:
    """Finds a request's route, on any thread. A path of ``table`` that ends in "/" stands for the paths with
    one segment more, which is not empty: "/hook/" serves "/hook/ops"."""

    def __init__(self, settings: Settings, table: Mapping[str, Route], port: int) -> None:
        self._table = dict(table)
        self._port = port
        self.reload(settings)

    def reload(self, settings: Settings) -> None:
        """Take new settings."""
        self._monitors = [ipaddress.ip_network(text) for text in settings.gateway.monitors]
        self._addresses = {_split(address) for address in settings.gateway.addresses}
        self._hosts = {"localhost", *(_split(address)[0] for address in settings.server.addresses)}
        self._hosts |= {host for host, _ in self._addresses}

    def find(self, request: HttpRequest) -> Route | HttpAnswer:
        """Return a request's route, or the answer that refuses it and says no more than its status."""
        host, port = _split(request.headers.get("host", ""))
        if host not in self._hosts and not _is_literal(host):
            # A page of somebody else's site whose name was made to point here (DNS rebinding).
            return HttpAnswer(421, "this server does not have that name\n")
        route = self._at(request.path)
        if route is None:
            return HttpAnswer(404, "not found\n")
        if route.audience is Audience.MONITORS and not self._is_monitor(request.address):
            return HttpAnswer(403, "this address is not in gateway.monitors\n")
        if request.method not in route.methods:
            allowed = ", ".join(route.methods)
            return HttpAnswer(405, f"only {allowed}\n", headers=[("Allow", allowed)])
        if request.method not in READ_ONLY and not _is_same_site(request):
            # A page of somebody else's site would act with the browser's client certificate (CSRF).
            return HttpAnswer(403, "a page of another site may not do this\n")
        if route.audience is Audience.OWN_PAGES:
            return self._unless_own_page(request, host, port) or route
        return route

    def _unless_own_page(self, request: HttpRequest, host: str, port: int) -> HttpAnswer | None:
        """Refuse pages of other sites, and programs that relay this gateway under another address."""
        if port != self._port and (host, port) not in self._addresses:
            return HttpAnswer(421, "this server does not have that port: see gateway.addresses\n")
        if "origin" not in request.headers or not _is_same_site(request):
            return HttpAnswer(403, "only for the pages of this server\n")
        return None

    def _at(self, path: str) -> Route | None:
        if path in self._table and not (path.endswith("/") and len(path) > 1):
            return self._table[path]
        parent, _, name = path.rpartition("/")
        return self._table.get(f"{parent}/") if name and parent else None

    def _is_monitor(self, address: str) -> bool:
        ip = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
            ip = ip.ipv4_mapped
        return any(ip in network for network in self._monitors)


def _is_same_site(request: HttpRequest) -> bool:
    """Whether no page of another site has made a browser send this. Programs send no Origin."""
    origin, host = request.headers.get("origin"), request.headers.get("host")
    return origin is None or origin == f"https://{host}"


def _split(address: str) -> tuple[str, int]:
    """Return host and port of HOST, HOST:PORT or [HOST]:PORT; port 0 if it is none."""
    if address.startswith("["):
        host, _, rest = address[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        host, _, port = address.partition(":")
    if not port:
        return host.lower(), HTTPS_PORT
    return host.lower(), int(port) if port.isascii() and port.isdecimal() and len(port) <= 5 else 0


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
