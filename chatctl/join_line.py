"""Make the line that lets somebody in: `chat join HOST:PORT/CODE`."""

from __future__ import annotations

import secrets
from typing import NamedTuple

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate

from chatctl.client import Identity
from chatd.errors import ChatdError
from chatd.proto.alpn import is_loopback
from chatd.proto.invite_code import SECRET_BYTES, InviteCode, authority_mark, secret_hash


class JoinLine(NamedTuple):
    """The line to paste, and the hash of its secret, which is all that the server gets."""

    command: str
    secret_hash: str


def new_join_line(identity: Identity, address: str) -> JoinLine:
    """Draw a secret; the line has the mark of the identity's CA."""
    ca = load_pem_x509_certificate(identity.ca_pem.encode("ascii"))
    secret = secrets.token_bytes(SECRET_BYTES)
    code = InviteCode(address, secret, authority_mark(ca.public_bytes(Encoding.DER)))
    return JoinLine(f"chat join {code}", secret_hash(secret))


def reachable_address(identity: Identity) -> str:
    """Return the address for another machine: one that others reach, too, if the identity names any.

    Raises E608 if it names none.
    """
    if not identity.servers:
        raise ChatdError("E608", "your identity names no address of the server", "name one with --server")
    remote = [one for one in identity.servers if not is_here(one)]
    return (remote or list(identity.servers))[0]


def is_here(address: str) -> bool:
    """Whether HOST:PORT can be reached on this machine only."""
    return is_loopback(address.rpartition(":")[0].strip("[]"))
