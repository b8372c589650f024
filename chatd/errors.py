"""The one error type that people and peers are shown."""

from __future__ import annotations

from chatd.codes import CODES


class ChatdError(Exception):
    """A failure somebody can act on: what happened, why, and what to do.

    ``code`` is one of `chatd.codes.CODES`; ``reason`` says what happened in this case (never a
    secret, never a message body); ``fix`` says what to do and defaults to the code's own advice.
    Anything that is not a ChatdError is a defect: peers are told E500 and nothing else.
    """

    def __init__(self, code: str, reason: str = "", fix: str = "") -> None:
        entry = CODES[code]
        self.code = code
        self.reason = reason or entry.summary
        self.fix = fix or entry.fix
        super().__init__(f"{code} {self.reason}")

    def __str__(self) -> str:
        return f"{self.reason} ({self.code}). {self.fix}".rstrip()
