"""One Chromium for the tests of a module: starting it is slow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.support.browser import Modules, fresh_context, launched, modules, require_chromium
from tests.support.staged_page import StagedPages, staged_pages


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium without a window."""
    require_chromium()
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def shared_modules(browser: Browser) -> Iterator[Modules]:
    """The page's modules without its views, in a context that the tests of a module share."""
    with modules(browser) as found:
        yield found


@pytest.fixture(scope="module")
def pages(browser: Browser) -> Iterator[StagedPages]:
    """The page with a staged server; the tests of a module open it again and again."""
    with staged_pages(browser) as pages:
        yield pages


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser of its own for each test: it keeps nothing of the others'."""
    with fresh_context(browser) as context:
        yield context
