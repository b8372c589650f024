"""What proves that a post comes from a hook's program: a token, or a signature of the body."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable

from chatd.gateway.http_messages import HttpRequest
from chatd.proto.frames import JsonObject

_SIGNATURE = "x-hub-signature-256"


def has_proof(request: HttpRequest) -> bool:
    """Whether a request offers any."""
    return _SIGNATURE in request.headers or _token_of(request) is not None


def proven(hooks: Iterable[JsonObject], request: HttpRequest) -> JsonObject | None:
    """Return the hook that a request comes from. Compares with all of them, in constant time each."""
    token = _token_of(request)
    token_hash = "" if token is None else hashlib.sha256(token).hexdigest()
    signature = request.headers.get(_SIGNATURE, "").encode("latin-1")
    found = None
    for hook in hooks:
        if hook["secret"]:
            expected = "sha256=" + hmac.new(hook["secret"].encode(), request.body, hashlib.sha256).hexdigest()
            matches = hmac.compare_digest(signature, expected.encode())
        else:
            matches = bool(token_hash) and hmac.compare_digest(hook["secret_hash"], token_hash)
        found = hook if matches else found
    return found


def _token_of(request: HttpRequest) -> bytes | None:
    """Return a bearer token, or the password of basic authentication, which some senders offer only."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip().encode("latin-1")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
        except ValueError:
            return None
    return None
