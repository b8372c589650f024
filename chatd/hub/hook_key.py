"""The server's key from which the secrets of signing hooks are derived."""

from __future__ import annotations

import secrets
from pathlib import Path

from chatd.durable_files import PRIVATE, create_file, replace_file
from chatd.errors import ChatdError

KEY_NAME = "hooks.key"
_KEY_BYTES = 32


class HookKey:
    """The key in the log's folder, made when the first hook needs it. Backups do not hold it (ADR 42)."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / KEY_NAME
        self._key = b""

    def __call__(self) -> bytes:
        """Return the key. Raises E606."""
        if not self._key:
            self._key = self._read()
        return self._key

    def known(self) -> bytes:
        """Return the key if there is one, else b"". Raises E606."""
        return self() if self._path.exists() else b""

    def adopt(self, key: bytes) -> None:
        """Take the key of the leader: all nodes of a cluster derive the same secrets. Raises E606."""
        if len(key) == _KEY_BYTES and key != self.known():
            replace_file(self._path, key, PRIVATE)
            self._key = key

    def _read(self) -> bytes:
        if not self._path.exists():
            create_file(self._path, secrets.token_bytes(_KEY_BYTES), PRIVATE)
        try:
            key = self._path.read_bytes()
        except OSError as error:
            raise ChatdError("E606", f"{self._path} cannot be read: {error.strerror}") from None
        if len(key) != _KEY_BYTES:
            fix = "remove the file, then rotate the hooks of the kind github: chatctl hook rotate NAME"
            raise ChatdError("E606", f"{self._path} is damaged", fix)
        return key
