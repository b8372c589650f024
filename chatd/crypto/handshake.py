"""The envelope's handshake without I/O: message bodies in, message bodies out.

It runs inside an established TLS connection and is bound to it and to both certificates. Both sides confirm
the keys, and X25519 adds forward secrecy: the RSA key alone does not open recorded traffic. On the wire, each
body follows its length (`pack`).
"""

from __future__ import annotations

import hmac
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from chatd.crypto.keys import SECRET_SIZE, Secrets, channel_digest, digest, secret_label
from chatd.crypto.records import CLIENT_TO_SERVER, MAX_PAYLOAD, SERVER_TO_CLIENT, RecordOpener, RecordSealer
from chatd.errors import ChatdError

# Bytes of one message body; check as soon as the length has been read.
HANDSHAKE_LIMIT = 16 * 1024
VERSION = 1
# X25519, RSA-OAEP-SHA256, HKDF-SHA256, AES-256-GCM, bound to the client's TLS Finished. Suite 2 is reserved
# for the binding of RFC 9266, which CPython's ssl cannot compute (docs/protocol.md, "Binding").
SUITE = 1

_MAGIC = b"CHD1"
_KEY_SIZE = 32
_PROOF_SIZE = 32
_SESSION_ID_SIZE = 16
_M1 = struct.Struct(">4sHH32s32s")
# Version and suite: the start of M2, and all of the answer to an M1 with others.
_SPOKEN = struct.Struct(">HH")
_M2 = struct.Struct(">HH32s32s16sI")
# A TLS 1.3 Finished value is as long as the suite's hash; the 12 bytes of TLS 1.2 do not bind (RFC 9266).
_BINDING_MINIMUM = 32
MIN_RSA_BITS = 2048
# With larger keys, a login costs the server more than 10 ms of CPU.
MAX_RSA_BITS = 8192

Random = Callable[[int], bytes]


def spoken_here() -> bytes:
    """Make the body that answers an M1 of another version or suite (E107), instead of M2."""
    return _SPOKEN.pack(VERSION, SUITE)


def pack(body: bytes) -> bytes:
    """Prefix a message body with its length (u32). Raises ValueError if it is empty or over the limit."""
    if not 0 < len(body) <= HANDSHAKE_LIMIT:
        raise ValueError(f"a handshake message of {len(body)} bytes")
    return len(body).to_bytes(4, "big") + body


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """The result of a handshake: ``sealer`` for this side's records, ``opener`` for the peer's.

    ``max_frame`` is the longest frame that the server accepts, in bytes.
    """

    session_id: bytes
    max_frame: int
    sealer: RecordSealer = field(repr=False)
    opener: RecordOpener = field(repr=False)


class _Handshake:
    """The common part of both sides: order of steps, transcript, key agreement."""

    def __init__(self, binding: bytes, server_leaf: bytes, client_leaf: bytes, random: Random) -> None:
        if len(binding) < _BINDING_MINIMUM or not server_leaf or not client_leaf:
            raise ChatdError("E104", "the TLS connection has no binding value for the envelope")
        self._channel = channel_digest(binding, server_leaf, client_leaf)
        self._random = random
        self._exchange_key: X25519PrivateKey | None = None
        self._m1 = self._m2 = self._session_id = b""
        self._max_frame = 0
        self._next, self._following = "first", ""

    def _enter(self, step: str, following: str) -> None:
        """Begin a step, once and in order. After a failed step, all further steps are refused."""
        expected, self._next = self._next, "done"
        if step != expected:
            raise ChatdError("E105", "a handshake message came out of order")
        self._following = following

    def _leave(self) -> None:
        self._next = self._following

    def _new_exchange_key(self) -> bytes:
        self._exchange_key = X25519PrivateKey.from_private_bytes(self._random(_KEY_SIZE))
        return self._exchange_key.public_key().public_bytes_raw()

    def _agree(self, peer: bytes) -> bytes:
        key, self._exchange_key = self._exchange_key, None
        if key is None:
            raise ChatdError("E105", "a handshake message came out of order")
        try:
            return key.exchange(X25519PublicKey.from_public_bytes(peer))
        except ValueError:
            # RFC 7748, 6.1: a point of small order gives all zeros.
            raise ChatdError("E104", "the peer's exchange key is invalid") from None

    def _transcript(self, *more: bytes) -> bytes:
        return digest(self._channel, self._m1, self._m2, *more)

    def _session_keys(self, secrets: Secrets, own: bytes, peer: bytes) -> SessionKeys:
        return SessionKeys(
            self._session_id,
            self._max_frame,
            RecordSealer(secrets.expand(own), own, self._session_id),
            RecordOpener(secrets.expand(peer), peer, self._session_id),
        )


class ClientHandshake(_Handshake):
    """The client's side: `hello`, `exchange`, `finish`, in this order.

    ``binding`` is the TLS binding value; the leaves are DER. ``envelope_key_of`` verifies the envelope
    certificate (DER) and returns its key, or raises ChatdError. All methods raise ChatdError E104, E107 for
    another version, E105 out of order.
    """

    def __init__(
        self,
        *,
        binding: bytes,
        server_leaf: bytes,
        client_leaf: bytes,
        envelope_key_of: Callable[[bytes], RSAPublicKey],
        random: Random = os.urandom,
    ) -> None:
        super().__init__(binding, server_leaf, client_leaf, random)
        self._envelope_key_of = envelope_key_of
        self._secrets: Secrets | None = None

    def hello(self) -> bytes:
        """Make M1."""
        self._enter("first", "exchange")
        nonce = self._random(SECRET_SIZE)
        self._m1 = _M1.pack(_MAGIC, VERSION, SUITE, nonce, self._new_exchange_key())
        self._leave()
        return self._m1

    def exchange(self, m2: bytes) -> bytes:
        """Take M2, make M3."""
        self._enter("exchange", "finish")
        _check_size(m2)
        _check_version(m2)
        if len(m2) <= _M2.size:
            raise ChatdError("E104", "the server's first message is too short")
        _, _, _, peer, self._session_id, self._max_frame = _M2.unpack_from(m2)
        if not 0 < self._max_frame <= MAX_PAYLOAD:
            raise ChatdError("E104", "the server announced a frame size over the size of a record")
        key = self._envelope_key_of(m2[_M2.size :])
        if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
            raise ChatdError("E104", f"the envelope key has {key.key_size} bits")
        self._m2 = m2
        before = self._transcript()
        premaster = self._random(SECRET_SIZE)
        wrapped = key.encrypt(premaster, _oaep(before))
        self._secrets = Secrets(
            salt=before, premaster=premaster, shared=self._agree(peer), transcript=self._transcript(wrapped)
        )
        self._leave()
        return wrapped + self._secrets.client_proof()

    def finish(self, m4: bytes) -> SessionKeys:
        """Take M4, which proves that the server has the keys; return the keys."""
        self._enter("finish", "done")
        secrets, self._secrets = self._secrets, None
        if secrets is None or not hmac.compare_digest(m4, secrets.server_proof()):
            raise ChatdError("E104", "the server's proof is wrong")
        return self._session_keys(secrets, CLIENT_TO_SERVER, SERVER_TO_CLIENT)


class ServerHandshake(_Handshake):
    """The server's side: `respond`, then `accept`.

    ``max_frame`` (1 to MAX_PAYLOAD bytes) is sent to the client. Both methods raise ChatdError E104, E107 for
    another version, E105 out of order.
    """

    def __init__(
        self,
        *,
        binding: bytes,
        server_leaf: bytes,
        client_leaf: bytes,
        envelope_certificate: bytes,
        private_key: RSAPrivateKey,
        max_frame: int,
        random: Random = os.urandom,
    ) -> None:
        super().__init__(binding, server_leaf, client_leaf, random)
        self._envelope_certificate = envelope_certificate
        self._private_key = private_key
        self._max_frame = max_frame
        self._peer = b""

    def respond(self, m1: bytes) -> bytes:
        """Take M1, make M2."""
        self._enter("first", "accept")
        if m1[: len(_MAGIC)] != _MAGIC:
            raise ChatdError("E104", "the client's first message is not a hello")
        _check_version(m1[len(_MAGIC) :])
        if len(m1) != _M1.size:
            raise ChatdError("E104", "the client's first message has the wrong size")
        _, _, _, _, self._peer = _M1.unpack(m1)
        self._m1 = m1
        nonce, self._session_id = self._random(SECRET_SIZE), self._random(_SESSION_ID_SIZE)
        head = _M2.pack(VERSION, SUITE, nonce, self._new_exchange_key(), self._session_id, self._max_frame)
        self._m2 = head + self._envelope_certificate
        self._leave()
        return self._m2

    def accept(self, m3: bytes) -> tuple[bytes, SessionKeys]:
        """Take M3, which proves that the client has the keys; return M4 and the keys."""
        self._enter("accept", "done")
        size = (self._private_key.key_size + 7) // 8
        if len(m3) != size + _PROOF_SIZE:
            raise ChatdError("E104", "the client's second message has the wrong size")
        wrapped, client_proof = m3[:size], m3[size:]
        shared = self._agree(self._peer)
        before = self._transcript()
        secrets = Secrets(
            salt=before,
            premaster=self._unwrap(wrapped, before),
            shared=shared,
            transcript=self._transcript(wrapped),
        )
        if not hmac.compare_digest(client_proof, secrets.client_proof()):
            raise ChatdError("E104", "the client's proof is wrong")
        return secrets.server_proof(), self._session_keys(secrets, SERVER_TO_CLIENT, CLIENT_TO_SERVER)

    def _unwrap(self, wrapped: bytes, before: bytes) -> bytes:
        """Decrypt the client's secret; return a random one if that fails.

        The wrong proof then reveals the failure like any other, so the error says nothing about a chosen
        ciphertext (Manger 2001; RFC 8017, 7.1.2 note).
        """
        substitute = os.urandom(SECRET_SIZE)
        try:
            premaster = self._private_key.decrypt(wrapped, _oaep(before))
        except ValueError:
            return substitute
        return premaster if len(premaster) == SECRET_SIZE else substitute


def _oaep(transcript: bytes) -> OAEP:
    return OAEP(mgf=MGF1(SHA256()), algorithm=SHA256(), label=secret_label(transcript))


def _check_size(message: bytes) -> None:
    if len(message) > HANDSHAKE_LIMIT:
        raise ChatdError("E104", "a handshake message is over its limit")


def _check_version(message: bytes) -> None:
    """Runs before all other checks: another version may have a different layout."""
    if len(message) < _SPOKEN.size:
        raise ChatdError("E104", "a handshake message is too short")
    version, suite = _SPOKEN.unpack_from(message)
    if (version, suite) != (VERSION, SUITE):
        raise ChatdError("E107", f"the peer speaks version {version}, suite {suite}, not {VERSION}, {SUITE}")
