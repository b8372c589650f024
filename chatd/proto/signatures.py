"""What the record key signs: heads, first lines of exports, manifests of backups.

docs/protocol.md, section 15. Each begins with a text of its own, so that a signature of one kind never counts
as one of another.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from chatd.proto.text import NAME

HEAD_NAME = "chatd-head/1"
EXPORT_DOMAIN = b"chatd/export/2\0"
BACKUP_DOMAIN = b"chatd/backup/2\0"
SIGNATURE_BYTES = 64
KEY_ID_BYTES = 16

_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
# The words of a head, in order: field and pattern.
_WORDS = {
    "server": NAME.pattern,
    "seq": r"0|[1-9][0-9]{0,17}",  # below 2**63
    "chain": r"[0-9a-f]{64}",
    "log": r"[0-9a-f]{32}",
    "branch": r"[0-9a-f]{32}",
    "at": _TIME,
    "key_id": r"[0-9a-f]{32}",
    "signature": r"[0-9a-f]{128}",
}
_HEAD = re.compile(
    " ".join([re.escape(HEAD_NAME), *(f"(?P<{name}>{word})" for name, word in _WORDS.items())])
)


class SignedHead(NamedTuple):
    """The head of a log at the time ``at`` (RFC 3339): ``chain`` is the chain hash of entry ``seq``.

    ``log`` identifies the log, ``branch`` the newest branch of its lineage, and ``key_id`` the key. Bytes are
    in hexadecimal.
    """

    server: str
    seq: int
    chain: str
    log: str
    branch: str
    at: str
    key_id: str
    signature: str = ""

    @property
    def signed(self) -> bytes:
        """The bytes that the signature covers: all words but the last, with a space between two."""
        return " ".join([HEAD_NAME, *map(str, self[:-1])]).encode("ascii")

    @property
    def line(self) -> str:
        """The head as one line."""
        return f"{self.signed.decode('ascii')} {self.signature}"


def parse_heads(text: str) -> list[SignedHead]:
    """Parse one or more heads; line ends count as spaces, as mail wraps lines. Raises ValueError."""
    words = re.findall(r"[^ \t\r\n]+", text)
    size = len(_WORDS) + 1
    heads = [_parse_head(" ".join(words[start : start + size])) for start in range(0, len(words), size)]
    if not heads:
        raise ValueError("there is no head")
    return heads


def _parse_head(text: str) -> SignedHead:
    found = _HEAD.fullmatch(text)
    if found is None:
        raise ValueError(f"this is not a head printed by chatd head: {text!r:.80}")
    words = found.groupdict()
    return SignedHead(words.pop("server"), int(words.pop("seq")), **words)


class Signature(BaseModel):
    """A signature with what it takes to verify it: the record key's certificate, and the CA's (DER, hex)."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    type: Literal["signature"] = "signature"
    # `chatd.pki.profiles.CERTIFICATE_LIMIT`
    certificate: str = Field(pattern=r"^([0-9a-f]{2}){1,8192}$")
    ca: str = Field(pattern=r"^([0-9a-f]{2}){1,8192}$")
    signature: str = Field(pattern=rf"^[0-9a-f]{{{2 * SIGNATURE_BYTES}}}$")
