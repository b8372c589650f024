"""Addresses on the command line and in settings: "host", "host:port", "[v6]:port"."""

from __future__ import annotations

import ipaddress
import re

import click

# No port is this.
UNNAMED = -1
PORT_LIMIT = 65_535


def split_address(text: str, default_port: int, default_host: str = "") -> tuple[str, int]:
    """Split "host", "host:port" or "[v6]:port" into host and port. Raises UsageError.

    With a default host, a number alone is a port.
    """
    if text.isdecimal() and default_host and int(text) <= PORT_LIMIT:
        return default_host, int(text)
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]+))(?::(\d{1,5}))?", text) or re.fullmatch(
        r"([0-9A-Fa-f:]{2,})()()", text
    )
    if text.isdecimal() or match is None or int(match[3] or default_port) > PORT_LIMIT:
        raise click.UsageError(f"{text!r} is not HOST[:PORT]")
    return match[1] or match[2], int(match[3] or default_port)


def join_address(host: str, port: int) -> str:
    """Return host:port, with an IPv6 host in brackets."""
    return f"{bracketed(host)}:{port}"


def bracketed(host: str) -> str:
    """Put an IPv6 host in brackets."""
    return f"[{host}]" if ":" in host else host


def client_address(text: str) -> str:
    """Return an address for clients, with a port only if it is named: others follow server.port.

    Raises UsageError for one that they cannot connect to.
    """
    host, port = split_address(text, UNNAMED)
    if is_wildcard(host) or not port:
        raise click.UsageError(f"{text!r}: clients cannot connect to this; name an address of this machine")
    return bracketed(host) if port == UNNAMED else join_address(host, port)


def is_wildcard(host: str) -> bool:
    """Whether ``host`` stands for all addresses of a machine, so that nobody can connect to it."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
