"""The words of docs/glossary.md hold: none that it rules out, no file or class name twice."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
GLOSSARY = ROOT / "docs" / "glossary.md"
# Whole folders behind the names that the table uses for them.
SCOPES = {"code": ("chatd", "chatctl"), "all": ("chatd", "chatctl", "tests", "docs", "*.md")}
# They quote the patterns, or old names on purpose.
UNCHECKED = ("docs/glossary.md", "docs/lab/", "docs/images/", "CHANGELOG.md", "tests/unit/test_glossary.py")
SUFFIXES = {".py", ".md", ".1", ".bash", ".fish", ""}
ENTRY_POINTS = {"__init__.py", "__main__.py", "main.py", "cli.py", "conftest.py"}


class Rule(NamedTuple):
    pattern: str
    scope: str


def rules() -> list[Rule]:
    """The rows of the last table: | `pattern` | scope | what to write |."""
    table = GLOSSARY.read_text("utf-8").rpartition("\n|---|---|---|\n")[2]
    rows = re.findall(r"^\| `(.+?)` \| ([^|]+) \| [^|]+ \|$", table, re.MULTILINE)
    return [Rule(pattern.replace("\\|", "|"), scope) for pattern, scope in rows]


def files(scope: str) -> list[Path]:
    """The text files of a scope such as "code, tests, not chatctl/cli.py"."""
    words = scope.split(", ")
    left_out = UNCHECKED + tuple(word.removeprefix("not ") for word in words if word.startswith("not "))
    places = [place for word in words if not word.startswith("not ") for place in SCOPES.get(word, (word,))]
    found = [
        path
        for place in places
        for path in (ROOT.glob(place) if "*" in place else (ROOT / place).rglob("*"))
        if path.suffix in SUFFIXES and path.is_file()
    ]
    assert found, f"there is nothing in {scope}"
    return [path for path in found if not str(path.relative_to(ROOT)).startswith(left_out)]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.pattern)
def test_a_ruled_out_pattern_is_not_used(rule: Rule) -> None:
    pattern = re.compile(rule.pattern, re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files(rule.scope)
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, "\n".join(found)


def test_every_row_of_the_table_is_a_rule() -> None:
    table = GLOSSARY.read_text("utf-8").rpartition("\n|---|---|---|\n")[2]
    assert len(rules()) == len([line for line in table.splitlines() if line.startswith("|")]) > 0


def test_no_file_name_occurs_twice() -> None:
    names = Counter(
        path.name for folder in ("chatd", "chatctl", "tests") for path in (ROOT / folder).rglob("*.py")
    )
    assert not [name for name, count in names.items() if count > 1 and name not in ENTRY_POINTS]


def test_no_class_name_occurs_twice() -> None:
    names = Counter(
        node.name
        for path in files("code")
        if path.suffix == ".py"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
    )
    assert not [name for name, count in names.items() if count > 1]
