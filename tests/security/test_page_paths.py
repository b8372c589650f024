"""The page's files are a table: no request names a file, and each has its headers."""

from __future__ import annotations

import gzip
import re
from importlib import resources
from pathlib import Path

import pytest

from chatd.config.schema import Settings
from chatd.gateway.http_messages import HttpAnswer, HttpRequest
from chatd.gateway.page_files import POLICY, page_routes
from chatd.gateway.routes import Routes

ROUTES = Routes(Settings(), page_routes(), 5443)
SIZE_LIMIT = 150 * 1024
FOLDER = Path(str(resources.files("chatd.gateway"))) / "page"


def get(path: str, **headers: str) -> HttpAnswer:
    request = HttpRequest("GET", path, {"host": "localhost:5443", **headers}, "127.0.0.1")
    found = ROUTES.find(request)
    answer = found if isinstance(found, HttpAnswer) else found.answer(request)
    assert isinstance(answer, HttpAnswer)
    return answer


@pytest.mark.parametrize(
    "path",
    [
        "/app", "/app/", "/index.html", "/app/../index.html", "/../main.py", "/%2e%2e/main.py",
        "/app//wire.js", "//app/wire.js", "/app/wire.js/", "/app/wire.js%00",
        "/app\\wire.js", "/APP/wire.js", "/etc/passwd",
        "/app/%77ire.js", "/./app/wire.js", "/app/wire.js;x", "/__init__.py", "/page_files.py",
        "/.git/config",
    ],
)  # fmt: skip
def test_only_the_exact_paths_of_the_table_are_served(path: str) -> None:
    assert get(path).status == 404


def test_every_file_of_the_page_is_served_once_with_its_headers() -> None:
    found = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert found
    for path in found:
        name = path.relative_to(FOLDER).as_posix()
        answer = get("/" if name == "index.html" else f"/{name}")
        headers = dict(answer.headers)
        assert (answer.status, answer.body) == (200, path.read_bytes())
        assert headers["Content-Security-Policy"] == POLICY
        assert headers["Cache-Control"] == "no-cache"
        unchanged = get("/" if name == "index.html" else f"/{name}", **{"if-none-match": headers["ETag"]})
        assert (unchanged.status, unchanged.body) == (304, b"")


def test_the_page_is_small_enough_on_the_wire() -> None:
    names = [path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file()]
    size = 0
    for name in names:
        path = "/" if name == "index.html" else f"/{name}"
        answer = get(path, **{"accept-encoding": "br, gzip"})
        assert isinstance(answer.body, bytes)
        assert gzip.decompress(answer.body) == (FOLDER / name).read_bytes()
        assert dict(answer.headers)["Content-Encoding"] == "gzip"
        assert dict(answer.headers)["ETag"] != dict(get(path).headers)["ETag"]
        size += len(answer.body)
    assert size <= SIZE_LIMIT


def test_nothing_in_the_page_breaks_its_own_policy() -> None:
    """Inline script or style, and anything from another host, would not work."""
    index = (FOLDER / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\son\w+=|\sstyle=", index)
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", index)
