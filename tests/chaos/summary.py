"""Judge a finished trial and summarize it as one JSON object."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.chaos.checker import Verdict, incidents, judge, read_runs
from tests.chaos.journal import Line, read_journal
from tests.chaos.log_chain import read_log

MAX_DETAILS = 20
EVIDENCE_LINES = 25
# A kill must be logged within this time; a suspended supervisor logs it late.
INCIDENT_SECONDS = 20.0


def judge_trial(folder: Path, home: Path) -> Verdict:
    """Judge the journals in ``folder`` and the log in ``home``. The server must be stopped."""
    log = read_log(home / "data", folder / "copy")
    admin = folder / "admin.jsonl"
    verdict = judge(log, read_runs(folder), read_journal(admin) if admin.exists() else ())
    incidents(verdict, read_journal(folder / "faults.jsonl"), server_log(home), INCIDENT_SECONDS)
    return verdict


def evidence(result: dict[str, Any], folder: Path) -> str:
    """Return a trial's result with the ends of its faults and of the server's log files, for a failure."""
    texts = [json.dumps(result, indent=1)]
    for path in [folder / "faults.jsonl", *sorted((folder / "home" / "logs").glob("*.log"))]:
        texts += [f"--- the end of {path.name}", *path.read_text().splitlines()[-EVIDENCE_LINES:]]
    return "\n".join(texts)


def server_log(home: Path) -> Iterator[Line]:
    """Yield the lines of a home's server log."""
    for raw in (home / "logs" / "server.log").read_bytes().splitlines():
        line = json.loads(raw)
        line["wall"] = datetime.fromisoformat(line["at"]).timestamp()
        yield line


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least a ``share`` of the values do not exceed; 0 for no values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)] if ordered else 0.0


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Return count, p50, p99 and max of times in seconds."""
    points = {
        "p50": percentile(values, 0.5),
        "p99": percentile(values, 0.99),
        "max": max(values, default=0.0),
    }
    return {"count": len(values), **{name: round(value, 3) for name, value in points.items()}}


def summary(verdict: Verdict, **more: Any) -> dict[str, Any]:
    """The result as docs/lab/reliability-journal.md records it."""
    kinds = Counter(f"{finding.rule} {finding.kind}" for finding in verdict.findings)
    return {
        "date": time.strftime("%Y-%m-%d"),
        **more,
        **verdict.counts,
        "findings": dict(kinds),
        "first": [finding.detail for finding in verdict.findings[:MAX_DETAILS]],
    }
