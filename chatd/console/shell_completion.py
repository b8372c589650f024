"""The command `completion`, which prints a program's completion script for a shell."""

from __future__ import annotations

import click
from click.shell_completion import (
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    get_completion_class,
)

from chatd.console import output

SHELLS = ("bash", "zsh", "fish")


@add_completion_class
class ZshScript(ZshComplete):
    """Replaces click's script (8.3), which when found through fpath completes only once: the first Tab
    loads the function, and later ones only register it again."""

    source_template = """\
#compdef %(prog_name)s

%(complete_func)s() {
    local -a plain explained response
    local type key descr
    (( ! $+commands[%(prog_name)s] )) && return 1
    response=("${(@f)$(env COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT-1)) \\
        %(complete_var)s=zsh_complete %(prog_name)s)}")
    for type key descr in ${response}; do
        case "$type" in
            plain) if [[ "$descr" == "_" ]]; then plain+=("$key"); else explained+=("$key:$descr"); fi ;;
            dir) _path_files -/ ;;
            file) _path_files -f ;;
        esac
    done
    (( $#explained )) && _describe -V unsorted explained -U
    (( $#plain )) && compadd -U -V unsorted -a plain
}

if [[ "$funcstack[1]" == "_%(prog_name)s" ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""


@add_completion_class
class FishScript(FishComplete):
    """Replaces click's script (8.3), which cuts explanations at their first comma."""

    source_template = """\
function %(complete_func)s
    set -l response (env %(complete_var)s=fish_complete COMP_WORDS=(commandline -cp) \\
        COMP_CWORD=(commandline -t) %(prog_name)s)
    for completion in $response
        set -l metadata (string split --max 1 "," -- $completion)
        switch $metadata[1]
            case dir
                __fish_complete_directories $metadata[2]
            case file
                __fish_complete_path $metadata[2]
            case plain
                echo $metadata[2]
        end
    end
end

complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""

    def format_completion(self, item: CompletionItem) -> str:
        """An item as the script above reads it."""
        about = f"\t{' '.join(item.help.split())}" if item.help else ""
        return f"{item.type},{item.value}{about}"


def complete_files(_context: click.Context, _option: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete a file, as ``shell_complete`` of a parameter."""
    return [CompletionItem(typed, type="file")]


def complete_folders(_context: click.Context, _option: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete a folder, as ``shell_complete`` of a parameter."""
    return [CompletionItem(typed, type="dir")]


def script(program: str, root: click.Command, shell: str) -> str:
    """A program's completion script for one of `SHELLS`."""
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - click brings all of SHELLS
    complete = kind(root, {}, program, f"_{program.upper()}_COMPLETE")
    # Not complete.source(): that requires a bash on this machine, but the script may run elsewhere.
    return ShellComplete.source(complete)


def completion_command(program: str) -> click.Command:
    """Make the command `completion` of a program."""

    @click.command("completion")
    @click.argument("shell", type=click.Choice(SHELLS))
    @click.pass_context
    def completion(context: click.Context, shell: str) -> None:
        output.write(script(program, context.find_root().command, shell))

    completion.help = f"""Print the script with which SHELL completes the commands and options of {program}.

    \b
    bash: eval "$({program} completion bash)"          in ~/.bashrc
    zsh:  eval "$({program} completion zsh)"           in ~/.zshrc
    fish: {program} completion fish | source           in ~/.config/fish/config.fish
    """
    return completion
