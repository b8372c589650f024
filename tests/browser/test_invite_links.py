"""Links of invites: whatever tabs are open, and whatever the browser asks, the invite is used."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.support.daemon import Daemon
from tests.support.https import Https, gateway
from tests.support.joining import invite


@pytest.fixture(scope="module")
def served(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, Https]]:
    with gateway(tmp_path_factory.mktemp("links") / "home") as found:
        yield found


def address(served: tuple[Daemon, Https], user: str = "") -> str:
    """The address of the page; with an invite for a user in it."""
    daemon, https = served
    code = f"#{invite(daemon, user).rpartition('/')[2]}" if user else ""
    return f"https://127.0.0.1:{https.port}/{code}"


def opened(context: BrowserContext, url: str) -> Page:
    page = context.new_page()
    page.goto(url)
    return page


def expect_chat(page: Page, user: str) -> None:
    expect(page.get_by_label("Message #lobby")).to_be_enabled()
    expect(page.get_by_role("button", name=f"{user}, user on lab: menu")).to_be_visible()


def test_a_tab_that_has_not_joined_does_not_keep_the_link_of_another_from_it(
    served: tuple[Daemon, Https], context: BrowserContext
) -> None:
    first = opened(context, address(served))
    expect(first.get_by_label("Invite")).to_be_visible()
    second = opened(context, address(served, "una"))
    expect_chat(second, "una")
    expect(first.get_by_label("Invite")).to_be_visible()
    first.get_by_label("Invite").fill(address(served, "ute").rpartition("#")[2])
    first.get_by_role("button", name="Join").click()
    expect(first.get_by_text("This chat is open in another tab.")).to_be_visible()
    expect_chat(second, "una")


def test_an_invite_pasted_into_a_tab_that_waits_is_used(
    served: tuple[Daemon, Https], context: BrowserContext
) -> None:
    first, second = (opened(context, address(served)) for _ in range(2))
    expect(first.get_by_label("Invite")).to_be_visible()
    second.get_by_label("Invite").fill(address(served, "uli").rpartition("#")[2])
    second.get_by_role("button", name="Join").click()
    expect_chat(second, "uli")


def test_a_link_is_used_after_the_page_was_left(
    served: tuple[Daemon, Https], context: BrowserContext
) -> None:
    page = opened(context, address(served))
    expect(page.get_by_label("Invite")).to_be_visible()
    page.goto("about:blank")
    page.goto(address(served, "uta"))
    expect_chat(page, "uta")


def test_joining_does_not_wait_for_a_question_of_the_browser(
    served: tuple[Daemon, Https], context: BrowserContext
) -> None:
    context.add_init_script("StorageManager.prototype.persist = () => new Promise(() => {});")
    expect_chat(opened(context, address(served, "ugo")), "ugo")


def test_a_command_that_leads_elsewhere_leaves_no_draft(
    served: tuple[Daemon, Https], context: BrowserContext
) -> None:
    served[0].add_user("vera")
    page = opened(context, address(served, "ulf"))
    expect_chat(page, "ulf")
    page.get_by_label("Message #lobby").fill("/msg vera hello")
    page.keyboard.press("Enter")
    expect(page.get_by_role("article").last).to_contain_text("hello")
    expect(page.get_by_text("draft", exact=True)).to_have_count(0)
    page.get_by_label("Message @vera").fill("/join lobby")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Message #lobby")).to_have_value("")
    # What is typed right before a reload is there after it.
    page.get_by_label("Message #lobby").press_sequentially("half a sen")
    page.reload()
    expect(page.get_by_label("Message #lobby")).to_have_value("half a sen")
