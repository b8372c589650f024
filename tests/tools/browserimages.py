"""Draw the images of docs/browser.md: `python -m tests.tools.browserimages`. Needs Chromium."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.support.browser import launched
from tests.support.page_server import serving
from tests.support.staged_page import StagedPages

IMAGES = Path(__file__).parents[2] / "docs" / "images"
DESK, PHONE = (1180, 740), (360, 740)
_UNREAD = """
() => {
  const { model, server } = stage;
  for (let build = 411; build < 415; build += 1) server.arrive("#deploys", "bob", `build ${build} is out`);
  server.arrive("#random", "eve", "alice: lunch?");
  server.arrive("@alice,bob", "bob", "call me when it is over");
  for (const notice of [...model.notices]) model.dismiss(notice.id);
  document.querySelectorAll(".toast").forEach((toast) => toast.remove());
}
"""
# Enough figures for the plots to have a shape.
_PLOTTED = re.compile("(L[^L]+){14}")
_WAIT_MS = 60_000


def _talk(page: Page) -> None:
    page.evaluate("stage.model.enter('#incident')")
    page.get_by_text("replica 1 has caught up").wait_for()
    page.evaluate(_UNREAD)
    page.locator('[data-room="#random"] .badge').wait_for(state="attached")
    page.get_by_label("Message #incident").focus()


def main() -> None:
    with launched() as browser, serving() as address:
        pages = StagedPages(browser, address)
        for theme in ("light", "dark"):
            with pages.opened(size=DESK, color_scheme=theme) as page:
                _talk(page)
                page.screenshot(path=IMAGES / f"browser-{theme}.png")
        with pages.opened(size=PHONE, color_scheme="light", has_touch=True, is_mobile=True) as page:
            _talk(page)
            page.screenshot(path=IMAGES / "browser-phone.png")
        with pages.opened("?identity=no", size=(640, 620), color_scheme="light") as page:
            page.screenshot(path=IMAGES / "browser-first-visit.png")
        with pages.opened("#admin", size=DESK, color_scheme="dark") as page:
            line = page.locator(".plot .line").first
            expect(line).to_have_attribute("d", _PLOTTED, timeout=_WAIT_MS)
            page.screenshot(path=IMAGES / "browser-server.png")


if __name__ == "__main__":
    main()
