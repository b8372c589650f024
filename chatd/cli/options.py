"""Options that several commands of ``chatd`` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from chatd.console.numbers import number

# The key in ctx.meta of the template launched by `chatd.cli.main`.
LAUNCHED = "chatd.launched"
MAX_WAIT_SECONDS = 86_400  # a day: verifying the largest log takes hours
json_option: Callable[[Any], Any] = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object."
)
wait_option: Callable[[Any], Any] = click.option(
    "--wait",
    "seconds",
    type=number(0, MAX_WAIT_SECONDS),
    default=30,
    show_default=True,
    help="How long the start may take, in seconds.",
)
