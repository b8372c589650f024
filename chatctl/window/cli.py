"""`chat window` on the command line. Imports no Tk: `chat` has to work without."""

from __future__ import annotations

import click

from chatctl.connecting import room_name, root_options


@click.command()
@root_options
@click.option(
    "--room", metavar="ROOM", type=room_name, help="Room to look at first (the # may be left out). [#lobby]"
)
@click.option("--theme", type=click.Choice(["light", "dark"]), help="Colours; else as in the last run.")
@click.option(
    "--scale",
    type=click.FloatRange(0.5, 4.0),
    help="Size of everything, 1.0 for 96 dots per inch; else the desktop's.",
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
    """Chat in a window of the desktop (needs Tk and a display).

    Without an identity file it asks for one. F1 in the window lists its keys.
    """
    from chatctl.window.main import run

    before = context.find_root().params
    return run(
        identity or before.get("identity"),
        home or before.get("home"),
        room or before.get("room") or "#lobby",
        theme=theme,
        scale=scale,
    )
