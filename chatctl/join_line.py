"""Make the line that lets somebody in: `chat join HOST:PORT/CODE`."""

from __future__ import annotations

import secrets
from typing import NamedTuple

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate

from chatctl.client import Client, Identity
from chatd.console import output
from chatd.errors import ChatdError
from chatd.pki.home_addresses import servers_elsewhere
from chatd.proto.alpn import is_loopback
from chatd.proto.invite_code import SECRET_BYTES, InviteCode, authority_mark, secret_hash


class JoinLine(NamedTuple):
    """The line to paste, and the hash of its secret, which is all that the server gets."""

    command: str
    secret_hash: str

    def link(self, client: Client) -> str | None:
        """Return what to open in a browser instead, if the client's server has a page.

        A browser sends nothing of what follows the # to any server.
        """
        page = client.welcome.page if client.welcome else ""
        return f"{page}#{self.command.rpartition('/')[2]}" if page else None


def new_join_line(identity: Identity, address: str) -> JoinLine:
    """Draw a secret; the line has the mark of the identity's CA."""
    ca = load_pem_x509_certificate(identity.ca_pem.encode("ascii"))
    secret = secrets.token_bytes(SECRET_BYTES)
    code = InviteCode(address, secret, authority_mark(ca.public_bytes(Encoding.DER)))
    return JoinLine(f"chat join {code}", secret_hash(secret))


def note_link(link: str | None) -> None:
    """Print the link of a line, if the server has a page."""
    if link:
        where = " on the server's machine" if is_here(link.split("/")[2]) else ""
        output.note(f"or in a browser{where}: {link}")


def reachable_address(identity: Identity) -> str:
    """Return the address for another machine: one that others reach, too, if the identity names any.

    Raises E608 if it names none.
    """
    servers = servers_elsewhere(identity)
    if not servers:
        raise ChatdError("E608", "your identity names no address of the server", "name one with --server")
    return next((one for one in servers if not is_here(one)), servers[0])


def is_here(address: str) -> bool:
    """Whether HOST:PORT or HOST can be reached on this machine only."""
    host, colon, port = address.rpartition(":")
    return is_loopback((host if colon and port.isdecimal() else address).strip("[]"))
