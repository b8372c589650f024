"""Rooms in the page: what owners do, being removed, a mistyped name, a long text, an interrupted invite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.support.staged_page import StagedPages

PART = """by => {
  const { server, model } = stage;
  server.seq += 1;
  const event = { type: "parted", seq: server.seq, at: Date.now(), room: "#incident", user: "alice" };
  model.take([{ ...event, by, by_login: null, reason: "off topic" }]);
}"""
REQUESTS = "kind => stage.server.requests.filter((one) => one.kind === kind)"


@pytest.fixture
def page(pages: StagedPages) -> Iterator[Page]:
    with pages.opened() as page:
        page.evaluate("stage.model.enter('#incident')")
        expect(page.get_by_role("article").last).to_contain_text("replica 1 has caught up")
        yield page


def test_an_owner_manages_the_room(page: Page) -> None:
    page.evaluate("stage.server.invitations = ['zoe']")
    page.get_by_role("button", name="About this room").click()
    about = page.get_by_role("dialog", name="#incident")
    about.get_by_role("button", name="Withdraw the invitation of zoe").click()
    about.get_by_role("button", name="Make owner: bob").click()
    page.get_by_role("dialog").get_by_role("button", name="Make owner", exact=True).click()
    about.get_by_role("button", name="Remove: carol").click()
    asked = page.get_by_role("dialog", name="Remove carol from #incident?")
    asked.get_by_label("Reason").fill("off topic")
    asked.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("carol was removed from #incident.")).to_be_visible()
    sent = [page.evaluate(REQUESTS, kind)[0] for kind in ("uninvite", "owner", "member_remove")]
    assert [one["user"] for one in sent] == ["zoe", "bob", "carol"]
    assert (sent[1]["on"], sent[2]["reason"]) == (True, "off topic")


def test_whoever_is_no_owner_manages_nothing(page: Page) -> None:
    page.evaluate("stage.server.owners = ['bob']")
    page.get_by_role("button", name="About this room").click()
    about = page.get_by_role("dialog")
    expect(about).to_contain_text("Owners: bob")
    expect(about.get_by_role("button", name="Remove")).to_have_count(0)


def test_being_removed_is_told_and_the_draft_is_kept(page: Page) -> None:
    page.get_by_label("Message #incident").fill("half a sen")
    page.evaluate(PART, "dave")
    toast = page.locator(".toast.removal")
    expect(toast).to_contain_text("you were removed from #incident by dave: off topic")
    expect(page.get_by_role("heading", level=1, name="#lobby")).to_be_visible()
    expect(page.locator("[data-room='#incident']")).to_have_count(0)
    expect(page.get_by_label("Message #lobby")).to_have_value("")
    page.evaluate("stage.model.enter('#incident')")
    expect(page.get_by_label("Message #incident")).to_have_value("half a sen")


def test_leaving_goes_on_elsewhere_without_a_notice(page: Page) -> None:
    page.evaluate(PART, "alice")
    expect(page.get_by_role("heading", level=1, name="#lobby")).to_be_visible()
    expect(page.locator(".toast.removal")).to_have_count(0)


def test_private_rooms_are_marked_before_they_are_opened(page: Page) -> None:
    expect(page.locator("[data-room='#security'] .sign svg")).to_have_count(1)
    expect(page.locator("[data-room='#random'] .sign svg")).to_have_count(0)


def test_nobody_is_no_conversation(page: Page) -> None:
    page.evaluate(
        """async () => {
          const { Fault } = await import("/app/fault.js");
          stage.server.refuse.whois = new Fault("E405", "there is no user 'zoe'", "see /who");
        }"""
    )
    box = page.get_by_label("Message #incident")
    box.fill("/msg zoe hi")
    box.press("Enter")
    expect(page.locator(".toast", has_text="there is no user 'zoe'")).to_be_visible()
    expect(page.locator("[data-room='@alice,zoe']")).to_have_count(0)
    expect(page.get_by_role("heading", level=1, name="#incident")).to_be_visible()
    # It is given back, and nobody else reads it.
    expect(box).to_have_value("/msg zoe hi")
    assert page.evaluate("stage.server.logs.get('#incident').at(-1).body").startswith("replica 1")


def test_what_is_not_found_as_a_word_is_found_within_words(page: Page) -> None:
    page.keyboard.press("Control+Shift+F")
    page.get_by_role("searchbox").fill("swappin from:alice")
    page.evaluate("() => { stage.server.found = (query) => query.includes('*'); }")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nothing has exactly this word.")).to_be_visible()
    page.get_by_role("button", name="swappin* from:alice", exact=True).click()
    expect(page.get_by_text("2 found.")).to_be_visible()
    expect(page.get_by_role("button", name="swappin* from:alice", exact=True)).to_be_hidden()


def test_the_talk_stays_at_its_end_while_the_box_grows(page: Page) -> None:
    box = page.get_by_label("Message #incident")
    for _ in range(6):
        box.press("Shift+Enter")
        box.press("x")
    expect(page.get_by_role("article").last).to_be_in_viewport(ratio=0.9)
    expect(page.locator(".jump")).to_be_hidden()


def test_the_counter_has_the_unit_of_the_limit(page: Page) -> None:
    counter, box = page.locator(".hint [aria-live]"), page.get_by_label("Message #incident")
    box.fill("x" * 3_900)
    expect(counter).to_have_text("")
    box.fill("x" * 4_001)
    expect(counter).to_have_text("long: sent as a snippet")
    box.fill("\u00e9" * 14_000)
    expect(counter).to_have_text("28000 of 30000 bytes")
    page.evaluate("stage.model.welcome.long_text = 'reject'")
    box.fill("\u00e9" * 3_900)
    expect(counter).to_have_text("3900 of 4000 characters")


def test_the_box_has_the_focus_once_a_row_is_gone(page: Page) -> None:
    box = page.get_by_label("Message #incident")
    box.fill("a forbidden word")
    box.press("Enter")
    page.get_by_role("button", name="Send anyway").click()
    expect(page.locator(".failed")).to_have_count(0)
    expect(box).to_be_focused()
    row = page.locator("article", has_text="a forbidden word")
    row.hover()
    row.get_by_role("button", name="More").click()
    page.get_by_role("menuitem", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)
    expect(box).to_be_focused()


def test_a_long_line_shows_six_rows_at_every_width(page: Page) -> None:
    page.evaluate("stage.server.arrive('#incident', 'bob', '{key: 1}, '.repeat(40), { kind: 'snippet' })")
    snippet = page.get_by_role("article").last.locator(".snippet")
    expect(snippet.get_by_role("button")).to_have_count(0)
    page.set_viewport_size({"width": 360, "height": 740})
    snippet.get_by_role("button", name="Show all 400 characters").click()
    snippet.get_by_role("button", name="Show less").click()
    assert snippet.locator("pre").evaluate("(pre) => pre.clientHeight < 7.5 * 1.45 * 14")


def test_an_idle_tab_offers_nothing_that_it_cannot_do(page: Page) -> None:
    page.evaluate("stage.model.phase = 'other-tab'; stage.model.touch('state')")
    expect(page.get_by_label("This chat is open in another tab")).to_be_disabled()


def test_an_invite_outlives_reloads_until_it_has_served(pages: StagedPages) -> None:
    code = "A" * 58
    with pages.opened(f"?identity=no#{code}") as page:
        expect(page.get_by_role("alert")).to_contain_text("this is not an invite")
        assert code not in page.url
        page.reload()
        expect(page.get_by_label("Invite")).to_have_value(code)
        page.get_by_label("Invite").fill("GOOD")
        page.get_by_role("button", name="Join").click()
        expect(page.get_by_role("heading", level=1, name="#lobby")).to_be_visible()
        assert page.evaluate("sessionStorage.length") == 0
