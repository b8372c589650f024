"""Posts of GitHub: the events that a room wants to read; others are accepted and not shown.

https://docs.github.com/en/webhooks/webhook-events-and-payloads
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from chatd.gateway.hook_messages import HookMessage, Key, at, digest, line, link, read_json
from chatd.proto.frames import JsonObject

_TITLE_CHARS, _NAME_CHARS, _ID_CHARS = 200, 100, 100
# Commits of a push that are listed.
_COMMITS = 5


def github_messages(headers: Mapping[str, str], body: bytes) -> list[HookMessage]:
    """Return the message of an event; none if it is not shown. Raises BadPostError."""
    post = read_json(body)
    event = headers.get("x-github-event", "")
    describe = _EVENTS.get(event)
    text = "" if describe is None else describe(post)
    if not text:
        return []
    # A delivery that is sent again has the same GUID.
    delivery = line(headers.get("x-github-delivery"), _ID_CHARS) or digest(body)
    opened = _opened(post)
    if opened is not None and post.get("action") == "opened" and event in ("issues", "pull_request"):
        return [HookMessage(opened, text)]
    return [HookMessage(("delivery", delivery), text, answers=opened)]


def _opened(post: JsonObject) -> Key | None:
    """Return the key of the message that told of the issue or pull request of an event."""
    for kind in ("pull_request", "issue"):
        number = at(post, kind, "number")
        if type(number) is int:
            return ("opened", line(at(post, "repository", "full_name"), _NAME_CHARS), str(number))
    return None


def _head(post: JsonObject, what: str) -> str:
    repository = line(at(post, "repository", "full_name"), _NAME_CHARS)
    return f"{repository}: {line(at(post, 'sender', 'login'), _NAME_CHARS)} {what}"


def _with_link(text: str, address: Any) -> str:
    return "\n".join(one for one in (text, link(address)) if one)


def _numbered(kind: str, word: str) -> Callable[[JsonObject], str]:
    """Describe an event of an issue or a pull request."""

    def describe(post: JsonObject) -> str:
        done = line(post.get("action"), 30)
        if done not in ("opened", "closed", "reopened", "ready_for_review"):
            return ""
        merged = done == "closed" and at(post, kind, "merged") is True
        what = f"{'merged' if merged else done.replace('_', ' ')} {word} #{_number(post, kind)}"
        title = line(at(post, kind, "title"), _TITLE_CHARS)
        return _with_link(_head(post, f"{what}: {title}"), at(post, kind, "html_url"))

    return describe


def _number(post: JsonObject, kind: str) -> str:
    return line(at(post, kind, "number"), 20)


def _comment(post: JsonObject) -> str:
    if post.get("action") != "created":
        return ""
    text = line(at(post, "comment", "body"), _TITLE_CHARS)
    return _with_link(
        _head(post, f"commented on #{_number(post, 'issue')}: {text}"), at(post, "comment", "html_url")
    )


def _review(post: JsonObject) -> str:
    if post.get("action") != "submitted":
        return ""
    state = line(at(post, "review", "state"), 30).replace("_", " ")
    head = _head(post, f"reviewed pull request #{_number(post, 'pull_request')}: {state}")
    return _with_link(head, at(post, "review", "html_url"))


def _push(post: JsonObject) -> str:
    commits = post.get("commits")
    commits = commits if isinstance(commits, list) else []
    branch = line(post.get("ref"), _NAME_CHARS).removeprefix("refs/heads/").removeprefix("refs/tags/")
    if not commits:
        return ""
    count = f"{len(commits)} commit{'s' if len(commits) > 1 else ''}"
    lines = [_head(post, f"pushed {count} to {branch}")]
    for one in commits[:_COMMITS]:
        message = at(one, "message")
        first = message.strip().partition("\n")[0] if isinstance(message, str) else ""
        lines.append(f"{line(at(one, 'id'), 40)[:7]} {line(first, _TITLE_CHARS)}".strip())
    return _with_link("\n".join(lines), post.get("compare"))


def _release(post: JsonObject) -> str:
    if post.get("action") != "published":
        return ""
    name = line(at(post, "release", "name") or at(post, "release", "tag_name"), _NAME_CHARS)
    return _with_link(_head(post, f"published {name}"), at(post, "release", "html_url"))


def _workflow(post: JsonObject) -> str:
    conclusion = line(at(post, "workflow_run", "conclusion"), 30)
    if post.get("action") != "completed" or conclusion in ("", "success", "skipped"):
        return ""
    name = line(at(post, "workflow_run", "name"), _NAME_CHARS)
    branch = line(at(post, "workflow_run", "head_branch"), _NAME_CHARS)
    repository = line(at(post, "repository", "full_name"), _NAME_CHARS)
    text = f"{repository}: {name} on {branch}: {conclusion.replace('_', ' ')}"
    return _with_link(text, at(post, "workflow_run", "html_url"))


_EVENTS: Final[dict[str, Callable[[JsonObject], str]]] = {
    "issues": _numbered("issue", "issue"),
    "pull_request": _numbered("pull_request", "pull request"),
    "issue_comment": _comment,
    "pull_request_review": _review,
    "push": _push,
    "release": _release,
    "workflow_run": _workflow,
}
