"""Groups of commands whose modules are imported when the command is used.

`--help`, `--version` and a slip of the fingers need the names of all commands but the code of none. Imported
together, the commands cost several times as long as the interpreter itself.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

# More characters than any sentence has.
_WHOLE = 10_000


class TableEntry(NamedTuple):
    """A command that is not imported yet: "module:attribute", and the first sentence of its help."""

    place: str
    summary: str
    hidden: bool = False


class CommandTable(MutableMapping[str, click.Command]):
    """The commands of a group by name; looking one up imports it."""

    def __init__(self, entries: Mapping[str, TableEntry]) -> None:
        self._entries = dict(entries)
        self._loaded: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._loaded:
            module, _, attribute = self._entries[name].place.partition(":")
            # Imports make no garbage, and looking for it takes a tenth of their time.
            gc.disable()
            try:
                self._loaded[name] = getattr(import_module(module), attribute)
            finally:
                gc.enable()
        return self._loaded[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        self._loaded.pop(name, None)
        self._entries.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter({**self._entries, **self._loaded})

    def __len__(self) -> int:
        return len({**self._entries, **self._loaded})

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in self._loaded

    def outline(self) -> dict[str, click.Command]:
        """Stand-ins with names and summaries, made without an import; loaded commands are themselves."""
        stubs = {
            name: click.Command(name, help=entry.summary, hidden=entry.hidden)
            for name, entry in self._entries.items()
        }
        return {**stubs, **{name: self._loaded[name] for name in self._loaded if name not in stubs}}


class SummaryGroup(click.Group):
    """A group that lists its commands with the whole first sentence of their help; click would cut it."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands of a help text."""
        shown = sorted((name, one) for name, one in self.outline().items() if not one.hidden)
        if shown:
            with formatter.section("Commands"):
                formatter.write_dl([(name, one.get_short_help_str(_WHOLE)) for name, one in shown])

    def outline(self) -> Mapping[str, click.Command]:
        """The commands, or stand-ins with their names and summaries."""
        return self.commands


class TableGroup(SummaryGroup):
    """A group that takes its commands from a table, and lists them without importing them.

    ``sisters``: programs that may have a command that this one lacks -> "module:attribute" of their group.
    """

    def __init__(
        self,
        *args: Any,
        table: Mapping[str, TableEntry],
        sisters: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.table = CommandTable(table)
        self.commands = self.table
        self._sisters = sisters or {}

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; for one of another program say whose it is."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if found := [f"{program} {args[0]}" for program in self._sisters if self._has(program, args[0])]:
                raise click.UsageError(
                    f"No such command {args[0]!r} here; there is: {found[0]}", ctx
                ) from error
            raise

    def _has(self, program: str, name: str) -> bool:
        module, _, attribute = self._sisters[program].partition(":")
        try:
            group: click.Group = getattr(import_module(module), attribute)
        except ImportError:
            return False  # a single file has one program
        return isinstance(group, SummaryGroup) and name in group.outline()

    def outline(self) -> Mapping[str, click.Command]:
        """Stand-ins for all commands, made without an import."""
        return self.table.outline()

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command, or an option of the group."""
        names = [
            CompletionItem(name, help=command.get_short_help_str())
            for name, command in sorted(self.table.outline().items(), key=lambda item: item[0])
            if name.startswith(incomplete) and not command.hidden
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)
