"""Tab completion of commands, rooms and user names."""

from __future__ import annotations

from chatctl.model.chat_model import ChatModel
from chatctl.model.commands import permitted


def candidates(model: ChatModel, before: str) -> tuple[str, list[str]]:
    """The word at the end of ``before``, empty after a space, and what it can become, sorted."""
    word = before.rsplit(None, 1)[-1] if before and not before[-1].isspace() else ""
    return word, sorted(_matching(model, before, word))


def _matching(model: ChatModel, before: str, word: str) -> set[str]:
    if word.startswith("/"):
        if before != word:
            return set()
        names = {f"/{command.name}" for command in permitted(model.permissions)}
        return {name for name in names if name.startswith(word.lower())}
    if word.startswith("#"):
        return {room for room in model.room_names() if room.startswith(word)}
    at, start = ("@", word[1:]) if word.startswith("@") else ("", word)
    if not start and not before.startswith("/"):
        return set()
    return {at + name for name in model.user_names() if name.startswith(start.lower())}
