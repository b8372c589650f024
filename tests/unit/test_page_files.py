"""The page's files as the gateway sends them: small, packed, and nothing from elsewhere."""

from __future__ import annotations

import gzip
import re

from chatd.gateway.http_messages import HttpAnswer, HttpRequest
from chatd.gateway.page_files import page_routes

# What a phone on a bad line loads once.
PAGE_BYTES = 150 * 1024
ROUTES = page_routes()
_IMPORT = re.compile(r"""(?:import|from)\s*\(?\s*"([^"]+)"|(?:src|href)="([^"]+)\"""")


def _get(path: str, **headers: str) -> HttpAnswer:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = ROUTES[path].answer(HttpRequest("GET", path, given, "127.0.0.1"))
    assert isinstance(answer, HttpAnswer)
    return answer


def _content(path: str) -> bytes:
    body = _get(path).body
    assert isinstance(body, bytes)
    return body


def test_the_whole_page_is_small() -> None:
    sizes = {path: len(_get(path, accept_encoding="br, gzip").body) for path in ROUTES}
    assert sum(sizes.values()) <= PAGE_BYTES, sizes


def test_a_file_is_the_same_packed_and_plain() -> None:
    for path in ROUTES:
        packed = _get(path, accept_encoding="gzip, deflate, br, zstd")
        assert dict(packed.headers)["Content-Encoding"] == "gzip"
        assert isinstance(packed.body, bytes) and gzip.decompress(packed.body) == _content(path)
        for wanted in ("", "identity", "gzip;q=0", "br"):
            assert "Content-Encoding" not in dict(_get(path, accept_encoding=wanted).headers)


def test_a_file_that_the_browser_has_is_not_sent_again() -> None:
    for encoding in ("", "gzip"):
        whole = _get("/", accept_encoding=encoding)
        tag = dict(whole.headers)["ETag"]
        unchanged = _get("/", accept_encoding=encoding, if_none_match=f'"other", W/{tag}')
        assert (unchanged.status, unchanged.body) == (304, b"")
        other = _get("/", accept_encoding="" if encoding else "gzip", if_none_match=tag)
        assert other.status == 200


def test_the_page_asks_for_no_file_that_is_not_there_and_for_nothing_elsewhere() -> None:
    for path in ROUTES:
        if not path.endswith((".js", "/")):
            continue
        text = _content(path).decode()
        for names in _IMPORT.findall(text):
            name = next(filter(None, names))
            folder = path.rpartition("/")[0].split("/")[1:] if path != "/" else []
            for part in name.split("/"):
                folder = folder[:-1] if part == ".." else folder if part in (".", "") else [*folder, part]
            assert f"/{'/'.join(folder)}" in ROUTES, f"{path} imports {name}"
        assert not re.search(
            r"""["'`](?:https?:)?//[a-z]""", text.replace('"http://www.w3.org/2000/svg"', "")
        ), path


def test_text_reaches_the_page_as_text_only() -> None:
    for path in ROUTES:
        if path.endswith(".js"):
            assert not re.search(
                r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", _content(path).decode()
            )


def test_modules_are_short() -> None:
    lines = {path: _content(path).count(b"\n") for path in ROUTES if path.endswith(".js")}
    assert {path: count for path, count in lines.items() if count > 250} == {}
