"""Metrics: what the server counts, as OpenMetrics text (openmetrics.io, 1.0.0).

Threads: the event loop alone.
"""
from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

MEDIA_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)      # seconds

Sample = tuple[dict[str, str], float]


class Metrics:
    """Counters of requests, and how long they took."""

    def __init__(self) -> None:
        self.requests: dict[tuple[str, str, int], int] = {}             # method, route, status
        self.seconds: dict[str, list[float]] = {}                       # route: count of each bucket, of all, sum
        self.bytes_in = self.bytes_out = self.rows_out = 0
        self.refused: dict[str, int] = {}                               # connections and heads, by reason
        self.running = 0

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request that is over."""
        key = method, route, status
        self.requests[key] = self.requests.get(key, 0) + 1
        times = self.seconds.get(route)
        if times is None:
            times = self.seconds[route] = [0] * (len(BUCKETS) + 1) + [0.0]
        times[bisect_left(BUCKETS, seconds)] += 1
        times[-1] += seconds

    def refuse(self, reason: str) -> None:
        """What did not become a request."""
        self.refused[reason] = self.refused.get(reason, 0) + 1


def text(metrics: Metrics, gauges: Mapping[str, tuple[str, float]], counters: Mapping[str, tuple[str, float]],
         stats: Any, engine: str) -> str:
    """Everything as OpenMetrics text. `gauges`, `counters`: name: (help, value); `stats`: an engine's."""
    lines: list[str] = []
    _family(lines, "lsm_http_requests", "counter", "Requests answered.", "_total", (
        ({"method": method, "route": route, "status": str(status)}, count)
        for (method, route, status), count in metrics.requests.items()))
    _histogram(lines, metrics)
    _family(lines, "lsm_http_refused", "counter", "Connections and requests refused before they were read.", "_total", (
        ({"reason": reason}, count) for reason, count in metrics.refused.items()))
    for name, (told, value) in counters.items():
        _family(lines, name, "counter", told, "_total", [({}, value)])
    for name, (told, value) in gauges.items():
        _family(lines, name, "gauge", told, "", [({}, value)])
    for name, value in _numbers(stats):
        _family(lines, f"lsm_engine_{name}", "gauge", f"{name} of the engine's stats.", "", [({"engine": engine}, value)])
    return "\n".join([*lines, "# EOF", ""])


def _numbers(stats: Any) -> Iterable[tuple[str, float]]:
    if is_dataclass(stats):
        for field in fields(stats):
            value = getattr(stats, field.name)
            if isinstance(value, (int, float)):
                yield field.name, value


def _family(lines: list[str], name: str, kind: str, told: str, suffix: str, samples: Iterable[Sample]) -> None:
    lines += [f"# TYPE {name} {kind}", f"# HELP {name} {told}"]
    lines += [f"{name}{suffix}{_labels(labels)} {value:.17g}" for labels, value in samples]


def _histogram(lines: list[str], metrics: Metrics) -> None:
    name = "lsm_http_request_seconds"
    lines += [f"# TYPE {name} histogram", f"# UNIT {name} seconds", f"# HELP {name} From the head of a request to the end of its "
              "answer."]
    for route, times in metrics.seconds.items():
        total = 0.0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), times):
            total += count
            lines.append(f"{name}_bucket{_labels({'route': route, 'le': bound})} {total:.17g}")
        lines.append(f"{name}_count{_labels({'route': route})} {total:.17g}")
        lines.append(f"{name}_sum{_labels({'route': route})} {times[-1]:.17g}")


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
