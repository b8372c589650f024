"""Posts of each kind, as their documentation shows them and as nobody should send them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatd.gateway.alert_posts import alert_messages
from chatd.gateway.github_posts import github_messages
from chatd.gateway.hook_kinds import READERS
from chatd.gateway.hook_messages import MESSAGES_LIMIT, TEXT_CHARS, BadPostError, message_id
from chatd.gateway.plain_posts import slack_messages, text_messages
from tests.support.hook_senders import alert, alert_post

# https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/
GRAFANA: dict[str, Any] = {
    "receiver": "My Super Webhook",
    "status": "firing",
    "orgId": 1,
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "High memory usage", "team": "blue", "zone": "us-1"},
            "annotations": {
                "description": "The system has high memory usage",
                "runbook_url": "https://myrunbook.com/runbook/1234",
                "summary": "This alert was triggered for zone us-1",
            },
            "startsAt": "2021-10-12T09:51:03.157076+02:00",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "https://play.grafana.org/alerting/1afz29v7z/edit",
            "fingerprint": "c6eadffa33fcdf37",
            "silenceURL": "https://play.grafana.org/alerting/silence/new",
            "dashboardURL": "",
            "panelURL": "",
            "values": {"B": 44.23943737541908, "C": 1},
        }
    ],
    "title": "[FIRING:2]  (blue)",
    "state": "alerting",
    "message": "**Firing**",
}
# https://docs.github.com/en/webhooks/webhook-events-and-payloads
REPOSITORY = {"full_name": "octo/hello"}
SENDER = {"login": "octocat"}
HOSTILE_BODIES = {
    "deep": b'{"alerts":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "no JSON": b"{",
    "no object": b"[]",
    "binary": b"\xff\xfe\x00",
    "empty": b"",
    "alerts of another type": b'{"alerts": {"a": 1}}',
    "an alert of another type": b'{"alerts": [7]}',
    "no status": b'{"alerts": [{"labels": {}}]}',
    "a status of another type": b'{"alerts": [{"status": ["firing"]}]}',
    "too many": json.dumps({"alerts": [alert()] * (MESSAGES_LIMIT + 1)}).encode(),
}


def test_an_alert_has_one_key_and_its_end_answers_it() -> None:
    (firing,) = alert_messages(alert_post(alert()))
    (again,) = alert_messages(alert_post(alert(annotations={"summary": "worse"}, endsAt="x")))
    (resolved,) = alert_messages(alert_post(alert(status="resolved")))
    (later,) = alert_messages(alert_post(alert(start="2026-02-01T00:00:00Z")))
    assert firing.key == again.key and firing.answers is None
    assert resolved.answers == firing.key != resolved.key
    assert later.key not in (firing.key, resolved.key)


def test_an_alert_without_a_fingerprint_is_known_by_its_labels() -> None:
    (one,) = alert_messages(alert_post(alert(fingerprint=None)))
    (same,) = alert_messages(alert_post(alert(fingerprint=None)))
    (other,) = alert_messages(alert_post(alert(2, fingerprint=None)))
    assert one.key == same.key != other.key


def test_grafanas_own_example() -> None:
    (one,) = alert_messages(json.dumps(GRAFANA).encode())
    assert one.text == (
        "FIRING: High memory usage This alert was triggered for zone us-1\n"
        "team=blue zone=us-1 B=44.2394 C=1\n"
        "https://play.grafana.org/alerting/1afz29v7z/edit"
    )


def test_hooks_with_one_name_after_each_other_have_other_ids() -> None:
    (one,) = alert_messages(alert_post(alert()))
    assert message_id("bot", 7, one.key) == message_id("bot", 7, one.key)
    assert len({message_id(*who, one.key) for who in (("bot", 7), ("bot", 8), ("other", 7))}) == 3
    assert message_id("a", 1, ("b", "c")) != message_id("a", 1, ("b,c",))


@pytest.mark.parametrize("name", HOSTILE_BODIES)
def test_a_body_that_is_no_post_of_alerts_is_refused(name: str) -> None:
    with pytest.raises(BadPostError):
        alert_messages(HOSTILE_BODIES[name])


@pytest.mark.parametrize(
    "fields",
    [
        {"labels": 7, "annotations": [], "startsAt": {}, "generatorURL": 5, "values": "x"},
        {"labels": {"alertname": ["x"], "severity": {}}, "values": {"A": "x", "B": None, "C": True}},
        {"labels": {f"l{number}": "x" * 10_000 for number in range(200)}},
        {"annotations": {"summary": "x" * 100_000 + "\n" * 1000}, "surplus": {"a": [1]}},
        {"labels": {"alertname": "\x1b[31m\u202e@everyone\r\n" * 50}},
        {"generatorURL": "javascript:alert(1)", "panelURL": "https://a b", "dashboardURL": "https://\u202e"},
    ],
    ids=["types", "nested types", "many labels", "long", "controls", "links"],
)
def test_fields_of_an_alert_are_bounded_and_of_one_line(fields: dict[str, Any]) -> None:
    (one,) = alert_messages(alert_post(alert(**fields)))
    assert len(one.text) < 1200 and len(one.text.splitlines()) <= 3
    assert "javascript" not in one.text and "https://a b" not in one.text
    assert all(len(part) <= 100 for part in one.key)


@pytest.mark.parametrize(
    ("event", "post", "text"),
    [
        (
            "push",
            {
                "ref": "refs/heads/main",
                "compare": "https://github.com/octo/hello/compare/a...b",
                "commits": [{"id": "0123456789abcdef", "message": "Fix it\n\nlong"}],
            },
            "octo/hello: octocat pushed 1 commit to main\n0123456 Fix it\n"
            "https://github.com/octo/hello/compare/a...b",
        ),
        (
            "pull_request",
            {"action": "closed", "pull_request": {"number": 2, "title": "Update", "merged": True}},
            "octo/hello: octocat merged pull request #2: Update",
        ),
        (
            "issue_comment",
            {"action": "created", "issue": {"number": 3}, "comment": {"body": "me\ntoo"}},
            "octo/hello: octocat commented on #3: me too",
        ),
        (
            "pull_request_review",
            {"action": "submitted", "pull_request": {"number": 2}, "review": {"state": "changes_requested"}},
            "octo/hello: octocat reviewed pull request #2: changes requested",
        ),
        (
            "release",
            {"action": "published", "release": {"tag_name": "v1"}},
            "octo/hello: octocat published v1",
        ),
        (
            "workflow_run",
            {
                "action": "completed",
                "workflow_run": {"name": "CI", "head_branch": "main", "conclusion": "failure"},
            },
            "octo/hello: CI on main: failure",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_events_of_github(event: str, post: dict[str, Any], text: str) -> None:
    body = json.dumps({"repository": REPOSITORY, "sender": SENDER} | post).encode()
    (one,) = github_messages({"x-github-event": event, "x-github-delivery": "guid"}, body)
    assert one.text == text and one.key == ("delivery", "guid")


def test_events_about_an_issue_answer_its_opening() -> None:
    issue = {"number": 7, "title": "broken"}
    posts = [
        ("issues", {"action": "opened", "issue": issue}),
        ("issue_comment", {"action": "created", "issue": issue, "comment": {"body": "x"}}),
        ("issues", {"action": "closed", "issue": issue}),
    ]
    opened, comment, closed = (
        github_messages({"x-github-event": event}, json.dumps({"repository": REPOSITORY} | post).encode())[0]
        for event, post in posts
    )
    assert comment.answers == closed.answers == opened.key


@pytest.mark.parametrize(
    ("event", "post"),
    [
        ("ping", {"zen": "x"}),
        ("star", {"action": "created"}),
        ("push", {"commits": []}),
        ("push", {"commits": {"a": 1}}),
        ("workflow_run", {"action": "completed", "workflow_run": {"conclusion": "success"}}),
        ("issues", {"action": ["opened"], "issue": {"number": "x"}}),
        ("", {}),
    ],
    ids=["ping", "star", "a deleted branch", "wrong type", "success", "wrong types", "no event"],
)
def test_what_is_not_shown_of_github(event: str, post: dict[str, Any]) -> None:
    assert github_messages({"x-github-event": event}, json.dumps(post).encode()) == []


def test_shapes_of_slack() -> None:
    post = {
        "text": "deploy &lt;1&gt; &amp;lt;",
        "attachments": [{"title": "a", "text": "b"}, {"fallback": "c"}, 7],
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": "d"}, "fields": [{"text": "e"}]},
            {"type": "divider"},
        ],
    }
    (one,) = slack_messages({}, json.dumps(post).encode())
    assert one.text == "deploy <1> &lt;\na\nb\nc\nd\ne"
    form = {"content-type": "application/x-www-form-urlencoded"}
    (other,) = slack_messages(form, b"payload=%7B%22text%22%3A%22hi%22%7D")
    (sent_by_curl,) = slack_messages(form, b' {"text": "hi"}')
    assert sent_by_curl.text == other.text
    assert other.text == "hi"
    for body in (b"text=hi", b"&" * 1000):
        with pytest.raises(BadPostError):
            slack_messages(form, body)


def test_a_plain_text_is_new_unless_its_sender_names_it() -> None:
    first, second = (text_messages({}, b" hello\n")[0] for _ in range(2))
    assert first.text == "hello" and first.key != second.key
    named = {"idempotency-key": "build-7"}
    assert text_messages(named, b"a")[0].key == text_messages(named, b"b")[0].key
    assert len(text_messages({}, b"x" * 100_000)[0].text) <= TEXT_CHARS


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("name", HOSTILE_BODIES)
def test_no_reader_fails_otherwise(kind: str, name: str) -> None:
    try:
        messages = READERS[kind]({"x-github-event": "push"}, HOSTILE_BODIES[name])
    except BadPostError:
        return
    assert all(len(one.text) <= TEXT_CHARS for one in messages)
