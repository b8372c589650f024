"""Writing certificates and keys: private ones are never, not even for a moment, open to others."""

from __future__ import annotations

import os
from pathlib import Path

from chatd.errors import ChatdError

PRIVATE = 0o600
PUBLIC = 0o644


def create_file(path: Path, data: bytes, mode: int) -> None:
    """Write a file that must not exist yet, whatever umask and links say. Raises E606."""
    try:
        _write_new(path, data, mode)
        _sync_folder(path)
    except FileExistsError:
        raise ChatdError("E606", f"{path} exists already", "move it away or choose another path") from None
    except OSError as error:
        raise ChatdError("E606", f"{path} cannot be written: {error.strerror}") from None


def replace_file(path: Path, data: bytes, mode: int) -> None:
    """Write a file so that readers see the old or the new content, never a part. Raises E606."""
    scratch = path.with_name(f".{path.name}.new")
    try:
        scratch.unlink(missing_ok=True)
        _write_new(scratch, data, mode)
        scratch.replace(path)
        _sync_folder(path)
    except OSError as error:
        raise ChatdError("E606", f"{path} cannot be written: {error.strerror}") from None


def _write_new(path: Path, data: bytes, mode: int) -> None:
    # O_EXCL: a file prepared by somebody else, or a link to one, would keep its owner and mode.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
