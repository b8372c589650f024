"""The code of an invite, `HOST:PORT/CODE`: where the server is, how to know it, and what it lets in.

CODE is 58 symbols of Crockford's base32 (case does not matter, I and L are 1, O is 0; dashes and spaces are
ignored): 4 bits of version (0), 128 bits of secret, the first 128 bits of the SHA-256 of the CA's
certificate, and 30 bits of checksum. The checksum is that of Bech32m (BIP 350), a BCH code over the same
field: it notices every change of up to four symbols, hence every transposition, and all but one in 2^30 of
other mistakes.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, NamedTuple

from chatd.errors import ChatdError
from chatd.proto.text import is_host_port

SECRET_BYTES: Final = 16
FINGERPRINT_BYTES: Final = 16
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES: Final = {symbol: value for value, symbol in enumerate(_ALPHABET)} | {"I": 1, "L": 1, "O": 0}
_DATA_SYMBOLS: Final = 52
_CHECK_SYMBOLS: Final = 6
CODE_SYMBOLS: Final = _DATA_SYMBOLS + _CHECK_SYMBOLS
_GROUP: Final = 6
# BIP 173: the generator of the BCH code; BIP 350: the constant that the checksum leaves.
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CONSTANT: Final = 0x2BC830A3
_PRINTED: Final = re.compile(
    rf"(?:[{_ALPHABET}]{{{_GROUP}}}-){{{CODE_SYMBOLS // _GROUP}}}[{_ALPHABET}]{{{CODE_SYMBOLS % _GROUP}}}",
    re.ASCII,
)
# Longer texts are not read: the longest host, the code, and dashes and spaces between its symbols.
TEXT_LIMIT: Final = 512
_COMMAND: Final = ("chat", "join")


class InviteCode(NamedTuple):
    """What a code says. ``authority``: the first 128 bits of the SHA-256 of the CA's certificate (DER)."""

    server: str
    secret: bytes
    authority: bytes

    def __repr__(self) -> str:
        return f"InviteCode({self.server!r})"  # never the secret

    def __str__(self) -> str:
        number = int.from_bytes(self.secret + self.authority, "big")
        data = [number >> 5 * place & 31 for place in reversed(range(_DATA_SYMBOLS))]
        check = _remainder([*data, *[0] * _CHECK_SYMBOLS]) ^ _CONSTANT
        data += [check >> 5 * place & 31 for place in reversed(range(_CHECK_SYMBOLS))]
        text = "".join(_ALPHABET[value] for value in data)
        groups = (text[at : at + _GROUP] for at in range(0, len(text), _GROUP))
        return f"{self.server}/{'-'.join(groups)}"


def given_invite(text: str) -> str:
    """Return the HOST:PORT/CODE in a text as it is pasted: after ``chat join``, or wrapped by a mail."""
    words = text.split()
    return "".join(words[len(_COMMAND) :] if tuple(words[: len(_COMMAND)]) == _COMMAND else words)


def looks_like_invite(text: str) -> bool:
    """Whether a text is meant as an invite: the command, HOST:PORT/CODE, the link, or the code alone."""
    bare = given_invite(text)
    server, slash, _ = bare.partition("/")
    command = tuple(text.split()[:2]) == _COMMAND
    return command or (bool(slash) and is_host_port(server)) or _is_link(bare) or _is_code(bare)


def holds_invite(text: str) -> bool:
    """Whether a text holds a code, as it is printed, whose checksum is right."""
    return any(_remainder(_values(code)) == _CONSTANT for code in _PRINTED.findall(text))


def parse_code(text: str) -> InviteCode:
    """Return what a code says. Raises E215 for a mistyped one."""
    if len(text) > TEXT_LIMIT:
        raise ChatdError("E215", f"an invite is shorter than {TEXT_LIMIT} characters")
    if _is_link(text.strip()):
        fix = "open it in a browser; the line for here begins with: chat join"
        raise ChatdError("E215", "this is the link of the web page", fix)
    server, slash, code = text.strip().partition("/")
    if not slash or not is_host_port(server.strip()):
        fix = "the server is missing: copy what stands before the code, too" if _is_code(text) else ""
        raise ChatdError("E215", "an invite has the form HOST:PORT/CODE", fix)
    values = _values(code)
    if len(values) != CODE_SYMBOLS:
        raise ChatdError("E215", f"the invite's code has {len(values)} characters instead of {CODE_SYMBOLS}")
    if _remainder(values) != _CONSTANT:
        raise ChatdError("E215", "the invite's code is mistyped")
    number = 0
    for value in values[:_DATA_SYMBOLS]:
        number = number << 5 | value
    if number >> 8 * (SECRET_BYTES + FINGERPRINT_BYTES):
        raise ChatdError("E215", "the invite is of a newer chatd", "update this program")
    data = number.to_bytes(SECRET_BYTES + FINGERPRINT_BYTES, "big")
    return InviteCode(server.strip(), data[:SECRET_BYTES], data[SECRET_BYTES:])


def authority_mark(certificate_der: bytes) -> bytes:
    """Return the part of a CA certificate's fingerprint that a code holds."""
    return hashlib.sha256(certificate_der).digest()[:FINGERPRINT_BYTES]


def secret_hash(secret: bytes) -> str:
    """Return the SHA-256 of a secret in hex, all that the hub stores of it."""
    return hashlib.sha256(secret).hexdigest()


def _is_link(text: str) -> bool:
    return text.lower().startswith(("https://", "http://"))


def _is_code(text: str) -> bool:
    try:
        return len(_values(text)) == CODE_SYMBOLS
    except ChatdError:
        return False


def _values(code: str) -> list[int]:
    symbols = [symbol for symbol in code.upper() if symbol != "-" and not symbol.isspace()]
    for symbol in symbols:
        if symbol not in _VALUES:
            shown = symbol if symbol.isascii() and symbol.isprintable() else f"U+{ord(symbol):04X}"
            raise ChatdError("E215", f"no invite's code contains {shown!r}")
    return [_VALUES[symbol] for symbol in symbols]


def _remainder(values: list[int]) -> int:
    """Return the remainder of the BCH code (BIP 173, bech32_polymod)."""
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for place, term in enumerate(_GENERATOR):
            if top >> place & 1:
                check ^= term
    return check
