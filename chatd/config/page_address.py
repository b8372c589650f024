"""Where browsers find the web page of a server."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from chatd.config.schema import Settings

HTTPS_PORT: Final = 443


def page_address(settings: Settings) -> str:
    """Return the URL for a browser, "" without a gateway: the first address that the settings name."""
    gateway = settings.gateway
    if not gateway.listen:
        return ""
    host, _, port = gateway.listen.rpartition(":")
    if gateway.addresses:
        host, _, port = gateway.addresses[0].rpartition(":")
    elif (addresses := settings.server.client_addresses) and _is_wildcard(host.strip("[]")):
        host = addresses[0].rpartition(":")[0]
    return f"https://{host}/" if int(port) == HTTPS_PORT else f"https://{host}:{port}/"


def page_hosts(settings: Settings) -> list[str]:
    """Return the hosts that the server's certificate must name for browsers."""
    addresses = [*settings.server.client_addresses, *settings.gateway.addresses]
    hosts = [address.rpartition(":")[0].strip("[]") for address in addresses]
    return list(dict.fromkeys([*hosts, "localhost", "127.0.0.1"]))


def _is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
