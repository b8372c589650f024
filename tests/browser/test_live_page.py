"""What a newcomer does: open the address, use the invite, write; with the whole page and a real daemon."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.support.daemon import Daemon
from tests.support.https import Https, gateway
from tests.support.joining import invite
from tests.support.rawclient import RawClient


@pytest.fixture(scope="module")
def served(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, Https]]:
    with gateway(tmp_path_factory.mktemp("live-page") / "home") as found:
        found[0].add_user("carol")
        yield found


def opened(context: BrowserContext, address: str) -> tuple[Page, list[str]]:
    """Open the page; also returns what the browser complains about, which grows."""
    page, complaints = context.new_page(), []
    page.on(
        "console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    return page, complaints


def test_a_newcomer_opens_the_link_and_talks(served: tuple[Daemon, Https], context: BrowserContext) -> None:
    daemon, https = served
    code = invite(daemon, "bob").rpartition("/")[2]
    page, complaints = opened(context, f"https://127.0.0.1:{https.port}/#{code}")
    page.get_by_text("#lobby").first.click()
    with RawClient(int(daemon.status()["address"].rpartition(":")[2]), daemon.identity("carol")) as carol:
        carol.logged_in()
        carol.ask("resume")
        page.get_by_label("Message #lobby").fill("hello from the page")
        page.keyboard.press("Enter")
        assert carol.until(type="message", body="hello from the page")["user"] == "bob"
        carol.say("hello <b>from</b> the terminal")
        page.get_by_text("hello <b>from</b> the terminal").first.wait_for()
    assert code not in page.url
    page.reload()
    page.get_by_text("hello from the page").first.wait_for()
    page.get_by_label("Message #lobby").wait_for()
    assert complaints == []
