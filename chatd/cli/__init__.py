"""The ``chatd`` command, for the operator of the box."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main() -> None:
    """Run the program. A template is launched first, so that it loads in parallel with the commands."""
    from chatd.console import streams

    streams.prepare()
    launched = None
    if _becomes_supervisor(sys.argv[1:]):
        from chatd.supervisor.launch import launch_early

        launched = launch_early()

    from chatd.cli.root import main as command
    from chatd.console import output

    sys.exit(output.run(command, "chatd", context=launched, not_permitted=output.FAILED))


def _becomes_supervisor(args: Sequence[str]) -> bool:
    """Guess before the arguments are parsed; a wrong guess costs an unused template or a slower start."""
    return "start" in args and "--foreground" in args and not {"-h", "--help"} & set(args)
