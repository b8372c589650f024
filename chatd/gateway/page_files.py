"""The web client's files: read once at the start, so that no request names a file."""

from __future__ import annotations

import gzip
import hashlib
from functools import partial
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

from chatd.gateway.http_messages import Headers, HttpAnswer, HttpRequest, Route

INDEX: Final = "index.html"
TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
}
"""The kinds of files that are served; others in the folder are not."""
# Nothing from elsewhere, nothing inline, no text that becomes markup or script, and no frame around the page.
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS: Final = [
    # Ask each time whether it has changed: after an update all files must fit each other.
    ("Cache-Control", "no-cache"),
    ("Content-Security-Policy", POLICY),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
]


def page_routes() -> dict[str, Route]:
    """Return the routes of all files of the page; index.html is at "/"."""
    found = _files(resources.files("chatd.gateway") / "page", "/")
    found["/"] = found.pop(f"/{INDEX}")
    return found


def _files(folder: Traversable, path: str) -> dict[str, Route]:
    routes: dict[str, Route] = {}
    for entry in folder.iterdir():
        if entry.is_dir():
            routes |= _files(entry, f"{path}{entry.name}/")
        elif kind := TYPES.get(f".{entry.name.rpartition('.')[2]}"):
            routes[f"{path}{entry.name}"] = _route(entry.read_bytes(), kind)
    return routes


def _route(content: bytes, kind: str) -> Route:
    plain = _Variant(content, kind, [])
    # The modules are full of comments; packed, they are a third.
    packed = _Variant(gzip.compress(content, mtime=0), kind, [("Content-Encoding", "gzip")])
    return Route(partial(_answer, plain, packed))


class _Variant:
    """A file as it is sent, and the answer to whoever has it."""

    def __init__(self, content: bytes, kind: str, headers: Headers) -> None:
        self.tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        headers = [*_HEADERS, ("ETag", self.tag), ("Vary", "Accept-Encoding"), *headers]
        self.whole = HttpAnswer(200, content, kind, headers)
        self.unchanged = HttpAnswer(304, b"", kind, headers)


def _answer(plain: _Variant, packed: _Variant, request: HttpRequest) -> HttpAnswer:
    encodings = [each.strip() for each in request.headers.get("accept-encoding", "").split(",")]
    # With a weight, which browsers never send, it may mean "not gzip".
    variant = packed if "gzip" in encodings else plain
    tags = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    return variant.unchanged if variant.tag in tags else variant.whole
