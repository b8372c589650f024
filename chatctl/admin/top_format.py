"""The screen of `chatctl top`: turns samples of the server's stats into lines safe for any terminal."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from wcwidth import wcwidth

from chatd.console import format as fmt
from chatd.console.cluster_text import cluster_lines
from chatd.proto.frames import JsonObject

# Samples kept for the sparklines, and so their greatest width.
HISTORY_LENGTH = 120
BARS = "▁▂▃▄▅▆▇█"
ASCII_BARS = "_.:-=+*#"
# Columns below which a sparkline is left out.
_SPARKLINE_MIN = 4
_LABEL_WIDTH = 14
_VALUE_WIDTH = 16


class Sample(NamedTuple):
    """``at``: monotonic seconds; ``latency``: of a ping, in ms; ``stats``: the server's reply."""

    at: float
    latency: float
    stats: JsonObject


class LiveStats(NamedTuple):
    """A sample with rates: ``accepted`` and ``delivered`` messages per second since the one before."""

    accepted: float
    delivered: float
    latency: float
    stats: JsonObject

    def as_json(self) -> JsonObject:
        """The server's stats with the rates and the latency added, for JSON output."""
        return {
            **self.stats,
            "accepted_per_second": round(self.accepted, 1),
            "delivered_per_second": round(self.delivered, 1),
            "latency_ms": round(self.latency, 2),
        }


class StatsHistory:
    """The samples so far: the latest stats and a series of values for each sparkline."""

    def __init__(self) -> None:
        self._previous: Sample | None = None
        self._series: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=HISTORY_LENGTH))
        self.latest: LiveStats | None = None

    def add(self, sample: Sample) -> LiveStats:
        """Add a sample; returns its stats with rates (0 for the first sample)."""
        previous, self._previous = self._previous, sample
        self.latest = LiveStats(
            _rate(previous, sample, "accepted"),
            _rate(previous, sample, "delivered"),
            sample.latency,
            sample.stats,
        )
        values = {
            "connections": _number(_part(sample.stats, "connections"), "now"),
            "accepted": self.latest.accepted,
            "delivered": self.latest.delivered,
            "latency": sample.latency,
        }
        for process in _processes(sample.stats):
            values[f"cpu {process.get('name')}"] = _number(process, "cpu")
        for ended in self._series.keys() - values.keys():
            del self._series[ended]
        for name, value in values.items():
            self._series[name].append(value)
        return self.latest

    def lines(self, width: int, height: int, *, bars: str = BARS, note: str = "") -> list[str]:
        """The screen: at most ``height`` lines of at most ``width`` columns; ``note`` ends the first."""
        if self.latest is None:
            return [fit(note, width)][:height]
        lines = [*self._summary(note, width, bars), "", *self._table(width, bars)]
        return [fit(line, width).rstrip() for line in lines[:height]]

    def _summary(self, note: str, width: int, bars: str) -> list[str]:
        assert self.latest is not None  # noqa: S101 - `lines` has checked
        stats = self.latest.stats
        connections, messages, box = (_part(stats, part) for part in ("connections", "messages", "box"))
        up = fmt.duration(stats.get("uptime"))
        head = f"{fmt.text(stats, 'server')}  chatd {fmt.text(stats, 'version')}  up {up}"
        rows = [
            ("connections", f"{_count(connections, 'now')} of {_count(connections, 'limit')}", "connections"),
            ("accepted", f"{self.latest.accepted:.1f}/s", "accepted"),
            ("delivered", f"{self.latest.delivered:.1f}/s", "delivered"),
            ("latency", f"{self.latest.latency:.1f} ms", "latency"),
        ]
        spark = min(width - _LABEL_WIDTH - _VALUE_WIDTH, HISTORY_LENGTH)
        return [
            f"{head}  {note}".rstrip(),
            *(
                f"{_label(label)}{value.ljust(_VALUE_WIDTH)}{sparkline(self._series[series], spark, bars)}"
                for label, value, series in rows
            ),
            f"{_label('filtered')}{_count(messages, 'filtered')}, refused {_count(messages, 'refused')}",
            f"{_label('box')}{fmt.box(box)}",
            *(cluster_lines(_part(stats, "cluster")) if stats.get("cluster") else ()),
        ]

    def _table(self, width: int, bars: str) -> list[str]:
        assert self.latest is not None  # noqa: S101 - `lines` has checked
        processes = _processes(self.latest.stats)
        name = max([7, *(len(fmt.text(process, "name")) for process in processes)])
        spark = min(width - (name + 10 + 7 + 7 + 8 + 9), HISTORY_LENGTH)
        head = f"{'process'.ljust(name)}  {'state':<9}{'cpu':>6}{'rss':>7}{'threads':>9}{'restarts':>9}"
        lines = [head]
        for process in processes:
            cells = (
                f"{fmt.text(process, 'name').ljust(name)}  {fmt.text(process, 'state'):<9}"
                f"{fmt.percent(process.get('cpu')):>6}{fmt.size(process.get('rss')):>7}"
                f"{_count(process, 'threads'):>9}{_count(process, 'restarts'):>9}  "
            )
            lines.append(cells + sparkline(self._series[f"cpu {process.get('name')}"], spark, bars, 100.0))
        return lines


def _label(text: str) -> str:
    return text.ljust(_LABEL_WIDTH)


def sparkline(values: Iterable[float], width: int, bars: str = BARS, top: float = 0.0) -> str:
    """The last ``width`` values as bars; a full bar stands for the largest, or for ``top`` if greater."""
    if width < _SPARKLINE_MIN:
        return ""
    shown = [*values][-width:]
    full = max([top, *shown])
    if full <= 0:
        return bars[0] * len(shown)
    return "".join(bars[min(int(value / full * len(bars)), len(bars) - 1)] for value in shown)


def fit(text: str, width: int) -> str:
    """The beginning of ``text`` that fits into ``width`` columns."""
    used = 0
    for index, character in enumerate(text):
        used += max(wcwidth(character), 0)
        if used > width:
            return text[:index]
    return text


def _rate(previous: Sample | None, sample: Sample, name: str) -> float:
    if previous is None or sample.at <= previous.at:
        return 0.0
    count, earlier = (_number(_part(one.stats, "messages"), name) for one in (sample, previous))
    # A new hub counts from 0 again.
    return max(count - earlier, 0.0) / (sample.at - previous.at)


def _processes(stats: JsonObject) -> Sequence[JsonObject]:
    found = stats.get("processes")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _part(stats: JsonObject, name: str) -> JsonObject:
    found = stats.get(name)
    return found if isinstance(found, dict) else {}


def _number(part: JsonObject, name: str) -> float:
    value: Any = part.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


def _count(part: JsonObject, name: str) -> str:
    value: Any = part.get(name)
    return str(value) if isinstance(value, int) else "-"
