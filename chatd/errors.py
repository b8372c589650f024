"""The error type whose text users and peers see."""

from __future__ import annotations

from chatd.codes import CODES


class ChatdError(Exception):
    """A failure that somebody can act on.

    ``code`` is a key of `chatd.codes.CODES`; ``reason`` says what happened (never a secret or a message
    body); ``fix`` says what to do. Both default to the code's own text. Any other exception is a defect,
    and peers get only E500.
    """

    def __init__(self, code: str, reason: str = "", fix: str = "") -> None:
        entry = CODES[code]
        self.code = code
        self.reason = reason or entry.summary
        self.fix = fix or entry.fix
        super().__init__(f"{code} {self.reason}")

    def __str__(self) -> str:
        return f"{self.reason} ({self.code}). {self.fix}".rstrip()
