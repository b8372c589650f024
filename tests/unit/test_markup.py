"""Code, bold words and links in a message, and how the clients show them."""

from __future__ import annotations

import pytest

from chatctl.model.markup import Span, spans
from chatctl.model.render import Viewer, plain, render
from chatd.proto.events import Message

CASES: list[tuple[str, list[tuple[str, str]]]] = [
    ("use `rm -rf` **now**", [("`rm -rf`", "code"), ("**now**", "strong")]),
    ("see (https://x.example/a_(b)).", [("https://x.example/a_(b)", "link")]),
    ("https://x.example:8443/?q=1#top, and", [("https://x.example:8443/?q=1#top", "link")]),
    ("https://x.example: it works", [("https://x.example", "link")]),
    ("```a\nb```", [("```a\nb```", "codeblock")]),
    ("`https://x.example **a**`", [("`https://x.example **a**`", "code")]),
    ("**a `b`**", [("**a ", "strong"), ("`b`", "strong code"), ("**", "strong")]),
    ("\u8fd9\u662f**\u7c97**\u6587", [("**\u7c97**", "strong")]),
    ("`a\nb` **a\nb** ```a", []),
    ("2**3**4 f(**a, **b) ** a **", []),
    ("`` `` ****", []),
    ("https://bank.example@evil.example", []),
    ("https://bank.example:80@evil.example https://b\u0430nk.example", []),
    ("javascript:alert(1) file:///etc/passwd xhttps://x.example", []),
    ("`a`\u0301 **b**\u0301", []),
    ("", []),
]


@pytest.mark.parametrize(("text", "marked"), CASES)
def test_what_is_marked_up(text: str, marked: list[tuple[str, str]]) -> None:
    assert [(one.text, " ".join(one.looks)) for one in spans(text) if one.looks] == marked


def message(body: str, kind: str = "text") -> Message:
    fields = {"device": "x", "role": "user", "msg_id": "0" * 32, "kind": kind, "room": "#war"}
    return Message.model_validate(
        {"type": "message", "seq": 7, "at": 7, "user": "bob", "body": body} | fields
    )


@pytest.mark.parametrize("kind", ["text", "action"])
def test_the_line_client_styles_what_is_marked_up(kind: str) -> None:
    lines = render(message("**alice**: `ls` at https://x.example", kind), Viewer("alice", "#war"))
    styled = {text: style for style, text in lines[0]}
    assert styled["**alice**"] == "class:mention class:strong"
    assert styled["`ls`"] == "class:mention class:code"
    assert styled["https://x.example"] == "class:mention class:link"
    assert plain(lines).endswith("**alice**: `ls` at https://x.example")


def test_a_block_of_code_keeps_its_lines() -> None:
    lines = render(message("see ```a\n  b```"), Viewer("alice", "#war"))
    assert lines[0][-1] == ("class:codeblock", "```a")
    assert lines[1] == [("", "    "), ("class:codeblock", "  b```")]


def test_a_snippet_is_not_marked_up() -> None:
    lines = render(message("a **b** `c`\nd", "snippet"), Viewer("alice", "#war"))
    assert lines[0][-1] == ("", "a **b** `c`")


def test_no_text_is_one_empty_span() -> None:
    assert spans("") == [Span("")]
