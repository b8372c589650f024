"""Posts with one text: plain, or in the shape of Slack's incoming webhooks.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs

from chatd.gateway.hook_messages import TEXT_CHARS, BadPostError, HookMessage, at, line, read_json
from chatd.proto.frames import JsonObject
from chatd.proto.text import truncate

_FORM = "application/x-www-form-urlencoded"
# Parts of a post of Slack's shape that are read.
_PARTS = 20
_ID_CHARS = 200
# All that Slack escapes: https://docs.slack.dev/messaging/formatting-message-text
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))


def text_messages(headers: Mapping[str, str], body: bytes) -> list[HookMessage]:
    """Return the body as a message. Raises BadPostError."""
    try:
        return _one(headers, body.decode())
    except UnicodeDecodeError:
        raise BadPostError("the body is not UTF-8") from None


def slack_messages(headers: Mapping[str, str], body: bytes) -> list[HookMessage]:
    """Return the texts of a post as a message. Raises BadPostError."""
    form = headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM
    # curl -d calls everything a form; no field's name begins like an object.
    if form and not body.lstrip().startswith(b"{"):
        try:
            body = parse_qs(body, max_num_fields=10)[b"payload"][0]
        except (KeyError, ValueError):
            raise BadPostError("field payload is missing in the form") from None
    text = "\n".join(_parts(read_json(body)))
    for entity, character in _ENTITIES:
        text = text.replace(entity, character)
    return _one(headers, text)


def _parts(post: JsonObject) -> Iterator[str]:
    found: list[Any] = [post.get("text")]
    for one in _list(post.get("attachments")):
        texts = [at(one, name) for name in ("pretext", "title", "text")]
        found += texts if any(texts) else [at(one, "fallback")]
    for one in _list(post.get("blocks")):
        found += [at(one, "text", "text"), *(at(field, "text") for field in _list(at(one, "fields")))]
    return (text for text in found if isinstance(text, str) and text.strip())


def _list(value: Any) -> list[Any]:
    return value[:_PARTS] if isinstance(value, list) else []


def _one(headers: Mapping[str, str], text: str) -> list[HookMessage]:
    text = text.strip()
    if not text:
        raise BadPostError("the post has no text")
    # Without a key of its sender, nothing tells a post that is sent again from another one.
    name = line(headers.get("idempotency-key"), _ID_CHARS) or secrets.token_hex(16)
    return [HookMessage(("post", name), truncate(text, TEXT_CHARS)[0])]
