"""Types of arguments that several programs take."""

from __future__ import annotations

import click

from chatd.proto.text import host_port_fault


def host_port(text: str) -> str:
    """Check a HOST:PORT."""
    if fault := host_port_fault(text):
        raise click.BadParameter(f"it must {fault}")
    return text
