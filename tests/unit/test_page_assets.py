"""The page: the colours of the desktop window, whose contrast is tested; its modules; its policy."""

from __future__ import annotations

from importlib import resources

from chatctl.window.palette import DARK, LIGHT
from chatd.gateway.page_files import POLICY
from tests.support import page_server
from tests.tools import preloads

STYLE = (resources.files("chatd.gateway") / "page" / "app" / "base.css").read_text()
SHARED = (
    *("page", "panel", "field", "line", "edge", "hover", "soft", "on_soft", "text", "quiet", "accent"),
    *("accent_hover", "on_accent", "good", "warn", "bad", "mention", "code"),
)


def test_the_colours_are_those_of_the_desktop_window() -> None:
    for name in SHARED:
        pair = f"light-dark({getattr(LIGHT, name)}, {getattr(DARK, name)})"
        assert f"--{name.replace('_', '-')}: {pair};" in STYLE
    for number, both in enumerate(zip(LIGHT.names, DARK.names, strict=True)):
        assert f".n{number} {{ --name: light-dark({', '.join(both)}); }}" in STYLE


def test_pages_are_tested_under_the_policy_that_the_gateway_sends() -> None:
    assert page_server.POLICY == POLICY


def test_the_page_lists_the_modules_of_its_first_view() -> None:
    message = "run python -m tests.tools.preloads"
    assert preloads.INDEX.read_text("utf-8") == preloads.index_text(), message
