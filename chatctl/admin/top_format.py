"""What `chatctl top` shows: pure functions and state from figures to lines of text, safe for any terminal."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from wcwidth import wcwidth

from chatd.console import format as fmt
from chatd.proto.frames import JsonObject

# Samples kept for the sparklines; wider terminals show no more.
KEPT = 120
BARS = "▁▂▃▄▅▆▇█"
ASCII_BARS = "_.:-=+*#"
# Below this a line has no sparkline.
_SPARK_LEAST = 4
_HEAD = 14
_FIGURE = 16


class Sample(NamedTuple):
    """``at`` is monotonic seconds, ``latency`` the milliseconds of a ping, ``stats`` the server's answer."""

    at: float
    latency: float
    stats: JsonObject


class Figures(NamedTuple):
    """One moment; ``accepted`` and ``delivered`` are messages in a second since the sample before."""

    accepted: float
    delivered: float
    latency: float
    stats: JsonObject

    def as_json(self) -> JsonObject:
        """For programs: the server's figures with the rates beside them."""
        return {
            **self.stats,
            "accepted_per_second": round(self.accepted, 1),
            "delivered_per_second": round(self.delivered, 1),
            "latency_ms": round(self.latency, 2),
        }


class Gauges:
    """The samples so far."""

    def __init__(self) -> None:
        self._before: Sample | None = None
        self._series: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=KEPT))
        self.now: Figures | None = None

    def take(self, sample: Sample) -> Figures:
        """Note a sample; the figures of this moment (rates are 0 for the first)."""
        before, self._before = self._before, sample
        self.now = Figures(
            _rate(before, sample, "accepted"),
            _rate(before, sample, "delivered"),
            sample.latency,
            sample.stats,
        )
        measured = {
            "connections": _number(_part(sample.stats, "connections"), "now"),
            "accepted": self.now.accepted,
            "delivered": self.now.delivered,
            "latency": sample.latency,
        }
        for process in _processes(sample.stats):
            measured[f"cpu {process.get('name')}"] = _number(process, "cpu")
        for gone in self._series.keys() - measured.keys():
            del self._series[gone]
        for name, value in measured.items():
            self._series[name].append(value)
        return self.now

    def lines(self, width: int, height: int, *, bars: str = BARS, note: str = "") -> list[str]:
        """At most ``height`` lines of at most ``width`` columns; ``note`` is the last word of the first."""
        if self.now is None:
            return [fit(note, width)][:height]
        shown = [*self._summary(note, width, bars), "", *self._table(width, bars)]
        return [fit(line, width).rstrip() for line in shown[:height]]

    def _summary(self, note: str, width: int, bars: str) -> list[str]:
        assert self.now is not None  # noqa: S101 - `lines` looked
        stats = self.now.stats
        connections, messages, box = (_part(stats, part) for part in ("connections", "messages", "box"))
        up = fmt.duration(stats.get("uptime"))
        head = f"{fmt.text(stats, 'server')}  chatd {fmt.text(stats, 'version')}  up {up}"
        rows = [
            ("connections", f"{_count(connections, 'now')} of {_count(connections, 'limit')}", "connections"),
            ("accepted", f"{self.now.accepted:.1f}/s", "accepted"),
            ("delivered", f"{self.now.delivered:.1f}/s", "delivered"),
            ("latency", f"{self.now.latency:.1f} ms", "latency"),
        ]
        spark = min(width - _HEAD - _FIGURE, KEPT)
        return [
            f"{head}  {note}".rstrip(),
            *(
                f"{name.ljust(_HEAD)}{figure.ljust(_FIGURE)}{sparkline(self._series[series], spark, bars)}"
                for name, figure, series in rows
            ),
            f"{'filtered'.ljust(_HEAD)}{_count(messages, 'filtered')}, refused {_count(messages, 'refused')}",
            f"{'box'.ljust(_HEAD)}{fmt.box(box)}",
        ]

    def _table(self, width: int, bars: str) -> list[str]:
        assert self.now is not None  # noqa: S101 - `lines` looked
        processes = _processes(self.now.stats)
        name = max([7, *(len(fmt.text(process, "name")) for process in processes)])
        spark = min(width - (name + 10 + 7 + 7 + 8 + 9), KEPT)
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


def sparkline(values: Iterable[float], width: int, bars: str = BARS, top: float = 0.0) -> str:
    """The last ``width`` values as bars; the highest one, or ``top`` when that is more, is a full bar."""
    if width < _SPARK_LEAST:
        return ""
    last = [*values][-width:]
    most = max([top, *last])
    if most <= 0:
        return bars[0] * len(last)
    return "".join(bars[min(int(value / most * len(bars)), len(bars) - 1)] for value in last)


def fit(text: str, width: int) -> str:
    """The beginning of a line that takes at most ``width`` columns."""
    used = 0
    for index, character in enumerate(text):
        used += max(wcwidth(character), 0)
        if used > width:
            return text[:index]
    return text


def _rate(before: Sample | None, now: Sample, name: str) -> float:
    if before is None or now.at <= before.at:
        return 0.0
    grown = _number(_part(now.stats, "messages"), name) - _number(_part(before.stats, "messages"), name)
    # The counters begin again with the hub.
    return max(grown, 0.0) / (now.at - before.at)


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
