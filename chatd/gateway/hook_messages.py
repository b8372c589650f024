"""What a post becomes: messages, each with what makes it this one. The fields of posts are hostile."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import orjson

from chatd.proto.frames import JsonObject, compact
from chatd.proto.text import truncate

# Messages of one post, so that no post costs more than a second of the hub. A post has at most 256 KiB.
MESSAGES_LIMIT = 500
# Characters of a whole message; by default more than 500 make it a snippet.
TEXT_CHARS = 8000
_CUT = "..."

Key = tuple[str, ...]


class BadPostError(Exception):
    """A post that cannot be read; its text says why."""


class HookMessage(NamedTuple):
    """A message of a post. Another one with the same ``key`` is the same message, sent again.

    ``answers``: the key of the message that this one answers.
    """

    key: Key
    text: str
    answers: Key | None = None


def message_id(hook: str, born: int, key: Key) -> str:
    """Return the msg_id of a hook's message. ``born`` tells apart hooks that had the same name."""
    return hashlib.sha256(compact([hook, born, *key])).hexdigest()[:32]


def read_json(body: bytes) -> JsonObject:
    """Decode a JSON object. orjson refuses more than 1,024 levels. Raises BadPostError."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadPostError(f"the body is not JSON: {str(error)[:100]}") from None
    if not isinstance(found, dict):
        raise BadPostError("the body is not a JSON object")
    return found


def line(value: Any, limit: int) -> str:
    """Return a field's text on one line and within ``limit`` characters; "" for what is no text."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    # Cut first: joining then costs no more for a long field.
    text = " ".join(str(value)[: 4 * limit].split())
    return truncate(text, limit, _CUT)[0]


def at(post: Any, *path: str) -> Any:
    """Return what is at ``path`` in nested objects; None if there is nothing."""
    for name in path:
        post = post.get(name) if isinstance(post, dict) else None
    return post


def link(value: Any) -> str:
    """Return an address of a web page; "" for anything else."""
    text = value if isinstance(value, str) else ""
    is_link = text.startswith(("https://", "http://")) and len(text) <= 300 and text.isprintable()
    return text if is_link and " " not in text else ""


def digest(body: bytes) -> str:
    """Return what identifies a body that carries nothing else."""
    return hashlib.sha256(body).hexdigest()
