"""The ``chatd`` command: for whoever runs the box."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main() -> None:
    """The program. The commands are loaded only after what loads at the same time was launched."""
    launched = None
    if _becomes_supervisor(sys.argv[1:]):
        from chatd.supervisor.launch import launch_early

        launched = launch_early()

    from chatd.cli.root import main as command
    from chatd.console import output

    sys.exit(output.run(command, "chatd", context=launched, not_permitted=output.FAILED))


def _becomes_supervisor(words: Sequence[str]) -> bool:
    """A guess, before the words are really read; a wrong one costs an unused template, or some time."""
    return "start" in words and "--foreground" in words and not {"-h", "--help"} & set(words)
