"""The report: medians over the valid trials, and ratios to the best peer."""

from __future__ import annotations

from statistics import median
from typing import Any

Json = dict[str, Any]

# A trial is valid if the calibration loops around it took at most this many times the run's median. The
# fastest loop is no reference: shared machines have rare moments of exceptional speed.
SLOWED_TOLERANCE = 1.15
# The chat servers in C, C++ and Go that chatd is compared with.
PEERS = ("ngircd", "inspircd", "ergo")


def medians(rows: list[Json]) -> dict[tuple[str, str], Json]:
    """The medians of each (shape, server)."""
    groups: dict[tuple[str, str], list[Json]] = {}
    for row in valid_trials(rows):
        groups.setdefault((row["shape"], row["server"]), []).append(row)
    return {key: _medians(group) for key, group in groups.items()}


def valid_trials(rows: list[Json]) -> list[Json]:
    """The trials that neither failed nor were slowed by other load on the machine."""
    done = [row for row in rows if "error" not in row]
    typical = median(row["slowed"] for row in done) if done else 1.0
    return [row for row in done if row["slowed"] <= typical * SLOWED_TOLERANCE]


def _medians(group: list[Json]) -> Json:
    fixed = [row["fixed"] for row in group]
    flat = [row["flat"] for row in group if "flat" in row]
    result: Json = {
        "rounds": len(group),
        "us": median(f["us"] for f in fixed),
        "p50": median(f["ages"][3] for f in fixed),
        "p99": median(f["ages"][7] for f in fixed),
        "max": max(f["ages"][-1] for f in fixed),
        "ages": [median(f["ages"][i] for f in fixed) for i in range(len(fixed[0]["ages"]))],
        "connect_ms": median(row["connect_ms"] for row in group),
        "idle_kb": median(row["idle_kb"] for row in group),
        "lost": sum(f["lost"] for f in fixed + flat),
        "doubled": sum(f["doubled"] for f in fixed + flat),
        "generator": max(f["receiver_busy"] for f in fixed),
    }
    if flat:
        result |= {
            "flat": median(f["per_second"] for f in flat),
            "flat_us": median(f["us"] for f in flat),
            "flat_generator": max(f["receiver_busy"] for f in flat),
            "limited": any(f["generator_limits"] for f in flat),
        }
    return result


def report_text(result: Json) -> str:
    """Format the report as Markdown."""
    machine, rows = result["machine"], result["rows"]
    found = medians(rows)
    failed = [f"{row['server']} at {row['shape']}: {row['error']}" for row in rows if "error" in row]
    slowed = len(rows) - len(failed) - len(valid_trials(rows))
    lines = [
        f"{machine['date']}, {machine['cpus']} CPUs ({machine['model']}), kernel {machine['kernel']}, "
        f"Python {machine['python']}; {len(rows)} trials, {slowed} rejected because the machine was slow.",
        "",
    ]
    lines += [f"failed: {line}" for line in failed]
    for shape in dict.fromkeys(row["shape"] for row in rows):
        lines += ["", f"### {shape if 'rooms' in shape else f'one room of {shape}'}", ""]
        lines += _table(found, shape)
    return "\n".join(lines)


def _table(found: dict[tuple[str, str], Json], shape: str) -> list[str]:
    lines = [
        "| server | us | p50/p99/max ms | flat out/s (us) | connect ms | idle KB | generator | lost/dup. |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (where, server), f in found.items():
        if where != shape:
            continue
        flat = "-"
        if "flat" in f:
            flat = f"{f['flat'] / 1e3:,.0f} k ({f['flat_us']:.1f})" + (" *" if f["limited"] else "")
        lines.append(
            f"| {server} | {f['us']:.1f} | {f['p50']:.1f} / {f['p99']:.1f} / {f['max']:.0f} | {flat} "
            f"| {f['connect_ms']:.2f} | {f['idle_kb']:.0f} | {f['generator']:.0%}"
            + (f" / {f['flat_generator']:.0%}" if "flat" in f else "")
            + f" | {f['lost']} / {f['doubled']} |"
        )
    return lines + _ratios(found, shape)


def _ratios(found: dict[tuple[str, str], Json], shape: str) -> list[str]:
    ours = found.get((shape, "chatd"))
    peers = [found[shape, name] for name in PEERS if (shape, name) in found]
    if not ours or not peers:
        return []
    best = min(f["us"] for f in peers)
    line = f"chatd / best peer: CPU per delivery {ours['us'] / best:.2f}"
    if "flat" in ours and any("flat" in f for f in peers):
        line += f", flat out {ours['flat'] / max(f.get('flat', 0.0) for f in peers):.2f}"
    if any(found[key].get("limited") for key in found if key[0] == shape):
        line += "\n\n\\* the load generator was saturated: the server may be faster."
    return ["", line]
