"""What a person sees of the talk in the browser: rows, markup, folding, replies, drafts, hostile text."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from chatctl.model import markup as native
from chatctl.window.palette import name_number
from chatd.proto.key_words import words_of_key, words_of_pair
from tests.support.staged_page import StagedPages

TEXTS = [
    "plain",
    "**bold** and 2**3**4, f(**a), ** not **, **open",
    "`code` ``not`` `open\n`x`",
    "a\n```\nblock `x` **y**\n```\nb ``` c",
    "see https://a.example/x(y). and (https://b.example/z), https://c.example:8443?q=1!",
    "https://bank.example@evil.example http://xn--e1a.example/ https://\u0435xample.net x.https://no",
    "**bold with `code` and https://d.example/ inside** after",
    "e\u0301`\u0301x` \U0001f468\u200d\U0001f469**\u200d",
    "```a``` ```b\n\nc```",
    "\u6f22\u5b57**\u592a\u5b57**\u6f22\u5b57",
    "",
]
HOSTILE = [
    "<script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\">",
    "javascript:alert(1) data:text/html,<script>1</script>",
    "\u202egnp.exe\u202c and \u2066x\u2069",
    "W" * 600,
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466" * 50,
    "a" + "\u0301" * 200,
]


@pytest.fixture(scope="module")
def page(pages: StagedPages) -> Iterator[Page]:
    with pages.opened() as page:
        page.evaluate("stage.model.enter('#incident')")
        expect(page.get_by_role("article").last).to_contain_text("replica 1 has caught up")
        yield page


def _say(page: Page, body: str, user: str = "bob", room: str = "#incident") -> None:
    page.evaluate("([room, user, body]) => stage.server.arrive(room, user, body)", [room, user, body])


def test_markup_is_that_of_the_native_clients(page: Page) -> None:
    for text in TEXTS:
        found = page.evaluate("text => stage.markup.spans(text).map((one) => [one.text, one.looks])", text)
        assert [(one, tuple(looks)) for one, looks in found] == [tuple(span) for span in native.spans(text)]


def test_names_have_the_colours_of_the_desktop_window(page: Page) -> None:
    for name in ("alice", "bob", "carol", "john.doe", "x"):
        assert page.evaluate("name => stage.avatar.nameClass(name)", name) == f"n{name_number(name)}"
    assert page.evaluate("stage.avatar.initials('john.doe')") == "JD"


@pytest.mark.parametrize(
    ("typed", "loss"),
    [("/leave", "Nobody owns it then."), ("/leave @alice,bob,carol", "your own messages included")],
    ids=["room", "group"],
)
def test_leaving_first_says_what_joining_again_does_not_bring_back(page: Page, typed: str, loss: str) -> None:
    page.get_by_label("Message #incident").fill(typed)
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text(loss)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_words_are_those_of_the_other_clients(page: Page) -> None:
    assert page.evaluate("stage.words.keyWords('ab'.repeat(32))") == words_of_key("ab" * 32)
    page.get_by_label("Message #incident").fill("/verify bob")
    page.keyboard.press("Enter")
    pair = words_of_pair("cd" * 32, ("alice", ["ab" * 32]), ("bob", ["ef" * 32]))
    expect(page.get_by_role("dialog")).to_contain_text(pair)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_rows_show_snippets_quotes_edits_and_reactions(page: Page) -> None:
    snippet = page.locator(".snippet")
    expect(snippet).to_contain_text("replica is 19 s behind")
    expect(snippet).not_to_contain_text("08:05:10")
    page.get_by_role("button", name="24 more lines").click()
    expect(snippet).to_contain_text("08:05:10")
    page.get_by_role("button", name="Show less").click()
    expect(page.locator("article", has_text="starting the failover now")).to_contain_text("(edited)")
    quote = page.get_by_role("button", name="In answer to alice: db1 has been swapping").first
    expect(quote).to_be_visible()
    expect(page.get_by_role("button", name="+1, 3, yours too")).to_have_attribute("aria-pressed", "true")
    link = page.get_by_role("link", name="https://wiki.example.net/db1")
    assert link.get_attribute("href") == "https://wiki.example.net/db1"
    assert "noopener" in (link.get_attribute("rel") or "")


def test_hostile_text_stays_text_and_within_the_page(page: Page) -> None:
    page.get_by_role("log").evaluate("(talk) => { talk.scrollTop = talk.scrollHeight; }")
    expect(page.locator(".jump")).to_be_hidden()
    for body in HOSTILE:
        _say(page, body, "eve")
    expect(page.get_by_role("article").last).to_contain_text("a\u0301")
    for shown in ("<script>document.title = 'owned'</script>", "\\u202egnp.exe\\u202c and"):
        expect(page.locator("article", has_text=shown)).to_be_visible()
    assert page.locator("article script, article img").count() == 0
    assert "owned" not in page.title()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("(t => t.scrollWidth <= t.clientWidth)(document.querySelector('.timeline'))")


def test_a_message_goes_from_the_box_into_the_talk(page: Page) -> None:
    box = page.get_by_label("Message #incident")
    box.fill("first line")
    box.press("Shift+Enter")
    box.press_sequentially("second line")
    assert box.input_value() == "first line\nsecond line"
    box.press("Enter")
    expect(page.get_by_role("article").last).to_contain_text("second line")
    expect(box).to_have_value("")
    box.press("ArrowUp")
    expect(box).to_have_value("first line\nsecond line")
    box.fill("another line")
    box.press("Enter")
    expect(page.get_by_role("article").last).to_contain_text("another line (edited)")


def test_a_filter_refusal_offers_to_send_anyway(page: Page) -> None:
    box = page.get_by_label("Message #incident")
    box.fill("a forbidden word")
    box.press("Enter")
    row = page.locator("article", has_text="a forbidden word")
    expect(row).to_contain_text("Not sent")
    row.get_by_role("button", name="Send anyway").click()
    expect(page.get_by_role("article").last).to_contain_text("a forbidden word")
    expect(page.locator(".failed")).to_have_count(0)


def test_say_sends_anyway_and_is_no_text(page: Page) -> None:
    box = page.get_by_label("Message #incident")
    box.fill("/say! another forbidden word")
    box.press("Enter")
    expect(page.get_by_role("article").last).to_contain_text("another forbidden word")
    expect(page.get_by_role("article").last).not_to_contain_text("/say!")


def test_a_reply_quotes_and_a_deleted_message_is_said_so(page: Page) -> None:
    _say(page, "which replica?")
    row = page.locator("article", has_text="which replica?").first
    row.hover()
    row.get_by_role("button", name="Reply").click()
    expect(page.locator(".about")).to_contain_text("Reply to bob: which replica?")
    page.keyboard.type("the second one")
    page.keyboard.press("Enter")
    answer = page.locator("article", has_text="the second one")
    expect(answer.get_by_role("button", name="In answer to bob: which replica?")).to_be_visible()
    answer.hover()
    answer.get_by_role("button", name="More").click()
    page.get_by_role("menuitem", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator(".event").last).to_contain_text("alice deleted a message")
    expect(answer).to_have_count(0)


def test_drafts_stay_with_their_room(page: Page) -> None:
    page.get_by_label("Message #incident").fill("not yet")
    page.get_by_role("button", name="lobby").click()
    expect(page.get_by_label("Message #lobby")).to_have_value("")
    incident = page.get_by_role("button", name="incident").first
    expect(incident).to_contain_text("draft")
    incident.click()
    expect(page.get_by_label("Message #incident")).to_have_value("not yet")
    page.get_by_label("Message #incident").fill("")


def test_pasted_lines_become_a_snippet(page: Page) -> None:
    box = page.get_by_label("Message #incident")
    box.focus()
    page.evaluate(
        """() => {
          const data = new DataTransfer();
          data.setData("text/plain", "one\\ntwo\\nthree");
          const paste = new ClipboardEvent("paste", { clipboardData: data, bubbles: true });
          document.activeElement.dispatchEvent(paste);
          document.activeElement.value = "one\\ntwo\\nthree";
        }"""
    )
    expect(page.locator(".about")).to_contain_text("snippet")
    box.press("Enter")
    expect(page.get_by_role("article").last.locator(".snippet")).to_contain_text("three")


def test_what_arrives_is_read_aloud_and_counted(page: Page) -> None:
    page.evaluate("stage.model.looking = true")
    _say(page, "read this aloud")
    expect(page.locator("[aria-live=polite].unseen")).to_contain_text("bob: read this aloud")
    _say(page, "alice: look here", "carol", "#random")
    random = page.get_by_role("button", name="random, 1 unread, 1 for you")
    expect(random).to_be_visible()
    assert page.title().startswith("(1) #incident")
    random.click()
    expect(page.get_by_role("separator", name="New messages")).to_be_visible()
    page.get_by_role("button", name="incident").first.click()
