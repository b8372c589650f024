"""Serve the web page without a daemon, under the content security policy that the gateway sends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import chatd.gateway

PAGE = Path(chatd.gateway.__file__).parent / "page"
STAGED = Path(__file__).parents[1] / "browser" / "staged"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)
_TYPES = {".js": "text/javascript", ".webmanifest": "application/manifest+json"}


class _Handler(SimpleHTTPRequestHandler):
    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, **_TYPES}  # noqa: RUF012 - as its base class

    def translate_path(self, path: str) -> str:
        name = path.partition("?")[0].lstrip("/")
        if name.startswith("staged/"):
            return str(STAGED / name.removeprefix("staged/"))
        return str(PAGE / (name or "index.html"))

    def do_GET(self) -> None:
        if not self.path.startswith("/staged.html"):
            super().do_GET()
            return
        page = (PAGE / "index.html").read_text().replace("app/start.js", "staged/staged.js").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Keep the tests' output clean."""


@contextmanager
def serving() -> Iterator[str]:
    """Serve on a free port; yields the page's address with the fake server behind it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/staged.html"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
