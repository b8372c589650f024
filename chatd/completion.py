"""`completion` for a command tree: the script that lets a shell complete it. Shared by all programs."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class

SHELLS = ("bash", "zsh", "fish")


def script(program: str, root: click.Command, shell: str) -> str:
    """The completion script of a program for one of `SHELLS`, as click makes it."""
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - click brings all of SHELLS
    complete = kind(root, {}, program, f"_{program.upper()}_COMPLETE")
    # Not complete.source(): for bash that asks the bash of this machine, which is not where it will run.
    return ShellComplete.source(complete)


def completion_command(program: str) -> click.Command:
    """The command `completion` of a program."""

    @click.command("completion")
    @click.argument("shell", type=click.Choice(SHELLS))
    @click.pass_context
    def completion(context: click.Context, shell: str) -> None:
        click.echo(script(program, context.find_root().command, shell), nl=False)

    completion.help = f"""Print the script that lets SHELL complete the commands and options of {program}.

    \b
    bash: eval "$({program} completion bash)"          in ~/.bashrc
    zsh:  eval "$({program} completion zsh)"           in ~/.zshrc
    fish: {program} completion fish | source           in ~/.config/fish/config.fish
    """
    return completion
