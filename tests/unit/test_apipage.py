"""docs/api.md: made from the code, complete, and no wider than other documents."""

from __future__ import annotations

import chatctl.client
from tests.tools.apipage import COLUMNS, PAGE, generated


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == generated(), "run: python -m tests.tools.apipage"


def test_the_page_names_everything_exported() -> None:
    page = generated()
    assert [name for name in chatctl.client.__all__ if name not in page] == []


def test_no_line_is_too_wide() -> None:
    assert [line for line in generated().splitlines() if len(line) > COLUMNS] == []
