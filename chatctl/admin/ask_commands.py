"""Asks: list who asks to be let in, approve or deny them."""

from __future__ import annotations

import time

import click

from chatctl.admin.invite_commands import guest_options, rooms_option
from chatctl.client import Client
from chatctl.connecting import App, confirm, connecting
from chatctl.model.paging import list_all
from chatd.console import output
from chatd.console.format import duration
from chatd.errors import ChatdError
from chatd.proto.frames import JsonObject
from chatd.proto.word_list import same_words

name_argument = click.argument("user", metavar="NAME")
words_option = click.option(
    "--words", metavar="WORDS", help="The words that the asker reads out: act only on the ask that has them."
)


@click.command("asks")
@connecting
def list_asks(app: App) -> None:
    """List who asks to be let in (`chat ask`), with the words to compare by telephone.

    For a name that is taken, approve with another: --name OTHER.
    """
    result = app.ask_pages("asks", "asks", "ask")
    result["asks"].sort(key=lambda one: one["at"])
    columns: output.Columns = {
        "user": str,
        "words": str,
        "address": str,
        "at": _age,
        "device": output.plain,
        "taken": output.yes_no,
    }
    app.show(result, lambda: output.table(result["asks"], columns))


@click.command()
@name_argument
@words_option
@click.option("--role", metavar="ROLE", help="Role of the new user. Default: the setting roles.default.")
@click.option("--name", "new_name", metavar="OTHER", help="Another name for the new user, if NAME is taken.")
@click.option("--device", metavar="D", help="Name of the device. Default: whoever asks chooses it.")
@rooms_option
@guest_options
@click.option("--yes", is_flag=True, help="Do not ask whether the words are the same.")
@connecting
def approve(
    app: App,
    user: str,
    words: str | None,
    role: str | None,
    new_name: str | None,
    device: str | None,
    rooms: list[str] | None,
    ends: int | None,
    sponsor: str | None,
    yes: bool,
) -> None:
    """Let in whoever asks as NAME, once you have compared the words.

    Without --words it shows those of the ask and asks whether they are what the person reads out.
    """
    chosen: JsonObject = {"role": role, "user": new_name, "device": device, "rooms": rooms or None}
    chosen |= {"guest_seconds": ends, "sponsor": sponsor}
    with app.client() as client:
        found = _find(client, user, words)
        if words is None:
            question = f"Does {user} ({found['address']}) read out: {found['words']}?"
            left = f"{user} was not let in and still asks; to send them away: chatctl deny {user}"
            confirm(question, yes=yes, otherwise=left)
        fields = {key: value for key, value in chosen.items() if value is not None}
        result = client.request("ask_approve", ask=found["ask"], **fields)
    app.show(result, lambda: output.line(f"approved {result['user']}: {found['words']}"))


@click.command()
@name_argument
@words_option
@connecting
def deny(app: App, user: str, words: str | None) -> None:
    """Send away whoever asks as NAME."""
    with app.client() as client:
        found = _find(client, user, words)
        result = client.request("ask_deny", ask=found["ask"])
    app.show(result, lambda: output.line(f"denied {user}"))


def _find(client: Client, user: str, words: str | None) -> JsonObject:
    """Return the one ask for a name. Raises E410 if there is none with these words, or several."""
    asks = [one for one in list_all(client.request, "asks", "asks", "ask") if one["user"] == user]
    if words is not None:
        found = [one for one in asks if same_words(one["words"], words)]
        if asks and not found:
            raise ChatdError(
                "E410",
                f"nobody who asks as {user} has these words",
                f"compare again; if they differ, somebody sits between: chatctl deny {user}",
            )
        asks = found
    if not asks:
        raise ChatdError("E410", f"nobody asks as {user}", "see: chatctl asks")
    if len(asks) > 1:
        listed = ", ".join(one["words"] for one in asks)
        raise ChatdError("E410", f"{len(asks)} ask as {user}: {listed}", "say which: --words WORDS")
    return asks[0]


def _age(at: int) -> str:
    return f"{duration(max(0, time.time() - at / 1000))} ago"
