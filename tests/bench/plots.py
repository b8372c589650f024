"""Draw the plots in docs/performance.md: ``python -m tests.bench.plots RESULTS.json FOLDER``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from tests.bench.report import medians

Json = dict[str, Any]

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 720, 320, 56, 56, 40
# The lightness differs too, so colour vision is not needed.
COLOURS = {
    "chatd": "#c2410c",
    "ngircd": "#1d4ed8",
    "inspircd": "#60a5fa",
    "nats": "#15803d",
    "mosquitto": "#86efac",
    "prosody": "#a855f7",
    "floor": "#9ca3af",
    "price": "#4b5563",
}
STEPS = 4


class Plot(NamedTuple):
    name: str
    title: str
    value: Callable[[Json], float | None]


PLOTS = (
    Plot("cpu", "Server CPU per delivery at 10,000 deliveries/s, microseconds", lambda f: f["us"]),
    Plot("p99", "Age of a message when it is read, 99th percentile, ms", lambda f: f["p99"]),
    Plot("flat", "Flat out, thousand deliveries/s", lambda f: f["flat"] / 1e3 if "flat" in f else None),
    Plot("memory", "Memory of one more idle connection, KB", lambda f: f["idle_kb"]),
)


def main() -> None:
    """Write one SVG for each of PLOTS."""
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    found = medians(json.loads(source.read_text())["rows"])
    shapes = list(dict.fromkeys(shape for shape, _ in found))
    servers = [name for name in COLOURS if any(server == name for _, server in found)]
    for plot in PLOTS:
        groups = [
            (shape, [(name, plot.value(found[shape, name])) for name in servers if (shape, name) in found])
            for shape in shapes
        ]
        kept = [(shape, bars) for shape, bars in groups if any(value is not None for _, value in bars)]
        (folder / f"performance-{plot.name}.svg").write_text(bars_svg(plot.title, kept))


def bars_svg(title: str, groups: list[tuple[str, list[tuple[str, float | None]]]]) -> str:
    """Draw labelled groups of bars to scale; the top of the scale is a round number."""
    values = [value for _, bars in groups for _, value in bars if value is not None]
    top = _round_up(max(values, default=1.0))
    plot_height = HEIGHT - TOP - BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12" fill="#111">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="22" font-size="14" font-weight="bold">{escape(title)}</text>',
    ]
    for step in range(STEPS + 1):
        y = TOP + plot_height * (1 - step / STEPS)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - 8}" stroke="#ddd"/>')
        label = f"{top * step / STEPS:,g}"
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    group_width = (WIDTH - LEFT - 8) / max(1, len(groups))
    for number, (name, bars) in enumerate(groups):
        start = LEFT + number * group_width
        width = group_width * 0.84 / max(1, len(bars))
        for position, (server, value) in enumerate(bars):
            if value is not None:
                height = plot_height * value / top
                x, y = start + group_width * 0.08 + position * width, TOP + plot_height - height
                parts.append(
                    f'<rect x="{x:.1f}" y="{y:.1f}" width="{width - 1:.1f}" height="{height:.1f}" '
                    f'fill="{COLOURS[server]}"><title>{server}: {value:,.1f}</title></rect>'
                )
        middle = start + group_width / 2
        parts.append(f'<text x="{middle:.1f}" y="{HEIGHT - 36}" text-anchor="middle">{escape(name)}</text>')
    return "\n".join([*parts, *_legend(groups), "</svg>\n"])


def _legend(groups: list[tuple[str, list[tuple[str, float | None]]]]) -> list[str]:
    names = list(dict.fromkeys(server for _, bars in groups for server, _ in bars))
    parts, x = [], float(LEFT)
    for name in names:
        parts.append(f'<rect x="{x}" y="{HEIGHT - 22}" width="10" height="10" fill="{COLOURS[name]}"/>')
        parts.append(f'<text x="{x + 14}" y="{HEIGHT - 13}">{name}</text>')
        x += 28 + 7 * len(name)
    return parts


def _round_up(value: float) -> float:
    size = 1.0
    while size * 10 <= value:
        size *= 10
    while size > value and size > 1e-6:
        size /= 10
    return next(size * step for step in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10, 12) if size * step >= value)


if __name__ == "__main__":
    main()
