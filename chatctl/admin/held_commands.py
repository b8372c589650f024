"""Messages that the filter holds: list them, approve or refuse them, withdraw one's own."""

from __future__ import annotations

import click

from chatctl.connecting import App, connecting, reason_option
from chatd.console import output
from chatd.console.numbers import number
from chatd.proto.frames import INTEGER_LIMIT, JsonObject

number_argument = click.argument("seq", metavar="ID", type=number(1, INTEGER_LIMIT))


@click.command("list")
@connecting
def list_held(app: App) -> None:
    """List the messages that wait for a moderator, with their texts, the oldest first."""
    found: list[JsonObject] = []
    with app.client() as client:
        page = client.request("held_list")
        found += page["held"]
        while page["more"] and page["held"]:
            page = client.request("held_list", after=found[-1]["seq"])
            found += page["held"]
    app.show({"held": found}, lambda: _print(found))


@click.command()
@number_argument
@connecting
def approve(app: App, seq: int) -> int:
    """Publish the held message ID under its writer's name, if the writer may still send it."""
    result = app.ask("held_approve", seq=seq)
    published = result["published"]
    place = f"{result['user']} in {result['room']}"
    text = f"published {seq} of {place} as {published}"
    if published is None:
        text = f"refused {seq} of {place}: {result['refused']}"
    app.show(result, lambda: output.line(text))
    return output.FAILED if published is None else output.OK


@click.command()
@number_argument
@reason_option
@connecting
def refuse(app: App, seq: int, reason: str) -> None:
    """Refuse the held message ID: its text is removed, and its writer is told."""
    result = app.ask("held_refuse", seq=seq, reason=reason)
    app.show(result, lambda: output.line(f"refused {seq} of {result['user']} in {result['room']}"))


@click.command()
@number_argument
@connecting
def withdraw(app: App, seq: int) -> None:
    """Take back your own held message ID: its text is removed, and moderators are told."""
    result = app.ask("held_withdraw", seq=seq)
    app.show(result, lambda: output.line(f"withdrew {seq} in {result['room']}"))


def _print(found: list[JsonObject]) -> None:
    if not found:
        output.line("none")
    for one in found:
        output.line(
            f"{one['seq']}  {output.moment(one['at'])}  {one['room']}  <{one['user']}>  for {one['word']!r}"
        )
        for text in str(one["body"]).splitlines():
            output.line(f"    {text}")
