"""Blocks of addresses: what limits for unknown peers are counted for."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

# As many as `chatd.child.login_slots` remembers.
_CACHED = 4096


@lru_cache(_CACHED)  # asked three times for each connection, at 8 us
def block_of(address: str) -> str:
    """Return the /24 (IPv4) or /64 (IPv6) of an address: whoever has one address has its neighbours."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    if isinstance(ip, ipaddress.IPv4Address):
        return f"{ipaddress.IPv4Address(int(ip) & ~0xFF)}/24"
    return f"{ipaddress.IPv6Address(int(ip) >> 64 << 64)}/64"
