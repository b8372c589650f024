"""Create and replace whole files durably. Private ones are never readable by others, not even briefly."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from chatd.errors import ChatdError

PRIVATE = 0o600
PUBLIC = 0o644


def file_identity(path: Path) -> list[int]:
    """Return the device and inode of a file or folder, which no copy shares; empty if there is none."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_dev, status.st_ino]


def create_file(path: Path, data: bytes, mode: int, *, sync: bool = True) -> None:
    """Write a file that must not exist yet. Without ``sync`` call `sync_files` for it later. Raises E606."""
    try:
        _write_new(path, data, mode, sync=sync)
        if sync:
            sync_folder(path.parent)
    except FileExistsError:
        raise ChatdError("E606", f"{path} already exists", "move it away or choose another path") from None
    except OSError as error:
        raise ChatdError("E606", f"{path} cannot be written: {error.strerror}") from None


def replace_file(path: Path, data: bytes, mode: int) -> None:
    """Write a file atomically: readers see the old or the new content. Raises E606."""
    scratch = path.with_name(f".{path.name}.new")
    try:
        scratch.unlink(missing_ok=True)
        _write_new(scratch, data, mode)
        try:
            scratch.replace(path)
        except OSError:
            scratch.unlink()
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise ChatdError("E606", f"{path} cannot be written: {error.strerror}") from None


def sync_files(folder: Path, paths: Iterable[Path]) -> None:
    """Make new files of a folder durable. All at once: the first sync writes most of them. Raises E606."""
    try:
        for path in paths:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        sync_folder(folder)
    except OSError as error:
        raise ChatdError("E606", f"{folder} cannot be written: {error.strerror}") from None


def sync_folder(folder: Path) -> None:
    """Make the names of new files in ``folder`` durable; syncing the files alone does not. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write_new(path: Path, data: bytes, mode: int, *, sync: bool = True) -> None:
    # O_EXCL: a file or link put there by somebody else would keep its owner and mode.
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            os.fchmod(fd, mode)  # whatever the umask
            file.write(data)
            file.flush()
            if sync:
                os.fsync(fd)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def give_to_folder_owner(fd: int, folder: Path) -> None:
    """If root writes, give a file to the owner of its folder, who could not write it otherwise.

    Raises OSError.
    """
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(fd, owner.st_uid, owner.st_gid)


def old_name(path: Path) -> Path:
    """Return the name under which `set_aside` keeps a file."""
    return path.with_name(f"{path.name}.old")


def set_aside(path: Path) -> Path:
    """Rename a file to NAME.old, so that another can take its place; return the new name. Raises E606."""
    try:
        return path.replace(old_name(path))
    except OSError as error:
        raise ChatdError("E606", f"{path} cannot be renamed: {error.strerror}") from None
