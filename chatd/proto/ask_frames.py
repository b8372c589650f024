"""The frames of an ask, inside the TLS of an enrolment: a stranger asks, an admin approves.

server -> client    authority    the CA's certificate
client -> server    ask          a name, a certificate request, and a commitment to a nonce
server -> client    nonce        the server's nonce; or at once asked, if this key asks already
client -> server    reveal       the client's nonce
server -> client    asked        now, and while an admin has not decided
server -> client    enrolled     the certificate, or an error frame

Both ends derive three words from the CA, the nonces, the key and the name, and people compare them. The
commitment comes first, as in ZRTP (RFC 6189, 4.4.1.1): whoever sits between the two has to choose a nonce
without knowing the other one, which is one guess of 24 bits for each call.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

from pydantic import Field

from chatd.proto.enrol_frames import EnrolFrame, RequestingFrame
from chatd.proto.request_base import NameText
from chatd.proto.word_list import words_of

NONCE_BYTES = 32
WORDS = 3
# An ask that nobody has decided ends after this time: whoever asks waits on the telephone.
ASK_SECONDS = 600
# Asks at a time. The enrol process also bounds those from one block of addresses (chatd.enrol.pending_asks).
ASKS_LIMIT = 64
# How often the server says that it still waits.
BEAT_SECONDS = 5.0
_Hex32 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class AskFrame(RequestingFrame):
    """A name for the new user, and a commitment to a nonce."""

    type: Literal["ask"]
    user: NameText
    commitment: _Hex32


class NonceFrame(EnrolFrame):
    """The server's nonce."""

    type: Literal["nonce"]
    nonce: _Hex32


class RevealFrame(EnrolFrame):
    """The nonce that the client has committed to."""

    type: Literal["reveal"]
    nonce: _Hex32


class AskedFrame(EnrolFrame):
    """The server waits for an admin."""

    type: Literal["asked"]


def commitment(nonce: bytes) -> str:
    """Return the commitment to a client's nonce."""
    return hashlib.sha256(b"chatd/ask/1 commitment\0" + nonce).hexdigest()


def ask_words(ca: bytes, client_nonce: bytes, server_nonce: bytes, key: bytes, user: str) -> str:
    """Return the words for an ask; ``ca`` is the CA's certificate (DER), ``key`` a SubjectPublicKeyInfo."""
    hashed = hashlib.sha256(b"chatd/ask/1 words\0")
    for part in (hashlib.sha256(ca).digest(), client_nonce, server_nonce, hashlib.sha256(key).digest()):
        hashed.update(part)
    hashed.update(user.encode("ascii"))
    return words_of(hashed.digest()[:WORDS])


def ask_hash(key_hash: str) -> str:
    """Return what stands for the hash of a secret in the invite of an approved ask.

    No code has such a hash: its secret would have to be this text.
    """
    return hashlib.sha256(b"chatd/ask/1 invite\0" + bytes.fromhex(key_hash)).hexdigest()
