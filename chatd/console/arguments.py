"""Types of arguments that several programs take."""

from __future__ import annotations

import click

from chatd.proto.text import is_host_port


def host_port(text: str) -> str:
    """Check a HOST:PORT."""
    if not is_host_port(text):
        raise click.BadParameter("write HOST:PORT, with an IPv6 address in [ ]")
    return text
