"""The admin page: shown by permission, every act asks first and passes the requests of chatctl."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.support.staged_page import StagedPages


@pytest.fixture(scope="module")
def page(pages: StagedPages) -> Iterator[Page]:
    with pages.opened("#admin") as page:
        expect(page.get_by_role("tab", name="Overview")).to_be_visible()
        yield page


def _asked(page: Page, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.evaluate(
        "kind => stage.server.requests.filter((one) => one.kind === kind)", kind
    )
    return [{key: value for key, value in one.items() if value is not None} for one in found]


def _tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()
    expect(page.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true")


def test_figures_are_drawn_and_told(page: Page) -> None:
    _tab(page, "Overview")
    expect(page.get_by_role("img", name="Messages accepted")).to_be_visible()
    expect(page.get_by_role("img", name="Latency of a ping")).to_be_visible()
    expect(page.get_by_role("row", name="worker-2 running")).to_be_visible()
    assert page.locator(".plot").count() == 6


CLUSTER = {
    "node": "a", "role": "leader", "leader": "a", "epoch": 3, "isolated": False, "quorum": True,
    "chain_equal": True, "copies": 2, "void_messages": 0, "claims_per_hour": 1,
    "append_ms": {"p50": 2.5, "p99": 9.1}, "stream": {"last": 7, "messages": 7, "bytes": 1024, "age": 9},
    "members": [
        {"node": "a", "answers": True, "leads": True, "head": 9, "behind": 0, "behind_seconds": 0}
        | {"skew": 0, "version": "1.0", "stream_current": True},
        {"node": "b", "answers": True, "leads": False, "head": 7, "behind": 2, "behind_seconds": 11}
        | {"skew": 3.5, "version": "1.1", "stream_current": False},
        {"node": "c", "answers": False, "leads": False, "head": 1, "behind": 8, "behind_seconds": 60}
        | {"skew": 0, "version": "", "stream_current": None},
    ],
}  # fmt: skip


def test_a_cluster_shows_its_nodes_and_what_is_wrong(page: Page) -> None:
    _tab(page, "Overview")
    expect(page.get_by_role("heading", name="Cluster")).to_have_count(0)
    page.evaluate("cluster => { stage.server.cluster = cluster; }", CLUSTER)
    expect(page.get_by_role("table", name="Nodes")).to_contain_text("2 for 11 s")
    for problem in (
        "Node c is silent",
        "Node b has been 2 events behind for 11 s",
        "The clock of node b differs by 3.5 s",
        "The versions differ: 1.0, 1.1",
        "The NATS server of node b is behind",
    ):
        expect(page.get_by_role("alert").filter(has_text=problem)).to_be_visible()
    page.evaluate("() => { stage.server.cluster = undefined; }")
    expect(page.get_by_role("heading", name="Cluster")).to_have_count(0)


def test_a_ban_shows_whom_it_hits_and_asks(page: Page) -> None:
    _tab(page, "People")
    page.get_by_role("button", name="Actions for bob").click()
    page.get_by_role("menuitem", name="Ban").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("It ends 1 session.")
    assert _asked(page, "ban") == [{"kind": "ban", "user": "bob", "dry_run": True}]
    dialog.get_by_label("For how long").fill("soon")
    dialog.get_by_role("button", name="Ban", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("write 30m, 2h or 7d")
    dialog.get_by_label("For how long").fill("2h")
    dialog.get_by_label("Reason").fill("spam")
    dialog.get_by_role("button", name="Ban", exact=True).click()
    expect(page.get_by_role("status").first).to_contain_text("bob is banned for 2 h.")
    assert _asked(page, "ban")[1:] == [{"kind": "ban", "user": "bob", "seconds": 7200, "reason": "spam"}]


def test_cancelling_changes_nothing(page: Page) -> None:
    _tab(page, "People")
    page.get_by_role("button", name="Actions for carol").click()
    page.get_by_role("menuitem", name="Revoke laptop").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert _asked(page, "revoke") == [
        {"kind": "revoke", "user": "carol", "device": "laptop", "dry_run": True}
    ]


def test_an_invite_is_shown_once_as_link_and_line(page: Page) -> None:
    _tab(page, "People")
    page.get_by_role("button", name="Invite someone").click()
    page.get_by_role("dialog").get_by_label("Name").fill("gina")
    page.get_by_role("dialog").get_by_role("button", name="Make the invite").click()
    expect(page.get_by_role("dialog")).to_contain_text("https://127.0.0.1:5443/#0ABC-DEF")
    page.keyboard.press("Escape")


def test_what_waits_is_decided_after_a_question(page: Page) -> None:
    _tab(page, "Waiting")
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_role("dialog")).to_contain_text("the casino door is open again")
    page.get_by_role("dialog").get_by_role("button", name="Publish").click()
    expect(page.get_by_role("status").first).to_contain_text("The message of eve is published.")
    page.get_by_role("button", name="Let in").click()
    expect(page.get_by_role("dialog")).to_contain_text("tiger opulent aardvark")
    page.get_by_role("dialog").get_by_role("button", name="let in").click()
    expect(page.get_by_role("status").first).to_contain_text("frank is let in.")
    assert _asked(page, "ask_approve") == [{"kind": "ask_approve", "ask": "aa" * 32}]


def test_a_mute_is_shown_and_ended_where_it_holds(page: Page) -> None:
    _tab(page, "Bans")
    row = page.get_by_role("row", name="eve")
    expect(row).to_contain_text("somebody ends it")
    row.get_by_role("button", name="End").click()
    expect(page.get_by_role("dialog")).to_contain_text("End the mute of eve in #lobby?")
    page.get_by_role("dialog").get_by_role("button", name="End the mute").click()
    expect(page.get_by_role("status").first).to_contain_text("eve may write again.")
    assert [(one["user"], one["room"]) for one in _asked(page, "unmute")] == [("eve", "#lobby")]


def test_a_refused_act_stays_open_and_says_what_to_do(page: Page) -> None:
    _tab(page, "Bans")
    page.evaluate(
        """stage.server.refuse.unban =
          Object.assign(new Error("no"), { code: "E300", reason: "not permitted", fix: "ask an admin" })"""
    )
    page.get_by_role("row", name="mallory").get_by_role("button", name="End").click()
    page.get_by_role("dialog").get_by_role("button", name="End the ban").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_have_text(
        "not permitted (E300). To do: ask an admin."
    )
    page.keyboard.press("Escape")


def test_certificates_are_sorted_by_expiry_and_the_audit_is_filtered(page: Page) -> None:
    _tab(page, "Certificates")
    expect(page.get_by_role("rowheader").first).to_have_text("bob/laptop")
    _tab(page, "Audit")
    page.get_by_label("Kind, such as banned").fill("banned")
    page.keyboard.press("Enter")
    expect(page.get_by_role("row", name="banned mallory")).to_be_visible()
    assert _asked(page, "audit")[-1] == {"kind": "audit", "event": "banned", "limit": 50}


def test_only_what_the_role_may_is_shown(pages: StagedPages) -> None:
    with pages.opened("?role=user&permissions=message.read,message.send") as page:
        page.get_by_role("button", name="alice, user on lab: menu").click()
        expect(page.get_by_role("menuitem", name="Your devices")).to_be_visible()
        expect(page.get_by_role("menuitem", name="Server")).to_have_count(0)
        page.keyboard.press("Escape")
        page.evaluate("location.hash = 'admin'")
        expect(page.get_by_role("tabpanel")).to_contain_text("Your role has nothing to do here.")
        assert page.get_by_role("tab").count() == 0
    with pages.opened("?role=guard&permissions=message.read,moderate.ban#admin") as page:
        expect(page.get_by_role("tab")).to_have_text(["Bans"])
