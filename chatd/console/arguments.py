"""Types of arguments that several programs take."""

from __future__ import annotations

import os
from typing import Any

import click

from chatd.proto.text import host_port_fault


class NamedPath(click.Path):
    """A file or folder; an empty name, such as that of a variable that is not set, is told as such."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """Check a name. Raises click.BadParameter."""
        if value == "":
            self.fail("the name is empty", param, ctx)
        return super().convert(value, param, ctx)


# For names that the command itself judges, with an error code.
ANY_NAME = NamedPath(readable=False)


def host_port(text: str) -> str:
    """Check a HOST:PORT."""
    if fault := host_port_fault(text):
        raise click.BadParameter(f"it must {fault}")
    return text
