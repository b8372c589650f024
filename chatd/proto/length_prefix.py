"""Length-prefixed messages in a byte stream: u32 big-endian, then that many bytes."""

from __future__ import annotations

from chatd.errors import ChatdError

LENGTH_SIZE = 4


def take_message(buffer: bytearray, limit: int, code: str, *, minimum: int = 1) -> bytes | None:
    """Remove and return the first message in ``buffer``; None while it is incomplete.

    The length is checked as soon as it has arrived: raises ChatdError ``code`` unless it is ``minimum`` to
    ``limit``, so a peer cannot make this side buffer more than ``limit``.
    """
    if len(buffer) < LENGTH_SIZE:
        return None
    length = int.from_bytes(buffer[:LENGTH_SIZE], "big")
    if not minimum <= length <= limit:
        raise ChatdError(code, f"a length of {length} bytes; {minimum} to {limit} are allowed here")
    end = LENGTH_SIZE + length
    if len(buffer) < end:
        return None
    message = bytes(buffer[LENGTH_SIZE:end])
    del buffer[:end]
    return message
