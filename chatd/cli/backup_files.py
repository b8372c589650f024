"""Passphrases, files and signals for backup, restore, export and verify."""

from __future__ import annotations

import os
import secrets
import signal
import stat
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO, NoReturn

import click

from chatd.console.arguments import ANY_NAME
from chatd.console.shell_completion import complete_files
from chatd.durable_files import sync_folder
from chatd.errors import ChatdError
from chatd.proto.signatures import TIME_FORMAT
from chatd.store.archive import Archive
from chatd.store.sealed_file import unusable

MIN_PASSPHRASE_CHARS = 12
_MAX_PASSPHRASE_BYTES = 1024
_MAX_FILE_BYTES = 1024 * 1024  # settings, certificates and keys are smaller

passphrase_option: Callable[[Any], Any] = click.option(
    "--passphrase-file",
    metavar="FILE",
    type=ANY_NAME,
    shell_complete=complete_files,
    help="Read the passphrase from the first line of FILE; - is standard input. Default: ask.",
)


def read_passphrase(source: str | None, *, new: bool = False) -> bytes:
    """Read it from the first line of ``source``, or ask for it, twice if ``new``.

    Raises E606, E613, UsageError without a terminal.
    """
    if source is not None:
        text = _first_line(source)
    elif sys.stdin.isatty():
        text = click.prompt("passphrase", hide_input=True, confirmation_prompt=new, err=True)
    else:
        raise click.UsageError("no terminal to ask for the passphrase on: use --passphrase-file")
    if new and len(text) < MIN_PASSPHRASE_CHARS:
        reason = f"the passphrase has fewer than {MIN_PASSPHRASE_CHARS} characters"
        raise unusable(reason, "use several words: a stolen file can be attacked for years")
    # Keyboards differ in whether they compose accented letters.
    return unicodedata.normalize("NFC", text).encode()


def _first_line(source: str) -> str:
    try:
        with click.open_file(source, "rb") as file:
            line: bytes = file.readline(_MAX_PASSPHRASE_BYTES + 1)
    except OSError as error:
        raise ChatdError("E606", f"{source}: {error.strerror}") from None
    if len(line) > _MAX_PASSPHRASE_BYTES:
        raise unusable(f"the passphrase is longer than {_MAX_PASSPHRASE_BYTES} bytes", "shorten it")
    try:
        return line.removesuffix(b"\n").removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        raise unusable("the passphrase is not UTF-8", "choose another one") from None


def refuse_existing(path: Path) -> None:
    """Raise E606 if ``path`` exists, even as a dangling link."""
    if os.path.lexists(path):
        raise ChatdError("E606", f"{path} already exists", "choose another name")


def utc_now() -> str:
    """Return the current time as RFC 3339."""
    return datetime.now(UTC).strftime(TIME_FORMAT)


@contextmanager
def open_backup(file: Path, passphrase_file: str | None) -> Iterator[Archive]:
    """Open a backup for reading, then read its passphrase, or ask for it. Raises E606, E613."""
    try:
        # O_NONBLOCK: do not wait for the writer of a named pipe.
        with open(os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as source:  # noqa: PTH123
            status = os.fstat(source.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ChatdError("E606", f"{file} is not a regular file")
            yield Archive(source, status.st_size, read_passphrase(passphrase_file))
    except OSError as error:
        raise ChatdError("E606", f"{error.filename or file}: {error.strerror}") from None


def read_limited(path: Path) -> bytes:
    """Read a file of at most 1 MiB. Raises E606, E613."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ChatdError("E606", f"{path}: {error.strerror}") from None
    if len(content) > _MAX_FILE_BYTES:
        raise unusable(f"{path} is larger than {_MAX_FILE_BYTES} bytes", "move it away")
    return content


@contextmanager
def create_new(path: Path) -> Iterator[BinaryIO]:
    """Create a private file that gets its name once it is complete and durable; raises E606.

    If the block fails, nothing is left behind.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(fd, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            refuse_existing(path)
            part.rename(path)
            sync_folder(path.absolute().parent)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise ChatdError("E606", f"{path} cannot be written: {error.strerror}") from None


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into SystemExit, so that ``finally`` clauses remove unfinished files."""

    def exit_now(number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    old_handlers = {number: signal.signal(number, exit_now) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in old_handlers.items():
            signal.signal(number, handler)
