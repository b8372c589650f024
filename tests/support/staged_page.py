"""A page in Chromium whose server is inside it (tests/browser/staged), for tests of what is seen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page, expect

from tests.support.browser import WAIT_MS
from tests.support.page_server import serving


class StagedPages:
    """Opens pages; what the browser complains about fails the test that asks for `complaints`."""

    def __init__(self, browser: Browser, address: str) -> None:
        self._browser, self._address = browser, address
        self.complaints: list[str] = []

    @contextmanager
    def opened(self, query: str = "", size: tuple[int, int] = (1280, 800), **options: Any) -> Iterator[Page]:
        """Open a page in a context of its own; yields it once the first view is shown."""
        context = self._browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        page.on("console", lambda line: self._said(line.type, line.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(f"{self._address}{query}")
        page.wait_for_selector(".chat, .page, .server")
        try:
            yield page
        finally:
            context.close()

    def _said(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)


@contextmanager
def staged_pages(browser: Browser) -> Iterator[StagedPages]:
    """Serve the page; fails at the end if the browser complained about a script or the policy."""
    expect.set_options(timeout=WAIT_MS)
    with serving() as address:
        pages = StagedPages(browser, address)
        yield pages
    assert pages.complaints == []
