"""Standard input and arguments as text: UTF-8 whatever the locale, because a log or webhook is, too."""

from __future__ import annotations

import os
import select
from codecs import getincrementaldecoder
from collections.abc import Iterator
from typing import NamedTuple

from chatd.errors import ChatdError
from chatd.proto.frames import STRING_LIMIT

_READ_SIZE = 64 * 1024
_BYTE_ORDER_MARK = "\ufeff"  # begins files that Windows programs wrote


class InputLine(NamedTuple):
    """A line, or a piece of a long one. ``number`` counts from 1; bytes that are not UTF-8 are surrogates."""

    number: int
    text: str

    def checked(self) -> str:
        """The text. Raises E402 if it is not UTF-8."""
        return check_utf8(self.text, f"line {self.number} of standard input")


def at_line(error: ChatdError, number: int) -> ChatdError:
    """Return ``error`` with the number of the line that it is about in front."""
    line = f"line {number}"
    named = error.reason.startswith(f"{line} ")
    return ChatdError(error.code, error.reason if named else f"{line}: {error.reason}", error.fix)


def check_utf8(text: str, where: str) -> str:
    """Return ``text``, in which surrogates stand for bytes that are not UTF-8. Raises E402 for these.

    Python reads arguments like this (PEP 383). To replace such bytes would change a message silently.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        at = len(text[: error.start].encode()) + 1
        byte = ord(text[error.start]) & 0xFF
        raise ChatdError(
            "E402", f"{where} is not UTF-8: byte {at} is 0x{byte:02x}", "convert it with iconv -t UTF-8"
        ) from None
    return text


def read_lines(descriptor: int, *, limit: int = STRING_LIMIT) -> Iterator[InputLine]:
    """Lines of a file descriptor as they come, without line ends. Raises E606 if it cannot be read.

    A line longer than ``limit`` characters comes in pieces, which bounds the memory. Not read from
    `sys.stdin`: the interpreter waits at exit for a thread that is blocked there.
    """
    decoder = getincrementaldecoder("utf-8")(errors="surrogateescape")
    unfinished, number = "", 1
    while data := _read(descriptor, _READ_SIZE):
        *lines, unfinished = (unfinished + decoder.decode(data)).split("\n")
        for text in lines:
            yield from _pieces(number, text, limit)
            number += 1
        if len(unfinished) > limit:
            *pieces, (_, unfinished) = _pieces(number, unfinished, limit)
            yield from pieces
    unfinished += decoder.decode(b"", final=True)
    if unfinished:
        yield from _pieces(number, unfinished, limit)


def read_all(descriptor: int) -> str:
    """All of a file descriptor as one message, without its last line end. Raises E402, E606."""
    # One character more than fits, so that a longer text is refused instead of silently cut.
    limit = 4 * (STRING_LIMIT + 1)
    content = bytearray()
    while len(content) < limit and (data := _read(descriptor, limit - len(content))):
        content += data
    text = content.decode("utf-8", "surrogateescape").removeprefix(_BYTE_ORDER_MARK)
    if len(content) < limit:  # else the last character may be cut, and the server refuses the length
        check_utf8(text, "standard input")
    return text.replace("\r\n", "\n").removesuffix("\n")


def _pieces(number: int, text: str, limit: int) -> list[InputLine]:
    if number == 1:
        text = text.removeprefix(_BYTE_ORDER_MARK)
    text = text.removesuffix("\r")
    return [InputLine(number, text[at : at + limit]) for at in range(0, len(text), limit)] or [
        InputLine(number, "")
    ]


def _read(descriptor: int, size: int) -> bytes:
    try:
        while True:
            try:
                return os.read(descriptor, size)
            except BlockingIOError:  # another program made the descriptor non-blocking
                select.select([descriptor], [], [])
    except OSError as error:
        raise ChatdError("E606", f"standard input: {error.strerror}", "read from another place") from None
