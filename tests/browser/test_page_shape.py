"""The page at all sizes, by keyboard, for a screen reader, with very many messages."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.support.staged_page import StagedPages

PHONE = (360, 740)
THEMES = ("light", "dark")
TABS = ("Overview", "People", "Waiting", "Certificates", "Bans", "Audit")
MANY = 10_000


def _enter(page: Page, room: str = "#incident") -> None:
    page.evaluate("room => stage.model.enter(room)", room)
    expect(page.get_by_role("heading", level=1, name=room)).to_be_visible()
    expect(page.get_by_role("article").last).to_be_visible()


def _dialog(page: Page, button: str) -> None:
    page.get_by_role("button", name="alice, admin on lab: menu").click()
    page.get_by_role("menuitem", name=button).click()
    expect(page.get_by_role("dialog")).to_be_visible()


def _search(page: Page) -> None:
    _enter(page)
    page.get_by_role("button", name="Search messages").click()
    page.get_by_role("searchbox").fill("replica")
    page.keyboard.press("Enter")
    expect(page.get_by_role("list", name="Found messages").get_by_role("listitem").first).to_be_visible()


def _person(page: Page) -> None:
    _enter(page)
    page.get_by_role("button", name="dana, away, lunch").click()
    expect(page.get_by_role("dialog")).to_contain_text("Shared rooms")


VIEWS: dict[str, Callable[[Page], None]] = {
    "talk": _enter,
    "search": _search,
    "person": _person,
    "devices": lambda page: _dialog(page, "Your devices"),
    "keys": lambda page: _dialog(page, "Keys and commands"),
    "about": lambda page: _dialog(page, "About this page"),
}


def _faults(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['html'][:160]}" for one in found for node in one["nodes"]]


@pytest.mark.parametrize("theme", THEMES)
def test_no_view_violates_the_accessibility_rules(pages: StagedPages, theme: str) -> None:
    for name, show in VIEWS.items():
        with pages.opened(color_scheme=theme, reduced_motion="reduce") as page:
            show(page)
            assert _faults(page) == [], name
    with pages.opened("?identity=no", color_scheme=theme) as page:
        assert _faults(page) == []


@pytest.mark.parametrize("theme", THEMES)
def test_no_tab_of_the_admin_page_violates_the_rules(pages: StagedPages, theme: str) -> None:
    with pages.opened("#admin", color_scheme=theme, reduced_motion="reduce") as page:
        for name in TABS:
            page.get_by_role("tab", name=name).click()
            expect(page.get_by_role("tabpanel").get_by_role("region").first).to_be_visible()
            assert _faults(page) == [], name


def test_a_phone_needs_no_sideways_scrolling(pages: StagedPages) -> None:
    fits = "document.documentElement.scrollWidth <= innerWidth && document.body.scrollWidth <= innerWidth"
    with pages.opened(size=PHONE, has_touch=True, is_mobile=True) as page:
        _enter(page)
        assert page.evaluate(fits)
        expect(page.get_by_role("button", name="lobby")).not_to_be_in_viewport()
        page.get_by_role("button", name="Rooms", exact=True).click()
        page.get_by_role("button", name="lobby").click()
        expect(page.get_by_role("heading", level=1, name="#lobby")).to_be_visible()
        expect(page.get_by_role("button", name="deploys")).not_to_be_in_viewport()
        page.get_by_role("button", name="Members", exact=True).click()
        expect(page.get_by_role("button", name="dana, away, lunch")).to_be_in_viewport()
        page.keyboard.press("Escape")
        assert page.evaluate(fits)
        page.get_by_role("article").last.tap()
        page.get_by_role("article").last.get_by_role("button", name="Reply").tap()
        expect(page.locator(".about")).to_contain_text("Reply to carol: good morning")
        page.evaluate("location.hash = 'admin'")
        for name in TABS:
            page.get_by_role("tab", name=name).click()
            expect(page.get_by_role("tabpanel").get_by_role("region").first).to_be_visible()
            assert page.locator(".server").evaluate("(view) => view.scrollWidth <= view.clientWidth"), name
    with pages.opened("?identity=no", size=PHONE) as page:
        assert page.evaluate(fits)


def test_everything_is_reached_by_keyboard(pages: StagedPages) -> None:
    with pages.opened() as page:
        _enter(page)
        page.keyboard.press("Control+k")
        page.keyboard.type("ran")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1, name="#random")).to_be_visible()
        page.keyboard.press("Alt+ArrowDown")
        expect(page.get_by_role("heading", level=1, name="#security")).to_be_visible()
        page.evaluate("stage.server.arrive('#deploys', 'bob', 'build 500 is out')")
        page.keyboard.press("Alt+Shift+ArrowUp")
        expect(page.get_by_role("heading", level=1, name="#deploys")).to_be_visible()
        _enter(page)
        page.get_by_role("log").focus()
        page.keyboard.press("ArrowUp")
        expect(page.get_by_role("article").last).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("menu", name="Message")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("article").last).to_be_focused()
        page.keyboard.press("Control+Shift+F")
        expect(page.get_by_role("searchbox")).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.get_by_label("Message #incident")).to_be_focused()


def test_ten_thousand_messages_scroll_with_few_of_them_in_the_page(pages: StagedPages) -> None:
    with pages.opened(f"?messages={MANY}") as page:
        page.evaluate("stage.model.joined.add('#flood'); stage.model.look(true, true)")
        _enter(page, "#flood")
        page.evaluate(
            """async () => {
              stage.model.look(true, true);
              while (stage.model.here.hasOlder) await stage.model.loadOlder('#flood');
            }"""
        )
        assert page.evaluate("stage.model.here.rows.length") == MANY
        rows = page.locator(".rows > *")
        first = page.locator("article", has_text="message 0 ").first
        expect(first).to_have_count(0)
        assert rows.count() < 120
        page.evaluate("document.querySelector('.timeline').scrollTop = 0")
        expect(first).to_be_in_viewport()
        assert rows.count() < 120
        # What arrives below does not move what is read.
        before = first.bounding_box()
        page.evaluate("stage.server.arrive('#flood', 'bob', 'the newest')")
        expect(page.locator(".jump")).to_be_visible()
        assert first.bounding_box() == before
        page.locator(".jump").click()
        expect(page.locator("article", has_text="the newest")).to_be_in_viewport()


def test_a_quote_leads_to_a_message_far_above(pages: StagedPages) -> None:
    with pages.opened("?messages=1500") as page:
        page.evaluate("stage.model.joined.add('#flood')")
        _enter(page, "#flood")
        target = page.evaluate("stage.server.logs.get('#flood')[300].seq")
        page.evaluate("seq => stage.server.arrive('#flood', 'bob', 'as said', { reply_to: seq })", target)
        answer = page.locator("article", has_text="as said")
        expect(answer.locator(".quote")).to_contain_text("message 300")
        answer.locator(".quote").click()
        expect(page.locator("article.found")).to_contain_text("message 300 ")
        expect(page.locator("article.found")).to_be_in_viewport()


def test_the_theme_follows_the_system_and_the_switch(pages: StagedPages) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    with pages.opened(color_scheme="dark") as page:
        assert page.evaluate(ground) == "rgb(22, 25, 31)"
        page.get_by_role("button", name="alice, admin on lab: menu").click()
        page.get_by_role("menuitem", name="Light", exact=True).click()
        assert page.evaluate(ground) == "rgb(255, 255, 255)"
        page.reload()
        assert page.evaluate(ground) == "rgb(255, 255, 255)"


def test_notifications_are_asked_for_on_a_click_only(pages: StagedPages) -> None:
    with pages.opened() as page:
        page.evaluate(
            """() => {
              window.asked = [];
              window.told = [];
              window.Notification = class {
                static permission = "default";
                static async requestPermission() {
                  window.asked.push(navigator.userActivation.isActive);
                  return (Notification.permission = "granted");
                }
                constructor(title, { body }) { window.told.push(`${title}: ${body}`); }
              };
            }"""
        )
        _enter(page)
        page.evaluate("stage.server.arrive('#random', 'eve', 'alice: before')")
        expect(page.locator(".toast", has_text="alice: before")).to_be_visible()
        assert page.evaluate("[asked, told]") == [[], []]
        page.get_by_role("button", name="alice, admin on lab: menu").click()
        page.get_by_role("menuitem", name="Turn notifications on").click()
        expect(page.locator(".toast", has_text="Notifications are on")).to_be_visible()
        page.evaluate("Object.defineProperty(document, 'hidden', { value: true })")
        page.evaluate("stage.server.arrive('#random', 'eve', 'alice: look')")
        page.evaluate("stage.server.arrive('#random', 'eve', 'nobody in particular')")
        expect(page.locator(".toast", has_text="alice: look")).to_be_visible()
        assert page.evaluate("[asked, told]") == [[True], ["eve in #random: alice: look"]]


def test_the_status_line_counts_down_and_offers_to_connect(pages: StagedPages) -> None:
    with pages.opened() as page:
        _enter(page)
        page.evaluate(
            """() => {
              const fault = { reason: "the connection was cut", fix: "", code: "E607" };
              stage.model.take([{ type: "disconnected", fault, retryIn: 90 }]);
            }"""
        )
        status = page.locator(".status")
        expect(status).to_contain_text("Not connected: the connection was cut")
        expect(status).to_contain_text("Again in")
        status.get_by_role("button", name="Connect now").click()
        expect(status).to_be_hidden()


def test_what_an_isolated_server_shows_is_marked_as_long_as_it_lasts(pages: StagedPages) -> None:
    with pages.opened() as page:
        _enter(page)
        status = page.locator(".status")
        tell = "reason => stage.model.take([{ type: 'isolated', reason }])"
        page.evaluate(tell, "this server is cut off; what you see may be old")
        expect(status).to_contain_text("This server is cut off; what you see may be old.")
        page.evaluate(tell, "")
        expect(status).to_be_hidden()


def test_an_invite_is_all_that_the_first_visit_asks_for(pages: StagedPages) -> None:
    with pages.opened("?identity=no") as page:
        expect(page.get_by_text("No envelope here")).to_be_visible()
        page.get_by_label("Invite").fill("nonsense")
        page.get_by_role("button", name="Join").click()
        expect(page.get_by_role("alert")).to_contain_text("this is not an invite")
        expect(page.get_by_role("alert")).to_contain_text("To do: copy the whole line again")
        page.get_by_label("Invite").fill("GOOD")
        page.get_by_role("button", name="Join").click()
        expect(page.get_by_role("heading", level=1, name="#lobby")).to_be_visible()
