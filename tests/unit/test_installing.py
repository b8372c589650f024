"""The documented way to install chatd takes pinned versions only, and works."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.unit.test_docs import DOCUMENTS, ROOT

_PIP = re.compile(r"\b(?:pip|pipx) (?:install|run)\b[^`\n]*")
_BUILD = "pip install --no-deps --no-build-isolation ."
_PINNED = "pip install --require-hashes -r constraints.txt"
_CLUSTER = "pip install --require-hashes -r constraints-cluster.txt"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_documented_pip_command_takes_pinned_versions(document: Path) -> None:
    content = document.read_text("utf-8")
    commands = [command.rstrip() for command in _PIP.findall(content)]
    assert set(commands) <= {_PINNED, _BUILD, _CLUSTER}
    assert commands.count(_PINNED) == commands.count(_BUILD)
    assert not re.search(r"\b(?:curl|wget)\b[^\n]*\|\s*(?:sudo )?(?:ba)?sh\b", content)


@pytest.mark.parametrize("name", ["README.md", "docs/operations.md"])
def test_the_pages_for_beginners_and_operators_say_how(name: str) -> None:
    content = (ROOT / name).read_text("utf-8")
    assert content.index(_PINNED) < content.index(_BUILD)


def test_the_pinned_set_is_enough_to_build_and_run() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    needed = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    pinned = re.findall(r"^([a-z0-9-]+)==", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE)
    assert {re.split(r"[<>=~]", one)[0] for one in needed} <= set(pinned)


def test_the_second_command_needs_no_index(tmp_path: Path) -> None:
    command = [sys.executable, "-m", *_BUILD.split(), "--no-index", "--target", str(tmp_path), "--quiet"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=240)
    assert {"chatd", "chatctl"} <= {path.name for path in tmp_path.iterdir()}
