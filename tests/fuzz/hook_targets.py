"""Targets for the posts of hooks."""

from __future__ import annotations

import json
from collections.abc import Iterator

from chatd.gateway.hook_kinds import READERS
from chatd.gateway.hook_messages import MESSAGES_LIMIT, TEXT_CHARS, BadPostError, message_id
from tests.support.hook_senders import alert, alert_post

_EVENTS = (
    *("issues", "pull_request", "issue_comment", "pull_request_review", "push", "release"),
    *("workflow_run", "ping"),
)


def post_seeds() -> Iterator[bytes]:
    """Yield posts of each kind; the first byte chooses GitHub's event."""
    issue = {"action": "opened", "issue": {"number": 7, "title": "x", "html_url": "https://a"}}
    pull = {"action": "closed", "pull_request": {"number": 7, "merged": True, "title": "x"}}
    push = {"ref": "refs/heads/x", "commits": [{"id": "0" * 40, "message": "m\n"}], "compare": "https://a"}
    run = {"action": "completed", "workflow_run": {"name": "CI", "conclusion": "failure"}}
    slack = {"text": "&lt;", "attachments": [{"title": "t"}], "blocks": [{"text": {"text": "b"}}]}
    bodies = [alert_post(alert(values={"A": 1.5})), alert_post(alert(status="resolved", fingerprint=None))]
    bodies += [json.dumps(post).encode() for post in (issue, pull, push, run, slack)]
    for number, body in enumerate(bodies):
        yield bytes([number]) + body
    yield b"\x04payload=%7B%22text%22%3A%22hi%22%7D"


def hook_posts(data: bytes) -> None:
    """Each reader refuses a post with BadPostError, or makes bounded messages with bounded keys."""
    headers = {
        "x-github-event": _EVENTS[data[0] % len(_EVENTS)] if data else "",
        "content-type": "application/x-www-form-urlencoded" if data[:1] == b"\x04" else "application/json",
    }
    for read in READERS.values():
        try:
            messages = read(headers, data[1:])
        except BadPostError as error:
            assert len(str(error)) < 300
            continue
        assert len(messages) <= MESSAGES_LIMIT
        for one in messages:
            assert len(one.text) <= TEXT_CHARS
            assert len(message_id("bot", 1, one.key)) == 32
            one.text.encode()
