"""Build the clients as single files, from what is installed here; no network is needed."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import zipfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from chatd import __version__
from chatd.errors import ChatdError

# Program -> its entry point.
PROGRAMS = {"chat": "chatctl.single_file:chat", "chatctl": "chatctl.single_file:chatctl"}
# What the clients import, and what that requires; the import contracts in pyproject.toml forbid more.
_LIBRARIES = ("click", "cryptography", "orjson", "prompt-toolkit", "pydantic", "segno", "wcwidth")
_SHARED_PACKAGES = frozenset({"console", "crypto", "pki", "proto"})
# Where such a file unpacks itself at its first start; SHIV_ROOT names another folder.
_CACHE = "~/.cache/chatd/programs"
_EXECUTABLE = 0o755
_MAIN = "__main__.py"
# Old versions of Python read this part, so it keeps to a syntax that all of them know.
_MAIN_TEXT = """import os
import sys

if sys.version_info < (3, 11):
    words = "error: {0} needs Python 3.11 or newer, and this is Python {1}.{2}. Run: python3.11 {0}"
    sys.exit(words.format(sys.argv[0], *sys.version_info[:2]))
from _bootstrap import bootstrap

root = os.path.expanduser(os.environ.get("SHIV_ROOT", "CACHE"))
try:
    os.makedirs(root, exist_ok=True)
    status = os.statvfs(root)
    full = not os.listdir(root) and status.f_bavail * status.f_frsize < NEEDED
    why = "the disk is full" if full else "" if os.access(root, os.W_OK | os.X_OK) else "it cannot be written"
except OSError as error:
    why = error.strerror
if why:
    words = "error: {0} cannot unpack into {1}: {2}. Name another folder: SHIV_ROOT=FOLDER python3 {0}"
    sys.exit(words.format(sys.argv[0], root, why))
sys.exit(bootstrap())
"""
# What the unpacked libraries take, and some more.
_UNPACKED_BYTES = 50_000_000


def build(program: str, target: Path, others: Iterable[Path] = ()) -> None:
    """Write ``program`` as the file ``target``, which runs with this version of Python.

    ``others`` are folders of the same libraries, installed for other versions, which are added. Raises E606.
    """
    try:
        from shiv.bootstrap.environment import Environment
        from shiv.builder import create_archive
        from shiv.constants import BUILD_AT_TIMESTAMP_FORMAT, SOURCE_DATE_EPOCH_DEFAULT
    except ImportError:
        fix = "install it: pip install shiv; or build the files where the network is: make dist"
        raise ChatdError("E606", "the builder of single files, shiv, is not installed", fix) from None
    environment = Environment(
        # The same for each build, so that equal contents make equal files.
        built_at=datetime.fromtimestamp(SOURCE_DATE_EPOCH_DEFAULT, UTC).strftime(BUILD_AT_TIMESTAMP_FORMAT),
        shiv_version=f"chatd {__version__}",
        compile_pyc=False,
        entry_point=PROGRAMS[program],
        root=_CACHE,
    )
    scratch = target.with_name(f".{target.name}.new")
    with TemporaryDirectory(prefix="chatd-single-file-") as folder:
        _stage(Path(folder), others)
        try:
            create_archive(
                [Path(folder)], scratch, "/usr/bin/env python3", "_bootstrap:bootstrap", environment
            )
            _replace_main(scratch)
            scratch.chmod(_EXECUTABLE)
            scratch.replace(target)
        finally:
            scratch.unlink(missing_ok=True)


def _replace_main(file: Path) -> None:
    """Let the file say in any version of Python, and in a home that is full, what it needs."""
    content = file.read_bytes()
    shebang = content[: content.index(b"\n") + 1]
    with zipfile.ZipFile(file) as made:
        entries = [(entry, made.read(entry)) for entry in made.infolist()]
    main = _MAIN_TEXT.replace("CACHE", _CACHE).replace("NEEDED", str(_UNPACKED_BYTES))
    with file.open("wb") as target:
        target.write(shebang)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for entry, data in entries:
                archive.writestr(entry, main.encode() if entry.filename == _MAIN else data)


def _stage(folder: Path, others: Iterable[Path]) -> None:
    for name in libraries():
        for file in importlib.metadata.distribution(name).files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                _copy(Path(str(file.locate())), folder / file)
    for other in others:
        for path in other.rglob("*.so"):
            if (folder / path.relative_to(other)).parent.is_dir():
                _copy(path, folder / path.relative_to(other))
    for package in ("chatctl", "chatd"):
        root = _folder_of(package)
        for path in root.rglob("*"):
            part = path.relative_to(root)
            shared = package == "chatctl" or len(part.parts) == 1 or part.parts[0] in _SHARED_PACKAGES
            if path.is_file() and path.suffix != ".pyc" and shared:
                _copy(path, folder / package / part)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def libraries() -> list[str]:
    """Return the names of the installed libraries that the clients need."""
    found: dict[str, None] = {}
    queue = list(_LIBRARIES)
    while queue:
        name = queue.pop()
        if name in found:
            continue
        try:
            requires = importlib.metadata.distribution(name).requires or []
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform or version
        found[name] = None
        matches = [re.match(r"[\w.-]+", one) for one in requires if "extra ==" not in one]
        queue += [match[0] for match in matches if match]
    return sorted(found)


def _folder_of(package: str) -> Path:
    """Return where a package is, without importing it: the daemon never imports its clients."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ChatdError(
            "E606", f"the package {package} is not installed here", "install the whole distribution again"
        )
    return Path(spec.origin).parent
