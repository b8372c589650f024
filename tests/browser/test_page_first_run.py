"""A newcomer opens the link of an invite in a browser and talks with a line client; the server is real."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.support.browser import WAIT_MS, fresh_context
from tests.support.chat_program import run_chat
from tests.support.daemon import Daemon, wait_until
from tests.support.https import Https, gateway

_KEPT = """
() => new Promise((resolve) => {
  const opening = indexedDB.open("chatd");
  opening.onsuccess = () => {
    const asked = opening.result.transaction("TABLE").objectStore("TABLE").getAll();
    asked.onsuccess = () => (opening.result.close(), resolve(asked.result));
  };
})
"""
KEPT_DRAFTS, KEPT_ROOMS = (_KEPT.replace("TABLE", table) for table in ("drafts", "recent"))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, Https]]:
    with gateway(tmp_path_factory.mktemp("first-run") / "home") as found:
        found[0].add_user("carol")
        yield found


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    with fresh_context(browser) as context:
        yield context


def _code(daemon: Daemon, user: str, *options: str) -> str:
    made = json.loads(daemon.chatctl("invite", "create", user, *options, "--json").stdout)
    return str(made["command"]).rpartition("/")[2]


@pytest.fixture(scope="module")
def page(context: BrowserContext, served: tuple[Daemon, Https]) -> Iterator[Page]:
    """The page of bob, who came by a link; the box is empty."""
    daemon, https = served
    page = context.new_page()
    page.goto(f"https://127.0.0.1:{https.port}/#{_code(daemon, 'bob', '--role', 'admin')}")
    expect(page.get_by_label("Message #lobby")).to_be_enabled()
    yield page


def _told(daemon: Daemon) -> list[str]:
    """The texts of #lobby as a native client reads them."""
    done = run_chat(daemon, "history", "#lobby", "--json", user="carol")
    return [event["body"] for event in map(json.loads, done.stdout.splitlines()) if "body" in event]


def _say(page: Page, text: str) -> None:
    page.get_by_label("Message #lobby").fill(text)
    page.keyboard.press("Enter")


def test_a_link_is_all_that_a_newcomer_needs(page: Page, served: tuple[Daemon, Https]) -> None:
    daemon, https = served
    assert page.url == f"https://127.0.0.1:{https.port}/", "the code stays in neither address nor history"
    expect(page.get_by_role("button", name="bob, admin on lab: menu")).to_be_visible()
    _say(page, "hello from the browser")
    expect(page.get_by_role("article").last).to_contain_text("hello from the browser")
    expect(page.locator(".pending")).to_have_count(0)
    assert _told(daemon)[-1] == "hello from the browser"


def test_a_line_client_is_heard_and_seen(page: Page, served: tuple[Daemon, Https]) -> None:
    daemon, _ = served
    run_chat(daemon, "send", "#lobby", "bob: hello from the terminal", user="carol")
    row = page.get_by_role("article").last
    expect(row).to_contain_text("bob: hello from the terminal")
    expect(row).to_contain_text("carol")


def test_identity_room_and_draft_outlive_a_reload(page: Page) -> None:
    _say(page, "before the reload")
    expect(page.get_by_role("article").last).to_contain_text("before the reload")
    page.get_by_label("Message #lobby").fill("half a sen")
    wait_until(lambda: page.evaluate(KEPT_DRAFTS) == ["half a sen"], what="the draft to be kept")
    page.reload()
    expect(page.get_by_label("Message #lobby")).to_have_value("half a sen")
    expect(page.locator("article", has_text="before the reload")).to_be_visible()
    page.get_by_label("Message #lobby").fill("")


def _write_in_another_tab(context: BrowserContext, page: Page, typed: str, kept: list[str]) -> None:
    """Take the session over, type, and close that tab once the drafts are ``kept``."""
    other = context.new_page()
    other.goto(page.url)
    other.get_by_role("button", name="Use this tab").click()
    box = other.get_by_label("Message #lobby")
    expect(box).to_be_enabled()
    expect(page.get_by_label("This chat is open in another tab")).to_be_disabled()
    box.press_sequentially(typed)
    wait_until(lambda: other.evaluate(KEPT_DRAFTS) == kept, what="the drafts to be kept")
    expect(other.locator(".pending")).to_have_count(0)
    other.close()


def test_the_tab_that_takes_over_has_the_draft_of_the_one_before(context: BrowserContext, page: Page) -> None:
    box = page.get_by_label("Message #lobby")
    box.fill("ONE")
    wait_until(lambda: page.evaluate(KEPT_DRAFTS) == ["ONE"], what="the draft to be kept")
    _write_in_another_tab(context, page, " TWO", ["ONE TWO"])
    expect(box).to_have_value("ONE TWO")
    page.reload()
    expect(box).to_have_value("ONE TWO")
    _write_in_another_tab(context, page, "\n", [])
    expect(box).to_be_enabled()
    expect(box).to_have_value("")
    page.reload()
    expect(box).to_be_enabled()
    expect(box).to_have_value("")


def test_another_invite_does_not_replace_the_identity(page: Page, served: tuple[Daemon, Https]) -> None:
    daemon, _ = served
    page.evaluate("code => { location.hash = code; }", _code(daemon, "dave"))
    expect(page.get_by_text("this browser is bob already")).to_be_visible()
    assert "#" not in page.url
    expect(page.get_by_label("Message #lobby")).to_be_enabled()


def test_the_gateways_death_is_told_and_nothing_is_lost(page: Page, served: tuple[Daemon, Https]) -> None:
    daemon, _ = served
    os.kill(daemon.child("gateway")["pid"], signal.SIGKILL)
    _say(page, "sent over the gap")
    expect(page.get_by_role("article").last).to_contain_text("sent over the gap")
    expect(page.locator(".status")).to_be_hidden()
    expect(page.locator(".pending")).to_have_count(0)
    assert _told(daemon).count("sent over the gap") == 1


def test_the_server_page_knows_the_processes_and_bans(page: Page, served: tuple[Daemon, Https]) -> None:
    daemon, _ = served
    page.get_by_role("button", name="bob, admin on lab: menu").click()
    page.get_by_role("menuitem", name="Server").click()
    expect(page.get_by_role("rowheader", name="hub")).to_be_visible()
    expect(page.get_by_role("rowheader", name="gateway")).to_be_visible()
    page.get_by_role("tab", name="People").click()
    page.get_by_role("button", name="Actions for carol").click()
    page.get_by_role("menuitem", name="Ban").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("a test")
    page.get_by_role("dialog").get_by_role("button", name="Ban", exact=True).click()
    expect(page.get_by_text("carol is banned for 1 h.")).to_be_visible()
    assert "carol" in daemon.chatctl("bans").stdout
    page.get_by_role("tab", name="Bans").click()
    page.get_by_role("button", name="End").first.click()
    page.get_by_role("dialog").get_by_role("button", name="End the ban").click()
    expect(page.get_by_text("carol may come in again.")).to_be_visible()
    assert "carol" not in daemon.chatctl("bans").stdout
    page.get_by_role("button", name="Back to the chat").click()
    expect(page.get_by_label("Message #lobby")).to_be_enabled()


def _revoked_tablet(browser: Browser, served: tuple[Daemon, Https], user: str) -> Page:
    """Let a user's tablet in, and revoke it; close the page's context afterwards."""
    daemon, https = served
    context = browser.new_context(ignore_https_errors=True)
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    page.goto(f"https://127.0.0.1:{https.port}/#{_code(daemon, user, '--device', 'tablet')}")
    expect(page.get_by_label("Message #lobby")).to_be_enabled()
    wait_until(lambda: page.evaluate(KEPT_ROOMS) != [], what="the room to be kept")
    daemon.chatctl("revoke", f"{user}/tablet", "--yes")
    expect(page.locator(".status")).to_contain_text("Disconnected: ")
    return page


def test_a_revoked_browser_says_what_to_do(browser: Browser, served: tuple[Daemon, Https]) -> None:
    page = _revoked_tablet(browser, served, "erin")
    page.reload()
    expect(page.locator(".status")).to_contain_text("To do:")
    expect(page.get_by_role("heading", level=1, name="#lobby")).to_be_visible()
    page.get_by_role("button", name="Use a new invite").click()
    page.get_by_role("dialog").get_by_role("button", name="Forget").click()
    expect(page.get_by_label("Invite")).to_be_visible()
    page.context.close()


def test_the_link_of_a_new_invite_replaces_a_revoked_identity(
    browser: Browser, served: tuple[Daemon, Https]
) -> None:
    daemon, https = served
    page = _revoked_tablet(browser, served, "fran")
    page.goto(f"https://127.0.0.1:{https.port}/#{_code(daemon, 'fran', '--device', 'web')}")
    asked = page.get_by_role("dialog")
    expect(asked).to_contain_text("Use the new invite?")
    asked.get_by_role("button", name="Use it").click()
    expect(page.get_by_label("Message #lobby")).to_be_enabled()
    devices = daemon.chatctl("cert", "list", "fran").stdout
    assert "tablet" in devices and "web" in devices
    page.context.close()
