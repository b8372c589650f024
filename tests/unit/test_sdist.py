"""The source archive contains everything that `make test` and `make check` need, and no keys."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from chatd import __version__

ROOT = Path(__file__).parents[2]
FOLDERS = (".ci", ".github", "chatctl", "chatd", "deploy", "docs", "tests")
TOP_LEVEL = {
    ".gitignore",
    ".pre-commit-config.yaml",
    "CHANGELOG.md",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "constraints-dev.txt",
    "constraints-fuzz.txt",
    "constraints.txt",
    "pyproject.toml",
}
# A checkout may be a home with keys, settings and logs: only these files of it are part of the source.
PLACEHOLDERS = {"certs/README.md", "config/README.md", "logs/README.md"}
PREFIX = f"chatd-{__version__}/"


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The paths in a new archive, relative to its top folder."""
    folder = tmp_path_factory.mktemp("sdist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = tar.getnames()
    assert all(name.startswith(PREFIX) for name in names)
    return {name.removeprefix(PREFIX) for name in names}


def test_every_file_of_the_source_folders_is_packed(packed: set[str]) -> None:
    on_disk = {
        str(path.relative_to(ROOT))
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert len(on_disk) > 200
    assert on_disk <= packed


def test_the_files_that_make_and_the_tests_read_are_packed(packed: set[str]) -> None:
    assert packed >= TOP_LEVEL | PLACEHOLDERS


def test_no_file_of_a_home_is_packed(packed: set[str]) -> None:
    of_a_home = {name for name in packed if re.match(r"(certs|config|data|logs|run)/", name)}
    assert of_a_home == PLACEHOLDERS
