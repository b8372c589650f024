"""Options that several commands of ``chatd`` share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from chatd.console.arguments import NamedPath
from chatd.console.numbers import number
from chatd.console.shell_completion import complete_folders

# The key in ctx.meta of the template launched by `chatd.cli.main`.
LAUNCHED = "chatd.launched"
MAX_WAIT_SECONDS = 86_400  # a day: verifying the largest log takes hours
json_option: Callable[[Any], Any] = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object."
)
join_folder_option: Callable[[Any], Any] = click.option(
    "--out",
    type=NamedPath(path_type=Path, file_okay=False, exists=True),
    default=".",
    shell_complete=complete_folders,
    help="Folder for join files. Default: here.",
)
wait_option: Callable[[Any], Any] = click.option(
    "--wait",
    "seconds",
    type=number(0, MAX_WAIT_SECONDS),
    default=30,
    show_default=True,
    help="How long the start may take, in seconds.",
)
