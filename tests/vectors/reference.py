"""A second implementation of the envelope, from its specification only, to make and check the vectors.

Uses no code of chatd. OAEP and HKDF are spelled out here; X25519 and AES-GCM come from the library.
``python -m tests.vectors.reference`` writes envelope.json again from its own inputs.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VECTORS = Path(__file__).with_name("envelope.json")
TYPES = {"data": 1, "rekey": 2, "close": 3}


def lp(*items: bytes) -> bytes:
    return b"".join(len(item).to_bytes(4, "big") + item for item in items)


def h(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def mac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, "sha256").digest()


def expand(key: bytes, info: bytes, size: int = 32) -> bytes:
    """HKDF-Expand for at most one block (RFC 5869, 2.3)."""
    return mac(key, info + b"\x01")[:size]


def mgf1(seed: bytes, size: int) -> bytes:
    blocks = -(-size // 32)
    return b"".join(h(seed + n.to_bytes(4, "big")) for n in range(blocks))[:size]


def xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def oaep(message: bytes, label: bytes, seed: bytes, modulus: int, exponent: int) -> bytes:
    """RSAES-OAEP-ENCRYPT with SHA-256 (RFC 8017, 7.1.1)."""
    size = (modulus.bit_length() + 7) // 8
    block = h(label) + bytes(size - len(message) - 2 * 32 - 2) + b"\x01" + message
    masked_block = xor(block, mgf1(seed, len(block)))
    masked_seed = xor(seed, mgf1(masked_block, len(seed)))
    padded = int.from_bytes(masked_seed + masked_block, "big")
    return pow(padded, exponent, modulus).to_bytes(size, "big")


def x25519_public(private: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def x25519(private: bytes, public: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))


def handshake(given: dict[str, Any]) -> dict[str, str]:
    """Every value of a handshake, in the order of computation."""
    b = {name: bytes.fromhex(value) for name, value in given.items() if isinstance(value, str)}
    cb = h(lp(b"chatd/cb/1", b["tls_binding"], h(b["server_leaf"]), h(b["client_leaf"])))
    head = b"\x00\x01\x00\x01"
    m1 = b"CHD1" + head + b["client_random"] + x25519_public(b["client_x25519"])
    m2 = head + b["server_random"] + x25519_public(b["server_x25519"]) + b["session_id"]
    m2 += int(given["max_frame"]).to_bytes(4, "big") + b["envelope_certificate"]
    th2 = h(lp(cb, m1, m2))
    label = b"chatd/env/1 pms\x00" + th2
    modulus = int.from_bytes(b["envelope_modulus"], "big")
    ct = oaep(b["pms"], label, b["oaep_seed"], modulus, int(given["envelope_exponent"]))
    th3 = h(lp(cb, m1, m2, ct))
    shared = x25519(b["client_x25519"], x25519_public(b["server_x25519"]))
    prk = mac(th2, b["pms"] + shared)
    names = (b"c2s", b"s2c", b"fin c", b"fin s")
    c2s, s2c, fin_c_key, fin_s_key = (expand(prk, b"chatd/env/1 " + name + b"\x00" + th3) for name in names)
    fin_c = mac(fin_c_key, th3)
    m4 = mac(fin_s_key, h(lp(th3, fin_c)))
    values = {
        "cb": cb, "m1": m1, "m2": m2, "th2": th2, "oaep_label": label, "ct": ct, "th3": th3,
        "x25519_shared": shared, "prk": prk, "fin_c_key": fin_c_key, "fin_s_key": fin_s_key,
        "m3": ct + fin_c, "m4": m4, "c2s_secret": c2s, "s2c_secret": s2c,
    }  # fmt: skip
    return {name: value.hex() for name, value in values.items()}


def records(
    secret: bytes, direction: str, session_id: bytes, wanted: list[dict[str, str]]
) -> list[dict[str, Any]]:
    """The records of one direction, each with the values used to make it."""
    epoch = seq = 0
    made: list[dict[str, Any]] = []
    for item in wanted:
        payload = bytes.fromhex(item["payload"])
        key, iv = expand(secret, b"key"), expand(secret, b"iv", 12)
        header = (len(payload) + 16).to_bytes(4, "big") + bytes([TYPES[item["type"]]])
        header += epoch.to_bytes(2, "big") + seq.to_bytes(8, "big")
        nonce = xor(iv, seq.to_bytes(12, "big"))
        aad = header + direction.encode("ascii") + session_id
        sealed = header + AESGCM(key).encrypt(nonce, payload, aad)
        values = {"key": key, "iv": iv, "nonce": nonce, "aad": aad, "record": sealed}
        made.append({**item, "epoch": epoch, "seq": seq, **{name: v.hex() for name, v in values.items()}})
        seq += 1
        if item["type"] == "rekey":
            secret, epoch, seq = expand(secret, b"upd"), epoch + 1, 0
    return made


def outputs(inputs: dict[str, Any]) -> dict[str, Any]:
    """Compute all outputs from the inputs of envelope.json."""
    values = handshake(inputs["handshake"])
    session_id = bytes.fromhex(inputs["handshake"]["session_id"])
    made = {
        direction: records(bytes.fromhex(values[direction + "_secret"]), direction, session_id, wanted)
        for direction, wanted in inputs["records"].items()
    }
    return {"handshake": values, "records": made}


def main() -> None:
    """Rewrite the file. If its outputs change, the protocol has changed."""
    inputs = json.loads(VECTORS.read_text("ascii"))["inputs"]
    VECTORS.write_text(json.dumps({"inputs": inputs, "outputs": outputs(inputs)}, indent=1) + "\n", "ascii")


if __name__ == "__main__":
    main()
