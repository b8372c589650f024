"""A command in a fork of the loaded programs does what the installed program does."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support import preloaded
from tests.support.preloaded import BIN, own_environment


@pytest.mark.parametrize(
    "arguments",
    [
        ("chatd", "--version"),
        ("chatd", "status", "--json"),
        ("chatctl", "explain", "E204"),
        ("chatctl", "kcik"),
        ("chat", "send", "--room", "lobby", "hello"),
    ],
    ids=" ".join,
)
def test_a_fork_behaves_as_the_installed_program(arguments: tuple[str, ...], tmp_path: Path) -> None:
    environ = {**own_environment(), "CHATD_HOME": str(tmp_path), "HOME": str(tmp_path), "NO_COLOR": "1"}
    program, *words = arguments
    assert preloaded.can_run(program, environ)
    forked = preloaded.run(arguments, environ, tmp_path)
    started = subprocess.run(
        [str(BIN / program), *words], env=environ, cwd=tmp_path, input="", capture_output=True, text=True
    )
    assert (forked.stdout, forked.stderr, forked.returncode) == (
        started.stdout,
        started.stderr,
        started.returncode,
    )


def test_the_output_can_go_to_a_full_disk(tmp_path: Path) -> None:
    done = preloaded.run(("chatd", "--version"), own_environment(), tmp_path, out="/dev/full")
    assert (done.returncode, done.stdout) == (8, "")


def test_what_python_reads_at_its_start_needs_the_installed_program() -> None:
    assert not preloaded.can_run("chatd", {**own_environment(), "PYTHONWARNINGS": "error"})
    assert not preloaded.can_run("sh", own_environment())
