"""The themes of the line client."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

import chatctl
from chatctl.chat import cli
from chatctl.model import markup
from chatctl.terminal.themes import DEFAULT_THEME, THEMES, style_of

SOURCES = Path(chatctl.__file__).parent


def test_the_option_offers_all_themes() -> None:
    (option,) = (one for one in cli.params if one.name == "theme")
    assert isinstance(option.type, click.Choice)
    assert (list(option.type.choices), option.default) == (list(THEMES), DEFAULT_THEME)


@pytest.mark.parametrize("theme", THEMES)
def test_a_theme_is_a_valid_style(theme: str) -> None:
    assert style_of(theme).style_rules


def test_every_used_class_has_a_style() -> None:
    used = {name for path in SOURCES.rglob("*.py") for name in re.findall(r'"class:(\w+)"', path.read_text())}
    used |= {markup.CODE, markup.CODE_BLOCK, markup.LINK, markup.STRONG}
    assert used <= THEMES["dark"].keys() == THEMES["light"].keys()


def test_the_plain_theme_has_no_colours() -> None:
    assert not [look for look in THEMES["plain"].values() if re.search(r"#|ansi", look)]
