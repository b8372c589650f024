"""The TLS binding value from a key log and recorded bytes (docs/protocol.md, "Binding"), and its vectors.

The computation is written from RFC 8446 and uses no code of chatd and no TLS library.
``python -m tests.vectors.finished`` records a new handshake of chatd's contexts and writes finished.json.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

FINISHED_VECTORS = Path(__file__).with_name("finished.json")
CLIENT_SECRET, SERVER_SECRET = "CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET"
_HANDSHAKE, _ENCRYPTED = 22, 23
_SERVER_HELLO, _FINISHED, _MESSAGE_HASH = 2, 20, 254
# The random value of a ServerHello that is a HelloRetryRequest (RFC 8446, 4.1.3).
_RETRY = hashlib.sha256(b"HelloRetryRequest").digest()


class Suite(NamedTuple):
    """A TLS 1.3 cipher suite (RFC 8446, B.4)."""

    name: str
    hash: str
    key_size: int
    cipher: Any


SUITES = {
    0x1301: Suite("TLS_AES_128_GCM_SHA256", "sha256", 16, AESGCM),
    0x1302: Suite("TLS_AES_256_GCM_SHA384", "sha384", 32, AESGCM),
    0x1303: Suite("TLS_CHACHA20_POLY1305_SHA256", "sha256", 32, ChaCha20Poly1305),
}


def secrets_in(key_log: str) -> dict[str, bytes]:
    """Return the secrets of a key log of one connection, by label."""
    lines = (line.split() for line in key_log.splitlines() if line and not line.startswith("#"))
    return {label: bytes.fromhex(secret) for label, _, secret in lines}


def expand_label(hash_name: str, secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label with an empty context (RFC 8446, 7.1), for at most one block."""
    full = b"tls13 " + label
    info = size.to_bytes(2, "big") + bytes([len(full)]) + full + b"\x00"
    return hmac.digest(secret, info + b"\x01", hash_name)[:size]


def records(stream: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield header and body of every TLS record."""
    while stream:
        end = 5 + int.from_bytes(stream[3:5], "big")
        yield stream[:5], stream[5:end]
        stream = stream[end:]


def opened(stream: bytes, secret: bytes, suite: Suite) -> bytes:
    """Return the encrypted handshake messages of one direction, up to its Finished."""
    key = expand_label(suite.hash, secret, b"key", suite.key_size)
    iv = int.from_bytes(expand_label(suite.hash, secret, b"iv", 12), "big")
    plain = b""
    sealed = (record for record in records(stream) if record[0][0] == _ENCRYPTED)
    for number, (header, body) in enumerate(sealed):
        if any(message[0] == _FINISHED for message in messages(plain)):
            break  # what follows has the keys of the application data
        nonce = (iv ^ number).to_bytes(12, "big")
        inner = suite.cipher(key).decrypt(nonce, body, header).rstrip(b"\x00")
        assert inner[-1] == _HANDSHAKE
        plain += inner[:-1]
    return plain


def messages(data: bytes) -> Iterator[bytes]:
    """Yield the complete handshake messages in ``data``, each with its header of 4 bytes."""
    while len(data) >= 4 and len(data) >= (end := 4 + int.from_bytes(data[1:4], "big")):
        yield data[:end]
        data = data[end:]


def in_clear(stream: bytes) -> list[bytes]:
    """Return the handshake messages that are not encrypted: ClientHello or ServerHello."""
    return list(messages(b"".join(body for header, body in records(stream) if header[0] == _HANDSHAKE)))


def hellos(client: bytes, server: bytes) -> tuple[bytes, Suite]:
    """Return the transcript up to the ServerHello, and the suite that it selects."""
    asked, answered = in_clear(client), in_clear(server)
    after_session_id = 39 + answered[-1][38]
    suite = SUITES[int.from_bytes(answered[-1][after_session_id : after_session_id + 2], "big")]
    if answered[0][6:38] == _RETRY:
        digest = hashlib.new(suite.hash, asked[0]).digest()
        asked[0] = bytes([_MESSAGE_HASH, 0, 0, len(digest)]) + digest  # RFC 8446, 4.4.1
    ordered = [message for pair in zip(asked, answered, strict=True) for message in pair]
    assert answered[-1][0] == _SERVER_HELLO
    return b"".join(ordered), suite


def outputs(inputs: dict[str, str]) -> dict[str, str]:
    """Compute the binding value in both ways, with what leads to it, from the inputs of finished.json."""
    client, server = bytes.fromhex(inputs["client_sent"]), bytes.fromhex(inputs["server_sent"])
    secrets = secrets_in(inputs["key_log"])
    begin, suite = hellos(client, server)
    of_server = opened(server, secrets[SERVER_SECRET], suite)
    of_client = opened(client, secrets[CLIENT_SECRET], suite)
    *before, finished = messages(of_client)
    transcript = begin + of_server + b"".join(before)
    size = hashlib.new(suite.hash).digest_size
    key = expand_label(suite.hash, secrets[CLIENT_SECRET], b"finished", size)
    digest = hashlib.new(suite.hash, transcript).digest()
    values = {
        "server_flight": of_server,
        "client_flight": of_client,
        "transcript": transcript,
        "transcript_hash": digest,
        "finished_key": key,
        "verify_data": hmac.digest(key, digest, suite.hash),
        "finished_body": finished[4:],
    }
    return {"cipher_suite": suite.name, **{name: value.hex() for name, value in values.items()}}


def record_handshake(server: ssl.SSLContext, client: ssl.SSLContext, key_log: Path) -> dict[str, str]:
    """Connect the two contexts in memory; return what a client can record, and what OpenSSL says."""
    client.keylog_filename = str(key_log)
    to_client, from_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    to_server, from_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_end = client.wrap_bio(to_client, from_client)
    server_end = server.wrap_bio(to_server, from_server, server_side=True)
    sent = [b"", b""]
    # Two flights of the client, three after a HelloRetryRequest.
    for _ in range(3):
        for side, end, out, peer in (
            (0, client_end, from_client, to_server),
            (1, server_end, from_server, to_client),
        ):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
            data = out.read()
            sent[side] += data
            peer.write(data)
    values = {end.get_channel_binding("tls-unique") or b"" for end in (client_end, server_end)}
    (value,) = values
    return {
        "key_log": key_log.read_text("ascii"),
        "client_sent": sent[0].hex(),
        "server_sent": sent[1].hex(),
        "openssl_says": value.hex(),
    }


def main() -> None:
    """Record a new handshake and write the file."""
    from chatd.pki.contexts import client_context, server_context
    from tests.support.certificates import make_world

    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder))
        server = server_context(world.certs, alpn="chatd/1")
        client = client_context(world.identity, alpn=["chatd/1"])
        inputs = record_handshake(server, client, Path(folder) / "keys")
    made = {"inputs": inputs, "outputs": outputs(inputs)}
    FINISHED_VECTORS.write_text(json.dumps(made, indent=1) + "\n", "ascii")


if __name__ == "__main__":
    main()
