"""The renewed certificate of an identity from a pipe, which no program can write back.

Whoever keeps their identity encrypted decrypts it into a pipe. The key stays where it is; the certificate is
no secret, and is kept in the device's state folder.
"""

from __future__ import annotations

from pathlib import Path

from chatd.durable_files import PRIVATE, replace_file
from chatd.errors import ChatdError
from chatd.pki.identity import Identity, with_certificate
from chatd.pki.profiles import CERTIFICATE_LIMIT

FILE_NAME = "certificate.pem"


def is_piped(identity: Identity) -> bool:
    """Whether an identity comes from a pipe; a file that has been removed was none."""
    return bool(identity.pem) and not identity.path.is_file()


def newest(identity: Identity, folder: Path) -> Identity:
    """Return an identity from a pipe with the certificate kept in ``folder``, if that is valid for longer.

    A certificate that does not fit the key and the names does not count.
    """
    try:
        with (folder / FILE_NAME).open(encoding="ascii") as file:
            kept = with_certificate(identity, file.read(CERTIFICATE_LIMIT))
    except (OSError, ValueError, ChatdError):
        return identity
    return kept if kept.not_after > identity.not_after else identity


def keep(identity: Identity, certificate: str, folder: Path) -> Identity:
    """Keep a renewed certificate (PEM) in ``folder``; return the identity with it. Raises E606, E608."""
    renewed = with_certificate(identity, certificate)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ChatdError("E606", f"{folder} cannot be made: {error.strerror}") from None
    replace_file(folder / FILE_NAME, certificate.encode("ascii"), PRIVATE)
    return renewed
