"""The content of a backup: a manifest, then the files of a home that restore the same server.

Inside the sealed file: the length of the manifest (4 bytes), the manifest (JSON), in format 2 the length and
the signature of the manifest (JSON), then the files one after the other in the manifest's order. The log is a
copy made in one read transaction, so the hub keeps running.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from struct import Struct
from typing import BinaryIO, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from chatd.durable_files import sync_folder
from chatd.proto.signatures import BACKUP_DOMAIN, Signature
from chatd.store.database import DATABASE_NAME, storage_errors
from chatd.store.entry import Point
from chatd.store.log_copy import BackupProgress, LogCopy, write_mark
from chatd.store.mark import Mark
from chatd.store.sealed_file import CHUNK_BYTES, COST, FileOpener, FileSealer, unusable

LOG_NAME = f"data/{DATABASE_NAME}"
SETTINGS_NAME = "config/settings.json"
MAX_MANIFEST_BYTES = 4 * 1024 * 1024
MAX_MEMBERS = 10_000
_MAX_SIGNATURE_BYTES = 64 * 1024  # two certificates of at most 8 KiB, in hexadecimal
_LENGTH = Struct(">I")
_NAME = r"^(data/events\.db|config/settings\.json|certs/(identities/)?[A-Za-z0-9_][A-Za-z0-9._-]{0,150})$"
_HASH = r"^[0-9a-f]{64}$"


class ArchivedFile(BaseModel):
    """One file: its path in the home, its size in bytes, its SHA-256."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    name: str = Field(pattern=_NAME)
    size: int = Field(ge=0, le=2**50)
    sha256: str = Field(pattern=_HASH)

    @property
    def mode(self) -> int:
        """The permissions that `chatd init` gives this file."""
        if self.name.startswith("certs/") and self.name.count("/") == 1 and self.name.endswith(".pem"):
            return 0o644
        return 0o640 if self.name.startswith("config/") else 0o600


class Manifest(BaseModel):
    """``made`` is in RFC 3339 UTC, ``ca`` is a fingerprint, ``chain`` the hash at ``head``."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    format: Literal[1, 2] = 1  # 2: signed
    version: str = Field(max_length=64)
    server: str = Field(max_length=64)
    made: str = Field(max_length=40)
    ca: str = Field(max_length=128)
    log_schema: int = Field(ge=1, le=2**31)
    epoch: int = Field(ge=0, le=2**53)
    head: int = Field(ge=0, le=2**53)
    chain: str = Field(pattern=_HASH)
    members: list[ArchivedFile] = Field(max_length=MAX_MEMBERS)

    @model_validator(mode="after")
    def _check_members(self) -> Self:
        names = [member.name for member in self.members]
        if len(set(names)) != len(names) or not {LOG_NAME, SETTINGS_NAME}.issubset(names):
            raise ValueError("a file is missing or listed twice")
        return self

    @property
    def size(self) -> int:
        """The size of all files in bytes."""
        return sum(member.size for member in self.members)


class Facts(NamedTuple):
    """The part of the manifest that does not come from the log."""

    version: str
    server: str
    made: str
    ca: str


def write_backup(
    file: BinaryIO,
    passphrase: bytes,
    facts: Facts,
    files: Mapping[str, bytes],
    log: LogCopy,
    progress: BackupProgress,
    *,
    sign: Callable[[bytes], Signature] | None = None,
    cost: int = COST,
) -> Manifest:
    """Seal ``files`` (content by path in the home) and the copy of the log into ``file``. Raises OSError.

    ``sign`` signs the manifest; None: it stays unsigned.
    """
    digest = sha256()
    for piece in _pieces(log):
        digest.update(piece)
    members = [
        ArchivedFile(name=name, size=len(content), sha256=sha256(content).hexdigest())
        for name, content in files.items()
    ]
    members.append(ArchivedFile(name=LOG_NAME, size=log.size, sha256=digest.hexdigest()))
    manifest = Manifest(
        format=1 if sign is None else 2,
        **facts._asdict(),
        log_schema=log.schema,
        epoch=log.epoch,
        head=log.head.seq,
        chain=log.head.chain_hash.hex(),
        members=members,
    )
    text = manifest.model_dump_json().encode()
    sealer = FileSealer(file, passphrase, cost=cost)
    sealer.write(_LENGTH.pack(len(text)) + text)
    if sign is not None:
        signature = sign(BACKUP_DOMAIN + text).model_dump_json().encode()
        sealer.write(_LENGTH.pack(len(signature)) + signature)
    for content in files.values():
        sealer.write(content)
    for number, piece in enumerate(_pieces(log)):
        progress("writing", number * CHUNK_BYTES, log.size)
        sealer.write(piece)
    sealer.finish()
    return manifest


def _pieces(log: LogCopy) -> Iterator[bytes]:
    log.file.seek(0)
    while piece := log.file.read(CHUNK_BYTES):
        yield piece


class Archive:
    """A backup opened for reading. ``manifest`` is available at once; `read` goes through the files once.

    ``signature`` is that of ``signed``, unverified; None if the backup was not signed. ``size`` is the length
    of ``file``. Every method raises E613 for a damaged backup, and OSError.
    """

    def __init__(self, file: BinaryIO, size: int, passphrase: bytes) -> None:
        self._opener = FileOpener(file, size, passphrase)
        text = self._read_text(MAX_MANIFEST_BYTES)
        self.signed = BACKUP_DOMAIN + text
        self.signature: Signature | None = None
        try:
            self.manifest = Manifest.model_validate_json(text)
            if self.manifest.format == 2:
                self.signature = Signature.model_validate_json(self._read_text(_MAX_SIGNATURE_BYTES))
        except ValidationError:
            raise unusable("this version of chatd cannot read the backup's manifest") from None
        if self.manifest.size != self._opener.left:
            raise unusable("the backup is shorter or longer than its manifest says")

    def _read_text(self, limit: int) -> bytes:
        (length,) = _LENGTH.unpack(self._opener.read(_LENGTH.size))
        if length > limit:
            raise unusable("the backup's manifest is longer than allowed")
        return b"".join(
            self._opener.read(min(CHUNK_BYTES, length - start)) for start in range(0, length, CHUNK_BYTES)
        )

    def read(self, folder: Path | None, progress: BackupProgress) -> None:
        """Check every file; write it to ``folder`` unless that is None. Never replaces an existing file."""
        done, total = 0, self.manifest.size
        for member in self.manifest.members:
            digest = sha256()
            with _target(folder, member) as target:
                for start in range(0, member.size, CHUNK_BYTES):
                    progress("reading", done + start, total)
                    piece = self._opener.read(min(CHUNK_BYTES, member.size - start))
                    digest.update(piece)
                    target.write(piece)
                target.flush()
                if folder is not None:
                    os.fsync(target.fileno())
            if digest.hexdigest() != member.sha256:
                raise unusable(f"{member.name} in the backup does not match its checksum")
            done += member.size

    def write_mark(self, data: Path) -> None:
        """Write the mark that belongs to this backup's log into ``data``. Raises E504."""
        with storage_errors("write the mark"):
            head = Point(self.manifest.head, bytes.fromhex(self.manifest.chain))
            write_mark(data, Mark(self.manifest.epoch, head))
            sync_folder(data)


def _target(folder: Path | None, member: ArchivedFile) -> BinaryIO:
    if folder is None:
        return open(os.devnull, "wb")  # noqa: PTH123
    path = folder / member.name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, member.mode)
    os.fchmod(fd, member.mode)
    return os.fdopen(fd, "wb")
