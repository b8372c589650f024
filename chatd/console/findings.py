"""What a check finds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from chatd.console import output

# Where the text of a line begins.
_TEXT_COLUMN = 16


class Finding(NamedTuple):
    """One line of the report; ``level`` is ok, warn or fail."""

    level: str
    area: str
    text: str
    code: str = ""
    fix: str = ""


def report(findings: Iterable[Finding], *, as_json: bool) -> int:
    """Print findings, and return the exit code: 0, 7 for warnings only, 1 for a problem."""
    found = []
    for finding in findings:
        found.append(finding)
        if not as_json:
            fix = f"   {finding.code}   fix: {finding.fix}" if finding.code else ""
            output.lines(f"{finding.level:<5} {finding.area:<9} {finding.text}{fix}", _TEXT_COLUMN)
    if as_json:
        output.json_document({"findings": [finding._asdict() for finding in found]})
    levels = {finding.level for finding in found}
    return output.FAILED if "fail" in levels else output.WARNINGS if "warn" in levels else output.OK
