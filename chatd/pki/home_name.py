"""The name of a home's server, as its CA's certificate has it; `server.name` cannot be another one.

Read without cryptography, which the supervisor does not load.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

from chatd.errors import ChatdError

# An attribute of a Name (RFC 5280, 4.1.2.4): the OID of the common name, and a UTF8String's tag and length.
_COMMON_NAME: Final = bytes.fromhex("0603550403 0c")
_SUFFIX: Final = b" CA"
_LIMIT: Final = 64 * 1024


def refuse_other_name(home: Path, name: str) -> None:
    """Raise E600 if the settings name another server than the home's certificates do."""
    known = _name_of(home / "certs" / "ca.pem")
    if known not in ("", name):
        raise ChatdError(
            "E600",
            f"server.name is {name!r}, but the server's certificates and identities are of {known!r}",
            f'set it to "{known}" again; another name needs a new home: chatd init',
        )


def _name_of(path: Path) -> str:
    """Return the name in the first certificate of ca.pem; "" if none can be read, which others tell."""
    try:
        with path.open("r", encoding="ascii") as file:
            pem = file.read(_LIMIT)
        first, end, _ = pem.partition(ssl.PEM_FOOTER)
        der = ssl.PEM_cert_to_DER_cert(first[first.index(ssl.PEM_HEADER) :] + end)
    except (OSError, ValueError):
        return ""
    _, found, rest = der.partition(_COMMON_NAME)
    text = rest[1 : 1 + rest[0]] if found and rest else b""
    return text.removesuffix(_SUFFIX).decode("utf-8", "replace") if text.endswith(_SUFFIX) else ""
