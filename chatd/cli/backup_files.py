"""What the commands of backup and restore share: passphrase, files, progress, signals."""

from __future__ import annotations

import os
import secrets
import signal
import stat
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO, NoReturn

import click

from chatd.console.shell_completion import complete_files
from chatd.durable_files import sync_folder
from chatd.errors import ChatdError
from chatd.store.archive import Archive
from chatd.store.log_copy import BackupProgress
from chatd.store.sealed_file import unusable

SHORTEST_PASSPHRASE = 12
_LONGEST_PASSPHRASE_BYTES = 1024
_BAR_COLUMNS = 30  # with its words it fits the narrowest terminals
_LARGEST_FILE_BYTES = 1024 * 1024  # of settings, certificates and keys

passphrase_option: Callable[[Any], Any] = click.option(
    "--passphrase-file",
    metavar="FILE",
    shell_complete=complete_files,
    help="Take the passphrase from the first line of this file; - for standard input. Default: ask.",
)


def read_passphrase(source: str | None, *, new: bool = False) -> bytes:
    """From a file's first line, or asked for, twice if ``new``. Raises E606, E613, usage errors."""
    if source is not None:
        text = _first_line(source)
    elif sys.stdin.isatty():
        text = click.prompt("passphrase", hide_input=True, confirmation_prompt=new, err=True)
    else:
        raise click.UsageError("there is no terminal to ask for the passphrase: use --passphrase-file")
    if new and len(text) < SHORTEST_PASSPHRASE:
        why = f"the passphrase has fewer than {SHORTEST_PASSPHRASE} characters"
        raise unusable(why, "whoever finds the file can try passphrases for years; use several words")
    # The same letters come composed from one keyboard and decomposed from another.
    return unicodedata.normalize("NFC", text).encode()


def _first_line(source: str) -> str:
    try:
        with click.open_file(source, "rb") as file:
            line: bytes = file.readline(_LONGEST_PASSPHRASE_BYTES + 1)
    except OSError as error:
        raise ChatdError("E606", f"{source}: {error.strerror}") from None
    if len(line) > _LONGEST_PASSPHRASE_BYTES:
        raise unusable(f"the passphrase is longer than {_LONGEST_PASSPHRASE_BYTES} bytes", "shorten it")
    try:
        return line.removesuffix(b"\n").removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        raise unusable("the passphrase is not UTF-8", "choose another") from None


@contextmanager
def opened(file: Path, passphrase: bytes) -> Iterator[Archive]:
    """A backup for reading. Raises E606, E613."""
    try:
        # Without O_NONBLOCK a pipe of that name would be waited for.
        with open(os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as source:  # noqa: PTH123
            status = os.fstat(source.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ChatdError("E606", f"{file} is not a file")
            yield Archive(source, status.st_size, passphrase)
    except OSError as error:
        raise ChatdError("E606", f"{error.filename or file}: {error.strerror}") from None


def read_small(path: Path) -> bytes:
    """A file of at most 1 MiB. Raises E606, E613."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE_BYTES + 1)
    except OSError as error:
        raise ChatdError("E606", f"{path}: {error.strerror}") from None
    if len(content) > _LARGEST_FILE_BYTES:
        raise unusable(f"{path} is larger than {_LARGEST_FILE_BYTES} bytes", "move it away")
    return content


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that gets its name when it is whole and on the disk; otherwise nothing stays. Raises E606."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(fd, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if path.exists():
                raise ChatdError("E606", f"{path} exists already", "choose another name")
            part.rename(path)
            sync_folder(path.absolute().parent)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise ChatdError("E606", f"{path} cannot be written: {error.strerror}") from None


@contextmanager
def shown_progress() -> Iterator[BackupProgress]:
    """Draws one line on a terminal, nothing elsewhere."""
    shown = ""

    def draw(what: str, done: int, total: int) -> None:
        nonlocal shown
        text = f"{what}  {_bar(done, total)}" if total else f"{what}  {done}"
        if text != shown:
            click.echo(f"\r{text.ljust(len(shown))}", nl=False, err=True)
            shown = text

    def silent(what: str, done: int, total: int) -> None:
        pass

    try:
        yield draw if sys.stderr.isatty() else silent
    finally:
        if shown:
            click.echo(f"\r{' ' * len(shown)}\r", nl=False, err=True)


def _bar(done: int, total: int) -> str:
    done = min(done, total)  # a log grows while it is read
    full = done * _BAR_COLUMNS // total
    return f"[{'#' * full}{'.' * (_BAR_COLUMNS - full)}] {done * 100 // total:3} %"


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP leave through the ``finally`` clauses, so that no copies stay behind."""

    def leave(number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
