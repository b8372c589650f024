"""Write dist/chat.pyz and dist/chatctl.pyz for every Python that the classifiers of pyproject.toml name.

`chatd client-bundle` makes the same files for one version of Python, of what is installed.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

from chatd.cli.client_files import PROGRAMS, build, libraries

ROOT = Path(__file__).parents[2]


def versions() -> list[str]:
    """The supported versions of Python but the one that runs this."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = [
        re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", one) for one in project["classifiers"]
    ]
    own = f"3.{sys.version_info[1]}"
    return [match[1] for match in found if match and match[1] != own]


def pins() -> str:
    """The lines of constraints.txt for the libraries of the clients, with their hashes."""
    blocks = re.split(r"\n(?=\S)", (ROOT / "constraints.txt").read_text(encoding="utf-8"))
    wanted = set(libraries())
    return "\n".join(block for block in blocks if block.partition("==")[0] in wanted)


def install(version: str, requirements: Path, folder: Path) -> None:
    """Install the wheels of another version of Python into ``folder``."""
    options = ["--no-deps", "--only-binary", ":all:", "--python-version", version, "--target", str(folder)]
    command = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
        "--no-compile",
    ]
    subprocess.run([*command, *options, "--require-hashes", "-r", str(requirements)], check=True)


def main(target: Path) -> None:
    target.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix="chatd-wheels-") as temporary:
        requirements = Path(temporary, "requirements.txt")
        requirements.write_text(pins(), encoding="utf-8")
        others = []
        for version in versions():
            install(version, requirements, Path(temporary, version))
            others.append(Path(temporary, version))
        for program in PROGRAMS:
            build(program, target / f"{program}.pyz", others)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
