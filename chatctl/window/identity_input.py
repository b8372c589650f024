"""Install an identity from what a person has: a file, its name, or its text."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from chatd.codes import NEW_IDENTITY
from chatd.console.folders import expanded
from chatd.durable_files import PRIVATE, create_file, set_aside
from chatd.errors import ChatdError
from chatd.pki.identity import IDENTITY_LIMIT, Identity, read_identity
from chatd.proto.text import visible

FILE_NAME = "identity.pem"
# Of what was given, in a refusal.
SHOWN_CHARS = 60
_BEGIN = b"-----BEGIN "
_TEXT = "the text"
_WHAT_IT_IS = "an identity has lines such as user: NAME, then a private key and two certificates"


class IdentityInput(NamedTuple):
    """The content of an identity, and how messages name where it came from."""

    data: bytes
    source: str


def is_text(given: str) -> bool:
    """Whether this is the text of an identity, and not the name of a file."""
    return _BEGIN.decode() in given or given.strip().count("\n") > 1


def take(given: str) -> IdentityInput:
    """Read the file that is named, also as a file: URL as file managers copy it. Raises E608."""
    if is_text(given):
        return IdentityInput(given.encode("utf-8", "replace"), _TEXT)
    name = given.strip().strip("'\"")
    if name.startswith("file:"):
        name = unquote(urlsplit(name).path)
    if not name:
        raise ChatdError("E608", "nothing was given", "paste the invite, or choose an identity file")
    if not _exists(expanded(name)):
        shown = name if len(name) <= SHOWN_CHARS else f"{name[: SHOWN_CHARS - 1]}\u2026"
        fix = "paste the whole invite, HOST:PORT/CODE, or choose an identity file"
        raise ChatdError("E608", f"{visible(shown, newlines=False)} is neither an invite nor a file", fix)
    return take_file(expanded(name))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False  # too long for a name


def take_file(path: Path) -> IdentityInput:
    """Read a file. Raises E608."""
    try:
        with path.open("rb") as file:
            return IdentityInput(file.read(IDENTITY_LIMIT + 1), str(path))
    except OSError as error:
        raise ChatdError("E608", f"{path} cannot be read: {error.strerror}", "choose another file") from None


def check(given: IdentityInput, folder: Path) -> Identity:
    """Read an identity without installing it; ``folder`` is where a copy may be. Raises E608."""
    copy = _write_copy(given, folder)
    try:
        return _checked(copy, given)
    finally:
        copy.unlink(missing_ok=True)


def install(given: IdentityInput, folder: Path) -> Identity:
    """Copy an identity to ``folder``, readable only by its owner, and read it there.

    An unusable identity in its place is renamed to identity.pem.old.
    Raises E608 for the input or a usable identity in its place, E606 for the folder.
    """
    target, copy = folder / FILE_NAME, _write_copy(given, folder)
    try:
        _checked(copy, given)
        make_place(folder)
        copy.rename(target)
    finally:
        copy.unlink(missing_ok=True)
    return read_identity(target)


def make_place(folder: Path) -> Path | None:
    """Rename an unusable identity in ``folder``; return its new name. Raises E608 for a usable one."""
    target = folder / FILE_NAME
    if not target.exists():
        return None
    if _usable(target):
        raise ChatdError(
            "E608", f"{target} already exists", "remove it first, or use: chat window --identity FILE"
        )
    return set_aside(target)


def other_server(new: Identity, folder: Path) -> str:
    """Return the name of the server of the identity in ``folder`` if that is another one, else ""."""
    try:
        old = read_identity(folder / FILE_NAME)
    except ChatdError:
        return ""
    return old.instance if old.instance != new.instance else ""


def check_dates(identity: Identity) -> None:
    """Raise E202 for an expired certificate: no server accepts it."""
    if identity.not_after < datetime.now(UTC):
        raise ChatdError(
            "E202",
            f"the certificate in {identity.path} expired on {identity.not_after:%Y-%m-%d}",
            f"correct this device's clock if it is wrong; otherwise {NEW_IDENTITY}",
        )


def _write_copy(given: IdentityInput, folder: Path) -> Path:
    """Write the input where it can be read as an identity. Raises E608 for what cannot be one."""
    # UTF-16 has a zero in each letter.
    if _BEGIN not in given.data.replace(b"\0", b""):
        raise ChatdError("E608", f"{given.source} is not an identity", f"choose another: {_WHAT_IT_IS}")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        fix = "check the permissions of its parent folder"
        raise ChatdError("E606", f"{folder} cannot be made: {error.strerror}", fix) from None
    copy = folder / f".identity-{os.getpid()}.pem"
    copy.unlink(missing_ok=True)
    create_file(copy, given.data, PRIVATE)
    return copy


def _checked(copy: Path, given: IdentityInput) -> Identity:
    try:
        identity = read_identity(copy)
        check_dates(identity)
    except ChatdError as error:
        fix = error.fix.replace(str(copy), "FILE" if given.source == _TEXT else given.source)
        if given.source == _TEXT and "FILE" in fix:
            fix = f"save it as FILE and {fix}"
        raise ChatdError("E608", error.reason.replace(str(copy), given.source), fix) from None
    return identity


def _usable(path: Path) -> bool:
    try:
        check_dates(read_identity(path))
    except ChatdError:
        return False
    return True
