"""Ask once before a text is sent that its writer may not want to be sent as it is. Pure."""

from __future__ import annotations

from chatd.proto import events as ev
from chatd.proto.invite_code import holds_invite


class SendQuestion:
    """Asks about a text that the server would cut, or that holds an invite; the same text again means yes."""

    def __init__(self) -> None:
        self._asked = ""

    def ask(self, welcome: ev.Welcome | None, room: str, text: str) -> str:
        """Return the question for a text to ``room``, "" to send it."""
        asked, self._asked = self._asked, ""
        if text == asked or not (question := _question(welcome, room, text)):
            return ""
        self._asked = text
        return question


def _question(welcome: ev.Welcome | None, room: str, text: str) -> str:
    if room.startswith("#") and holds_invite(text):
        return (
            "not sent: this text holds an invite, which works for whoever reads it first;"
            " send it once more if you mean it"
        )
    limit = welcome.limits.message_chars if welcome else 0
    if welcome is None or welcome.long_text != "truncate" or len(text) <= limit:
        return ""
    return (
        f"not sent: this server cuts texts after {limit} characters, and this one has {len(text):,};"
        " send it once more to have it cut"
    )
