"""`chat window` on the command line. Must not import Tk: `chat` has to work without it."""

from __future__ import annotations

import click

from chatctl.connecting import room_name, root_options
from chatd.console.numbers import number


@click.command()
@root_options
@click.option(
    "--room", metavar="ROOM", type=room_name, help="Room to show first (the # is optional). [#lobby]"
)
@click.option("--theme", type=click.Choice(["light", "dark"]), help="Colours. [those of the last run]")
@click.option(
    "--scale",
    type=number(0.5, 4.0),
    help="Size of everything; 1.0 is for 96 dpi. [the desktop's]",
)
@click.pass_context
def window(
    context: click.Context,
    identity: str | None,
    home: str | None,
    room: str | None,
    theme: str | None,
    scale: float | None,
) -> int:
    """Chat in a desktop window (needs Tk and a display).

    Asks for an identity file if there is none. F1 lists the keyboard shortcuts.
    """
    from chatctl.window.main import run

    outer = context.find_root().params
    return run(
        identity or outer.get("identity"),
        home or outer.get("home"),
        room or outer.get("room") or "#lobby",
        theme=theme,
        scale=scale,
    )
