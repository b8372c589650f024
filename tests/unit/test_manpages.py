"""Manual pages and completion: made from the command trees, complete, and in the package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import click
import pytest

from chatd.console.shell_completion import SHELLS
from tests.support.daemon import BIN
from tests.support.terminal import TMUX, Terminal
from tests.tools.manpages import PROGRAMS, ROOT, generated, runnable

COMMANDS = [item for name, root in PROGRAMS.items() for item in runnable(name, root)]
FILES = generated()
# What a shell makes of a line when Tab is pressed.
SHOWN = [
    ("chatctl", "kic", "kick"),
    ("chat", "send --li", "--lines"),
    ("chatd", "user a", "add"),
    ("chat", "--theme d", "dark"),
]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_committed_files_are_up_to_date(file: Path) -> None:
    assert file.read_text("utf-8") == FILES[file], "run: python -m tests.tools.manpages"


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[path for path, _ in COMMANDS])
def test_every_command_and_option_has_help(path: str, command: click.Command) -> None:
    assert command.help, path
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help or option.hidden, f"{path} {option.opts[0]}"


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
@pytest.mark.parametrize("name", PROGRAMS)
def test_pages_are_valid_roff(name: str) -> None:
    page = ROOT / "docs" / "man" / f"{name}.1"
    result = subprocess.run(
        ["groff", "-man", "-Tascii", "-ww", str(page)], capture_output=True, text=True, timeout=60
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert f"{name} - " in result.stdout


def test_scripts_are_printed_without_a_home_or_an_identity(tmp_path: Path) -> None:
    for name in PROGRAMS:
        for shell in SHELLS:
            result = subprocess.run(
                [BIN / name, "completion", shell], capture_output=True, text=True, cwd=tmp_path, timeout=60
            )
            assert (result.returncode, result.stderr) == (0, "")
            assert result.stdout.rstrip("\n") + "\n" in FILES.values()


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(("name", "words", "expected"), SHOWN)
def test_bash_completes(name: str, words: str, expected: str) -> None:
    script = f"""
        source docs/completions/{name}.bash
        COMP_WORDS=({name} {words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        _{name}_completion {name}; echo "${{COMPREPLY[@]}}"
    """
    environ = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    result = subprocess.run(
        ["bash", "--norc", "-c", script], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60
    )
    assert (result.stdout, result.stderr) == (f"{expected}\n", "")


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
@pytest.mark.parametrize(("name", "words", "expected"), SHOWN)
def test_fish_completes(name: str, words: str, expected: str) -> None:
    (shown,) = fish(f"{name} {words}")
    assert shown.split("\t")[0] == expected


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_explains_what_it_offers(tmp_path: Path) -> None:
    commands = dict(line.split("\t") for line in fish("chat "))
    assert {"send", "tail", "bot", "window"} <= set(commands)
    # Commas are part of the explanation.
    assert commands["history"] == "Print the last events of ROOM, oldest..."
    (tmp_path / "my.pem").touch()
    assert fish(f"chat --identity {tmp_path}/my") == [f"{tmp_path}/my.pem"]


def fish(line: str) -> list[str]:
    script = f"source docs/completions/{line.split()[0]}.fish; complete -C '{line}'"
    environ = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    command = ["fish", "--no-config", "-c", script]
    result = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.splitlines()


@pytest.mark.skipif(TMUX is None or shutil.which("zsh") is None, reason="zsh or tmux is not installed")
def test_zsh_completes_in_a_terminal(tmp_path: Path) -> None:
    # As installed: found by the name in a folder of fpath.
    fpath = ROOT / "docs" / "completions"
    (tmp_path / ".zshrc").write_text(
        f"PROMPT='zsh> '\nfpath=({fpath} $fpath)\nautoload -U compinit\ncompinit -u -D\n"
    )
    environ = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "ZDOTDIR": str(tmp_path)}
    terminal = Terminal(tmp_path, environ)
    try:
        terminal.open("zsh", ["zsh", "-d"])
        terminal.wait("zsh", "zsh>")
        for name, words, expected in SHOWN:
            terminal.keys("zsh", "-l", f"{name} {words}")
            terminal.keys("zsh", "Tab")
            terminal.wait_for("zsh", rf"zsh> {name} .*{expected}\b")
            terminal.keys("zsh", "C-u")
        terminal.keys("zsh", "-l", "chat ")
        terminal.keys("zsh", "Tab")
        terminal.wait_for("zsh", r"history +-- Print the last events of ROOM, oldest")
    finally:
        terminal.close()


def test_the_package_installs_pages_and_completions(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    installed = [name.partition(".data/data/")[2] for name in names]
    assert {"chatctl/py.typed", "chatd/py.typed"} <= set(names)
    assert {f"share/man/man1/{name}.1" for name in PROGRAMS} <= set(installed)
    assert sum("complet" in name or "site-functions" in name for name in installed) == 3 * len(PROGRAMS)
