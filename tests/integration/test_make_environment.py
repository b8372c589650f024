"""`make` tests its virtual environment before it uses it, and says truthfully why it cannot make one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSTALLED = ".venv/.installed-runtime"
RULES = ("Makefile", "pyproject.toml", "constraints.txt")
# Installs without an index: the packages of this Python, and the checkout as pip does it.
PIP = """
import sys, sysconfig
from pathlib import Path
folder = Path(sysconfig.get_path("purelib"))
(folder / "packages.pth").write_text(PACKAGES + chr(10))
if "-e" in sys.argv:
    (folder / "_chatd.pth").write_text(str(Path.cwd()) + chr(10))
    script = Path(sys.prefix, "bin", "chatd")
    script.write_text(f"#!{sys.executable}\\nfrom chatd.cli import main\\nmain()\\n")
    script.chmod(0o755)
"""


def make(
    folder: Path, *words: str, environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "VIRTUAL_ENV"))}
    pip = f"PIP=.venv/bin/python {folder.parent / 'pip.py'}"
    return subprocess.run(
        ["make", "-C", str(folder), "--no-print-directory", f"PYTHON={sys.executable}", pip, *words],
        env=keep | (environ or {}),
        capture_output=True,
        text=True,
        timeout=240,
    )


def version(folder: Path) -> str:
    command = [str(folder / ".venv/bin/chatd"), "--version"]
    return subprocess.run(command, cwd="/", capture_output=True, text=True, check=True).stdout


def source(folder: Path) -> Path:
    """Return where the environment of a checkout finds chatd."""
    command = [str(folder / ".venv/bin/python"), "-I", "-c", "import chatd; print(chatd.__file__)"]
    return Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout).parents[1]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with its environment."""
    (tmp_path / "pip.py").write_text(f"PACKAGES = {sysconfig.get_path('purelib')!r}\n{PIP}")
    folder = tmp_path / "checkout"
    for name in ("chatd", "chatctl"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in RULES:
        shutil.copy(ROOT / name, folder)
    done = make(folder, INSTALLED)
    assert done.returncode == 0, done.stderr
    assert source(folder) == folder
    return folder


def test_an_environment_is_made_anew_only_if_it_is_of_no_use(checkout: Path, tmp_path: Path) -> None:
    assert "installing" not in make(checkout, INSTALLED).stderr
    moved = checkout.rename(tmp_path / "moved")
    with pytest.raises(FileNotFoundError):
        version(moved)
    # Without a package index nothing can be made anew, and nothing needs to be.
    asked = make(moved, "status", "PIP=false")
    assert "E601" in asked.stderr
    assert "not found" not in asked.stdout + asked.stderr
    assert "installing" in make(moved, INSTALLED).stderr
    assert "version" in version(moved)

    copy = Path(shutil.copytree(moved, tmp_path / "copy", symlinks=True))
    assert source(copy) == moved
    assert "installing" in make(copy, INSTALLED).stderr
    assert source(copy) == copy

    (copy / ".venv/bin/python").unlink()
    (copy / ".venv/bin/python").symlink_to("/nowhere/python3")
    assert "installing" in make(copy, INSTALLED).stderr
    assert source(copy) == copy


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("#!/bin/sh\necho 'Python 3.9.2'; exit 1\n", "Python 3.9.2"),
        (None, "not installed"),
    ],
)
@pytest.mark.parametrize("newer", [True, False])
def test_advice_names_only_a_python_that_is_installed(
    tmp_path: Path, script: str | None, expected: str, newer: bool
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in RULES:
        shutil.copy(ROOT / name, tmp_path)
    if script is not None:
        (programs / "python3.9").write_text(script)
    if newer:
        (programs / "python3.12").write_text("#!/bin/sh\n")
    for program in programs.iterdir():
        program.chmod(0o755)
    for needed in ("sh", "make", "awk", "mkdir", "rm"):
        (programs / needed).symlink_to(str(shutil.which(needed)))
    done = make(tmp_path, "start", "PYTHON=python3.9", environ={"PATH": str(programs)})
    assert done.returncode != 0
    assert expected in done.stdout
    assert ("try: make PYTHON=python3.12 start" in done.stdout) == newer
    assert done.stdout.count("try:") == newer


@pytest.mark.parametrize("name", ["python3", "python3.11"])
def test_the_package_that_is_missing_on_debian_is_named(tmp_path: Path, name: str) -> None:
    for rule in RULES:
        shutil.copy(ROOT / rule, tmp_path)
    # As Debian's Python without python3-venv: the version is right, but the module fails.
    (tmp_path / name).write_text('#!/bin/sh\ntest "$1" = -m || exit 0\nmkdir -p .venv/bin; exit 1\n')
    (tmp_path / name).chmod(0o755)
    done = make(tmp_path, "start", f"PYTHON={name}", environ={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert done.returncode != 0
    assert f"apt install {name}-venv" in done.stdout
    assert not (tmp_path / ".venv").exists()


def test_the_lowest_python_is_the_same_everywhere() -> None:
    assert "sys.version_info < (3, 11)" in (ROOT / "Makefile").read_text()
    assert 'requires-python = ">=3.11"' in (ROOT / "pyproject.toml").read_text()
    assert "Python 3.11 or newer" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("package", ["chatd", "chatctl"])
def test_a_package_runs_as_a_module(package: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", package, "--help"]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert shown.startswith(f"Usage: {package} ")
