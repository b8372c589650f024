"""Every text file is UTF-8, whatever the locale of the program that opens it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [path for package in ("chatd", "chatctl") for path in sorted((ROOT / package).rglob("*.py"))]
# The position of the encoding, and of the mode (None: always text).
OPENERS = {"read_text": (0, None), "write_text": (1, None), "open": (9, 1), "fdopen": (9, 1)}


def in_the_locale(tree: ast.AST) -> Iterator[int]:
    """The lines of calls that leave the encoding to the locale."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        keywords = {keyword.arg for keyword in call.keywords}
        if keywords & {"encoding"}:
            continue
        if keywords & {"text", "universal_newlines"} and "capture_output" in keywords:
            yield call.lineno
        function = call.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if name not in OPENERS:
            continue
        encoding, mode = OPENERS[name]
        modes = [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        opens_text = mode is None or any(set(text) <= set("rwax+t") and text for text in modes)
        if opens_text and len(call.args) <= encoding:
            yield call.lineno


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("path.read_text()", 1), ("path.read_text('utf-8')", 0), ("path.write_text(text)", 1),
        ("path.write_text(text, 'utf-8')", 0), ("open(path, 'w')", 1), ("open(path, 'rb')", 0),
        ("open(path, 'w', encoding='utf-8')", 0), ("os.fdopen(fd, 'w')", 1), ("path.open('r')", 1),
        ("run(c, capture_output=True, text=True)", 1), ("run(c, capture_output=True)", 0),
    ],
)  # fmt: skip
def test_calls_that_depend_on_the_locale_are_found(code: str, found: int) -> None:
    assert len(list(in_the_locale(ast.parse(code)))) == found


@pytest.mark.parametrize("path", SOURCES, ids=[str(path.relative_to(ROOT)) for path in SOURCES])
def test_no_file_is_opened_in_the_encoding_of_the_locale(path: Path) -> None:
    assert not list(in_the_locale(ast.parse(path.read_text("utf-8"))))
