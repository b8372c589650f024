"""Debian's Chromium without a window, driven by Playwright, and the page's modules in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.support.page_server import serving

CHROMIUM = Path("/usr/bin/chromium")
# A busy box starts a browser slowly, and a test waits for conditions only.
WAIT_MS = 60_000
# Its own sandbox needs user namespaces, and shared memory is small in containers.
_OPTIONS: dict[str, Any] = {
    "executable_path": CHROMIUM,
    "headless": True,
    "args": ["--no-sandbox", "--disable-dev-shm-usage"],
    "timeout": WAIT_MS,
}


def require_chromium() -> None:
    """Skip the test where there is no Chromium."""
    if not CHROMIUM.exists():
        pytest.skip("Chromium is not installed: apt install chromium")


@contextmanager
def launched() -> Iterator[Browser]:
    """Run a browser; each of its contexts keeps nothing that another one sees."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**_OPTIONS)
        yield browser
        browser.close()


@contextmanager
def fresh_context(browser: Browser) -> Iterator[BrowserContext]:
    """Open a context in which nothing is kept yet; its waits have the patience of a busy box."""
    # The CA of a new home is known to nobody: a person clicks the warning away.
    context = browser.new_context(ignore_https_errors=True)
    context.set_default_timeout(WAIT_MS)
    expect.set_options(timeout=WAIT_MS)
    yield context
    context.close()


@contextmanager
def profiled(profile: Path) -> Iterator[BrowserContext]:
    """Run a browser with a profile folder; a later one with the same folder finds what it has kept."""
    require_chromium()
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(profile, ignore_https_errors=True, **_OPTIONS)
        context.set_default_timeout(WAIT_MS)
        yield context
        context.close()


class Modules:
    """The page's JavaScript modules, in a page without anything else."""

    def __init__(self, page: Page, origin: str, blank: str = "/staged/empty.html") -> None:
        self.page = page
        self.origin = origin
        self._blank = blank
        self.clear()

    def clear(self) -> None:
        """Begin with a new page."""
        self.page.goto(f"{self.origin}{self._blank}")

    def run(self, script: str, argument: object = None) -> Any:
        """Run the body of an async function; `load("wire.js")` in it imports one of the modules.

        ``argument`` is `given` in it; its result must be JSON.
        """
        prefix = "const load = (name) => import(`/app/${name}`);"
        return self.page.evaluate(f"async (given) => {{ {prefix} {script} }}", argument)


@contextmanager
def modules(browser: Browser) -> Iterator[Modules]:
    """Open a page that can load the modules."""
    with serving() as address:
        context = browser.new_context()
        context.set_default_timeout(WAIT_MS)
        yield Modules(context.new_page(), address.rpartition("/")[0])
        context.close()
